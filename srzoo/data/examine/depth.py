"""Depth and mode of files, from their headers: 16-bit files in an 8-bit dataset, grey files among coloured ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from srzoo.data.examine.findings import Case, Finding
from srzoo.data.imageset import ImageSet
from srzoo.data.listing import Pair
from srzoo.data.storage import read_header
from srzoo.images import Header


def depth_findings(label: str, dataset: ImageSet) -> list[Finding]:
    """Compare the headers of all files of a dataset; files that cannot be read are left to the pre-flight."""
    headers = [(pair, _headers(pair, dataset.max_pixels)) for pair in dataset.pairs]
    findings: list[Finding] = []
    for role in ("GT", "LQ"):
        files = [(path, found[path]) for pair, found in headers if (path := _path(pair, role)) in found]
        findings += _mixed_depths(label, role, files)
        findings += _mixed_modes(label, role, files)
    return findings + _unequal_depths(label, headers)


def _headers(pair: Pair, max_pixels: int) -> dict[Path | None, Header]:
    found: dict[Path | None, Header] = {}
    for path in (pair.gt, pair.lq):
        try:
            if path is not None:
                found[path] = read_header(path, max_pixels)
        except (ValueError, OSError):
            continue
    return found


def _path(pair: Pair, role: str) -> Path | None:
    return pair.gt if role == "GT" else pair.lq


def _mixed_depths(label: str, role: str, files: Sequence[tuple[Path | None, Header]]) -> list[Finding]:
    """Report the files of the depth that fewer files of a dataset have."""
    counts = Counter(header.bits for _, header in files)
    if len(counts) < 2:
        return []
    (usual, _), (rare, _) = counts.most_common(2)
    cases = [Case((path,), "", {"bits": rare}) for path, header in files if path is not None and header.bits == rare]
    problem = f"{rare}-bit {role} files in a dataset of {usual} bits"
    advice = "convert them if the others are the original depth; otherwise find out why these differ"
    return [Finding("warning", "depth", label, problem, advice, cases, len(files))]


def _mixed_modes(label: str, role: str, files: Sequence[tuple[Path | None, Header]]) -> list[Finding]:
    """Report grey files among coloured ones."""
    grey = [path for path, header in files if path is not None and header.grey]
    if not 0 < len(grey) < len(files):
        return []
    advice = "they are read as equal channels; nothing needs to be done unless they should be coloured"
    cases = [Case((path,)) for path in grey]
    return [Finding("note", "depth", label, f"grey {role} files among coloured ones", advice, cases, len(files))]


def _unequal_depths(label: str, headers: Sequence[tuple[Pair, Mapping[Path | None, Header]]]) -> list[Finding]:
    """Report pairs of which LQ and GT differ in depth."""
    cases = [
        Case((pair.lq, pair.gt), f"LQ {found[pair.lq].bits} bits, GT {found[pair.gt].bits} bits")
        for pair, found in headers
        if pair.lq is not None and pair.gt is not None and len(found) == 2
        if found[pair.lq].bits != found[pair.gt].bits
    ]
    advice = "make LQ from GT again (srzoo data make-lr keeps the depth)"
    found = Finding("warning", "depth", label, "LQ and GT differ in depth", advice, cases, len(headers))
    return [found] if cases else []
