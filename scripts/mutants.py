"""Break one line at a time and see whether the tests notice: python scripts/mutants.py [--jobs 2] [--only WORD].

The table scripts/mutants.yml lists one-line mutations of the package with the tests that must fail. Each mutant runs in
a copy of the checkout and stops at its first failing test. Results go to build/mutants.jsonl, so that a stopped run
continues; a mutant runs again when its entry, the mutated file or its tests have changed. The exit code is 0 only if
every mutant was killed.
"""

import argparse
import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml
from forked_pytest import TOO_SLOW, run_pytest
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "scripts" / "mutants.yml"
RESULTS = ROOT / "build" / "mutants.jsonl"
# A failed test, or a file that could not be imported, in pytest's summary.
KILLER = r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$"
LONGEST = 900  # [seconds]; a mutant that makes a test run for ever is killed by it


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One mutation.

    Args:
        what: description of the fault.
        file: source file, relative to the checkout.
        old: text that occurs once in the file, within one line.
        new: text that replaces it.
        tests: pytest arguments, files or node ids; the likely killer first.
    """

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, source: str) -> str:
        """Return the mutated source.

        Raises:
            ValueError: `old` does not occur exactly once, or the result is not valid Python.
        """
        if source.count(self.old) != 1 or "\n" in self.old or self.old == self.new:
            raise ValueError(f"{self.file}: {self.old!r} occurs {source.count(self.old)} times, expected once")
        mutated = source.replace(self.old, self.new)
        try:
            compile(mutated, self.file, "exec")
        except SyntaxError as error:
            raise ValueError(f"{self.file}: {self.new!r} is not valid Python here ({error})") from error
        return mutated

    def fingerprint(self, root: Path) -> str:
        """Return a checksum of the entry, of the file it changes and of the test files."""
        files = [self.file, *sorted({test.partition("::")[0] for test in self.tests})]
        parts = [repr(self).encode(), *((root / file).read_bytes() for file in files)]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def read_table(path: Path = TABLE) -> list[Mutant]:
    """Read the table of mutants."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Mutant(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]


def problems(mutants: list[Mutant], root: Path = ROOT) -> list[str]:
    """List the entries that do not apply, name a missing test file or come twice."""
    found = []
    for mutant in mutants:
        try:
            mutant.applied((root / mutant.file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            found.append(f"{mutant.what}: {error}")
        for test in mutant.tests:
            name, _, case = test.partition("::")
            if not (root / name).exists():
                found.append(f"{mutant.what}: {name} does not exist")
            elif case and f"def {case.partition('[')[0]}(" not in (root / name).read_text(encoding="utf-8"):
                found.append(f"{mutant.what}: {name} has no {case}")
    repeated = [key for key, count in Counter((m.file, m.old, m.new) for m in mutants).items() if count > 1]
    return found + [f"{file}: {old!r} -> {new!r} is listed twice" for file, old, new in repeated]


def copy_checkout(target: Path) -> None:
    """Copy the files that git tracks, and those it would track, to `target`."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def run_tests(root: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Run pytest on a copy until the first failure; return its exit code (-1: too slow) and the end of its output."""
    environment = {
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        # The copy has no reference pack beside it.
        "SRZOO_SHARED": os.environ.get("SRZOO_SHARED", str(ROOT.parent / "shared")),
    }
    arguments = ["-x", "-q", "-p", "no:cacheprovider", "-m", "", *tests]
    code, output = run_pytest(root, arguments, environment, LONGEST)
    return code, output[-4000:]


def verdict(code: int) -> str:
    """Turn pytest's exit code into a verdict: 1 (a test failed) and too slow are kills, 0 is a survivor."""
    return {0: "survived", 1: "killed", TOO_SLOW: "killed (too slow)"}.get(code, f"broken (pytest exit code {code})")


def examine(mutant: Mutant, root: Path) -> dict[str, object]:
    """Apply a mutant to a copy, run its tests, restore the file."""
    file, started = root / mutant.file, time.monotonic()
    source = file.read_text(encoding="utf-8")
    try:
        file.write_text(mutant.applied(source), encoding="utf-8")
        code, output = run_tests(root, mutant.tests)
    finally:
        file.write_text(source, encoding="utf-8")
    return {"verdict": verdict(code), "seconds": round(time.monotonic() - started), "output": output}


def earlier_results() -> dict[str, dict[str, object]]:
    """Read the results of earlier runs by fingerprint."""
    lines = RESULTS.read_text().splitlines() if RESULTS.is_file() else []
    return {result["fingerprint"]: result for result in map(json.loads, lines)}


def run(mutants: list[Mutant], jobs: int) -> dict[str, dict[str, object]]:
    """Examine all mutants that have no result yet; return the results by description."""
    known = earlier_results()
    prints = {mutant.what: mutant.fingerprint(ROOT) for mutant in mutants}
    results = {what: known[fingerprint] for what, fingerprint in prints.items() if fingerprint in known}
    waiting = [mutant for mutant in mutants if mutant.what not in results]
    RESULTS.parent.mkdir(exist_ok=True)
    # PyTorch counts its threads when it is imported, before the first test process is forked.
    os.environ["OMP_NUM_THREADS"] = str(max((os.cpu_count() or 1) // jobs, 1))
    lock, copies = threading.Lock(), queue.SimpleQueue[Path]()
    with tempfile.TemporaryDirectory(prefix="mutants ") as folder, tqdm(total=len(waiting), unit="mutant") as bar:
        for number in range(jobs):
            copy_checkout(Path(folder) / str(number))
            copies.put(Path(folder) / str(number))

        def work(mutant: Mutant) -> None:
            root = copies.get()
            result = {**examine(mutant, root), "what": mutant.what, "fingerprint": prints[mutant.what]}
            copies.put(root)
            with lock, RESULTS.open("a") as file:
                file.write(json.dumps(result) + "\n")
                results[mutant.what] = result
                bar.update()
                if result["verdict"] != "killed":
                    bar.write(f"{result['verdict']}: {mutant.what}")

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(work, waiting))
        _check_killers(copies.get(), results.values())
    return results


def _check_killers(root: Path, results: Iterable[Mapping[str, object]]) -> None:
    """Run the tests that failed under mutants on the code as it is.

    Raises:
        ValueError: one fails there too.
    """
    killers = {killer for result in results for killer in re.findall(KILLER, str(result["output"]), re.MULTILINE)}
    code, output = run_tests(root, tuple(sorted(killers))) if killers else (0, "")
    if code:
        raise ValueError(f"the tests fail without any mutation, so that they prove nothing:\n{output}")


def main() -> int:
    """Examine the table and print a line per mutant; 0 if all were killed, 1 otherwise, 2 for a faulty table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at once (default: all cores)")
    parser.add_argument("--only", default="", metavar="WORD", help="only mutants whose file or description has WORD")
    parser.add_argument("--check", action="store_true", help="only check that every entry of the table applies")
    arguments = parser.parse_args()
    table = read_table()
    faults = problems(table)
    if faults:
        sys.stderr.write("\n".join(faults) + f"\nerror: {len(faults)} entries of {TABLE.name} do not apply\n")
        return 2
    chosen = [mutant for mutant in table if arguments.only in mutant.file or arguments.only in mutant.what]
    if arguments.check or not chosen:
        sys.stdout.write(f"{len(table)} mutants, all apply; {len(chosen)} chosen\n")
        return 0 if chosen else 2
    results = run(chosen, arguments.jobs)
    for mutant in chosen:
        result = results[mutant.what]
        sys.stdout.write(f"{result['verdict']:10} {result['seconds']:>4} s  {mutant.file}: {mutant.what}\n")
    alive = [what for what, result in results.items() if not str(result["verdict"]).startswith("killed")]
    sys.stdout.write(f"{len(results) - len(alive)} of {len(results)} mutants killed, {len(alive)} survivors\n")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
