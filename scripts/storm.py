"""Disturb tiny trainings of all recipes at random and see whether they continue to the last bit.

python scripts/storm.py --minutes 30 [--seed 0] [--only gan] [--fault flip_bit]

Each case is a training of a random recipe with one or two ranks that meets one to three faults (scripts/faults.py);
then it is continued by --resume auto until it is done. `exact`: its last state, weights and scores are those of an
undisturbed training, bit for bit; `inexact`: they differ; `lost`: --resume auto refused, failed or hung. A case is a
function of its seed, up to moments in time. Results go to build/storm.jsonl, so that the next run continues with other
seeds. The exit code is 0 only if every case of the code as it is was exact.
"""

import argparse
import hashlib
import itertools
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
import torch
from faults import FAULTS, LONGEST, Attempt
from tiny_trainings import HUNG, RECIPES, TOTAL, TinyTraining, import_all, write_images, write_recipe
from tqdm import tqdm

import srzoo

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build" / "storm.jsonl"
STOPPED = 75  # exit code of a training that saved its state and wants to be continued
MOST_ATTEMPTS = 5
_SCRIPTS = ("storm", "faults", "tiny_trainings")


@dataclass(frozen=True)
class Case:
    """One disturbed training: its seed decides the rest, unless all cases are to meet the same fault."""

    seed: int
    recipe: str
    num_ranks: int
    faults: list[str]

    @staticmethod
    def drawn(seed: int, fault: str | None = None) -> "Case":
        """Return the case of a seed."""
        draw = random.Random(seed)
        recipe, num_ranks = draw.choice(list(RECIPES)), draw.choice([1, 1, 2])
        faults = [draw.choice(list(FAULTS)) for _ in range(draw.choice([1, 1, 2, 3]))]
        return Case(seed, recipe, num_ranks, faults if fault is None else [fault])


class Storm:
    """Cases in a temporary folder, compared with undisturbed trainings that are run when they are first needed.

    Args:
        folder: for images and runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seconds: dict[tuple[str, int], float] = {}
        write_images(folder / "images")

    def examine(self, case: Case) -> tuple[str, str]:
        """Run one case; return its verdict and, unless it is exact, what happened."""
        reference, seconds = self._reference(case)
        file = write_recipe(self.folder / "case", case.recipe, self.folder / "images")
        attempt = Attempt(random.Random(f"{case.seed} faults"), file, case.num_ranks, seconds)
        try:
            for fault in case.faults:
                FAULTS[fault](attempt)
            code = STOPPED
            for _ in range(MOST_ATTEMPTS):
                if code == STOPPED:
                    code = attempt.start().finish(LONGEST)
            if code:
                return "lost", "hung" if code == HUNG else f"exit code {code}: {_last_lines(file)}"
            found = next(_differences(_outcome(reference), _outcome(attempt.run)), "")
            return ("inexact", found) if found else ("exact", "")
        finally:
            shutil.rmtree(file.parent)

    def _reference(self, case: Case) -> tuple[Path, float]:
        """Return the run folder of the undisturbed training and its duration [s]."""
        folder, kind = self.folder / f"{case.recipe}_{case.num_ranks}", (case.recipe, case.num_ranks)
        if kind not in self._seconds:
            file = write_recipe(folder, case.recipe, self.folder / "images")
            started = time.monotonic()
            code = TinyTraining(file, folder / "output.log", num_ranks=case.num_ranks, num_workers=1).finish(LONGEST)
            if code:
                raise ValueError(f"the undisturbed training {case} ended with {code}: {_last_lines(file)}")
            self._seconds[kind] = time.monotonic() - started
        return folder / "run", self._seconds[kind]


def _last_lines(file: Path) -> str:
    return " | ".join((file.parent / "output.log").read_text(errors="replace").splitlines()[-3:])[-600:]


def _outcome(run: Path) -> dict[str, object]:
    """Return everything that a training has computed."""
    state = torch.load(run / "states" / f"{TOTAL}.state", weights_only=True)
    return {
        "state": {name: state[name] for name in ("model", "data", "step")},
        "weights": safetensors.torch.load_file(run / "models" / f"net_g_{TOTAL}.safetensors"),
        "scores": json.loads((run / "results" / "held_out.json").read_text())["images"],
    }


def _differences(one: object, other: object, place: str = "") -> Iterator[str]:
    """Yield the places where two nested outcomes differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted(one.keys() | other.keys(), key=str):
            yield from _differences(one.get(name), other.get(name), f"{place}.{name}".lstrip("."))
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for number, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from _differences(mine, theirs, f"{place}[{number}]")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if not torch.equal(one, other):
            yield f"{place} differs"
    elif one != other:
        yield f"{place}: {one!r:.80} undisturbed, {other!r:.80} disturbed"


def fingerprint() -> str:
    """Return a checksum of the code: results of other code do not count."""
    package = Path(srzoo.__file__).parent
    files = [*sorted(package.rglob("*.py")), *(ROOT / "scripts" / f"{name}.py" for name in _SCRIPTS)]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def run(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Examine cases until time or number is used up; return the results of this code, earlier ones included."""
    code = fingerprint()
    lines = arguments.results.read_text().splitlines() if arguments.results.is_file() else []
    results = [result for result in map(json.loads, lines) if result["code"] == code]
    done = set() if arguments.again else {(result["seed"], result["fault"]) for result in results}
    if arguments.again:
        results = []
    cases = (Case.drawn(seed, arguments.fault) for seed in itertools.count(arguments.seed))
    wanted = (case for case in cases if arguments.only in (None, case.recipe))
    waiting = (case for case in wanted if (case.seed, arguments.fault) not in done)
    until, counts = time.monotonic() + 60 * arguments.minutes, Counter[str]()
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    tqdm.monitor_interval = 0  # its thread would be lost in forked processes
    with tempfile.TemporaryDirectory(prefix="storm ") as folder, tqdm(total=arguments.cases, unit="case") as bar:
        storm = Storm(Path(folder))
        for case in itertools.islice(waiting, arguments.cases):
            if time.monotonic() >= until:
                break
            started = time.monotonic()
            verdict, detail = storm.examine(case)
            result = {"code": code, "fault": arguments.fault, **asdict(case), "verdict": verdict, "detail": detail}
            result["seconds"] = round(time.monotonic() - started, 2)
            results.append(result)
            with arguments.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            counts[verdict] += 1
            bar.update()
            bar.set_postfix(counts)
            if verdict != "exact":
                bar.write(_line(result))
    return results


def _line(result: Mapping[str, object]) -> str:
    case = f"seed {result['seed']} {result['recipe']} x{result['num_ranks']} {' '.join(_faults(result))}"
    return f"{result['verdict']}: {case}: {result['detail']}"


def _faults(result: Mapping[str, object]) -> list[str]:
    faults = result["faults"]
    assert isinstance(faults, list)
    return faults


def main() -> int:
    """Run the storm and print the counts; 0 if every case was exact, 1 otherwise."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="time after which no case is begun (default: 10)")
    parser.add_argument("--cases", type=int, help="number of cases (default: as many as there is time for)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first case; the others follow (default: 0)")
    parser.add_argument("--only", choices=list(RECIPES), help="only cases of this recipe")
    parser.add_argument("--fault", choices=list(FAULTS), help="let every case meet this fault, once")
    parser.add_argument("--again", action="store_true", help="repeat cases that were run before")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of results (default: build/storm.jsonl)")
    arguments = parser.parse_args()
    import_all()
    results = run(arguments)
    counts = Counter(result["verdict"] for result in results)
    struck = Counter(fault for result in results for fault in _faults(result))
    for result in results:
        if result["verdict"] != "exact":
            sys.stdout.write(_line(result) + "\n")
    sys.stdout.write(f"faults: {', '.join(f'{name} {count}' for name, count in sorted(struck.items()))}\n")
    sys.stdout.write(
        f"{len(results)} cases: {counts['exact']} exact, {counts['inexact']} inexact, {counts['lost']} lost\n"
    )
    return 0 if counts["exact"] == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
