"""Findings of an examination: what is wrong with which images, by which number, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

# fault: a training or a score would be wrong; warning: it may be worse than it could be; note: for information.
Severity = Literal["fault", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Check = Literal["pre-flight", "depth", "colours", "alignment", "kernel", "enlarged", "compression", "duplicates"]
CHECKS: tuple[Check, ...] = get_args(Check)
# Cases of a finding that the text lists.
_LISTED = 8


@dataclass(frozen=True)
class Case:
    """One image or pair of a finding.

    Args:
        files: of the image, the pair (LQ, GT) or the two duplicates.
        text: the numbers, in words.
        values: the numbers, by name.
    """

    files: tuple[Path, ...]
    text: str = ""
    values: Mapping[str, float | str | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One kind of trouble in one dataset.

    Args:
        severity: of it.
        check: that found it.
        dataset: "train", "val/NAME" or "test/NAME".
        problem: in words.
        advice: what to do.
        cases: images concerned.
        of: number of images examined for it; 0: the cases are no share of them.
    """

    severity: Severity
    check: Check
    dataset: str
    problem: str
    advice: str
    cases: Sequence[Case]
    of: int

    def as_json(self) -> dict[str, object]:
        """Return the finding for programs; names as in this class."""
        plain = {name: getattr(self, name) for name in ("severity", "check", "dataset", "problem", "advice", "of")}
        cases = [
            {"files": [str(file) for file in case.files], "text": case.text, "values": dict(case.values)}
            for case in self.cases
        ]
        return {**plain, "cases": cases}

    @property
    def extent(self) -> str:
        """Number of cases, of those examined."""
        if not self.cases:
            return ""
        return f"; {len(self.cases)}" + (f" of {self.of}" if self.of else "")

    def lines(self) -> list[str]:
        """Return the finding in lines of text."""
        lines = [f"{self.dataset}: {self.problem} [{self.check}{self.extent}]"]
        for case in self.cases[:_LISTED]:
            files = " and ".join(map(str, case.files))
            lines.append(f"    {files}{': ' * bool(case.text)}{case.text}")
        if len(self.cases) > _LISTED:
            lines.append(f"    ... and {len(self.cases) - _LISTED} more (--json lists all)")
        return [*lines, f"  {self.advice}"] if self.advice else lines


@dataclass(frozen=True)
class Examined:
    """A dataset that was examined.

    Args:
        dataset: "train", "val/NAME" or "test/NAME".
        images: number of its images.
        examined: number of those whose pixels were examined.
    """

    dataset: str
    images: int
    examined: int


@dataclass(frozen=True)
class Examination:
    """Result of an examination: the datasets, and the findings, the worst first."""

    datasets: Sequence[Examined]
    findings: Sequence[Finding]

    def of_severity(self, severity: Severity) -> list[Finding]:
        """Return the findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    def counts(self) -> str:
        """Return the numbers of findings in words."""
        numbers = {severity: len(self.of_severity(severity)) for severity in SEVERITIES}
        return ", ".join(f"{number} {severity}{'s' * (number != 1)}" for severity, number in numbers.items())

    def text(self) -> str:
        """Return the report in lines for a terminal."""
        lines = []
        for one in self.datasets:
            part = "all examined" if one.examined == one.images else f"{one.examined} examined, evenly chosen"
            lines.append(f"{one.dataset}: {one.images} image{'s' * (one.images != 1)}, {part}")
        if any(one.examined < one.images for one in self.datasets):
            lines.append("--full examines all images; duplicates are then looked for among all, too")
        for severity in SEVERITIES:
            found = self.of_severity(severity)
            if found:
                lines += ["", f"{severity}s:".upper()]
                lines += [line for finding in found for line in (f"* {finding.lines()[0]}", *finding.lines()[1:])]
        return "\n".join([*lines, "", self.counts()])

    def as_json(self) -> dict[str, object]:
        """Return the report for programs."""
        return {
            "datasets": [vars(one) for one in self.datasets],
            "findings": [finding.as_json() for finding in self.findings],
        }
