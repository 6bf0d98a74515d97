"""The shape of the house: who may import whom, and what importing costs."""

import ast
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from srzoo.contract import NetworkContract
from tests.support import ROOT

PACKAGE = ROOT / "srzoo"
# Level of each module or package, as in docs/architecture.md: imports point to lower levels, or within a package.
LEVELS = {
    "atomic": 0, "batch": 0, "catalogue": 0, "checksum": 0, "contract": 0, "heap": 0, "images": 0, "keys": 0, "ops": 0,
    "progress": 0, "ranks": 0, "registry": 0, "signals": 0, "streams": 0, "video": 0,
    "blueprint": 1, "layers": 1, "network_input": 1, "state_dicts": 1, "tensor_files": 1,
    "archs": 2, "degradations": 2, "losses": 2, "metrics": 2,
    "checkpoint": 3, "data": 3, "fit": 3, "misfit": 3, "recognise": 3, "state": 3, "weights": 3,
    "optim": 4,
    "export": 5, "infer": 5, "models": 5,
    "analysis": 6, "compat": 6, "engine": 6, "options": 6, "report": 6,
    "benchmark": 7, "chain": 7, "cli": 7, "command": 7, "commands": 7, "components": 7, "inputs": 7,
    "micro_batches": 7, "studies": 7, "test": 7, "train": 7, "training": 7,
}  # fmt: skip
# Arrows within a level, each with its reason.
SAME_LEVEL = {
    ("registry", "contract"): "building a network stamps its identity",
    ("images", "atomic"): "image files are written whole or not at all",
    ("state_dicts", "tensor_files"): "both refuse a file with the same error",
    ("layers", "state_dicts"): "trained features come from files with any layout",
    ("layers", "tensor_files"): "trained features are read without running code",
    ("weights", "fit"): "loading takes the state dict that fits",
    ("weights", "misfit"): "loading explains what does not fit",
    ("weights", "recognise"): "a file without a name for its network is rebuilt all the same",
    ("fit", "recognise"): "published spellings become the network's own",
    ("report", "analysis"): "tables and plots show what was measured",
    ("misfit", "recognise"): "an explanation names the network that would fit",
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def imports(path):
    """Dotted names of the srzoo modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "srzoo":
            parts = node.module.split(".")
            yield from ([parts[1]] if len(parts) > 1 else [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("srzoo."))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for other in imports(path):
        if other in ("__version__", own):
            continue
        down = LEVELS[other] < LEVELS[own] or (LEVELS[own] == 7 and LEVELS[other] == 7)
        assert down or (own, other) in SAME_LEVEL, (
            f"{own} (level {LEVELS[own]}) imports {other} (level {LEVELS[other]})"
        )
        if own in ("archs", "losses", "metrics", "degradations"):
            assert LEVELS[other] < 2, f"{own} imports its neighbour {other}"


def test_plugins_never_see_the_option_object():
    for package in ("archs", "losses", "metrics", "data", "optim", "models"):
        for path in (PACKAGE / package).rglob("*.py"):
            assert "options" not in set(imports(path))


def test_pydantic_stays_at_the_boundary():
    users = {path.relative_to(PACKAGE).parts[0] for path in SOURCES if "import pydantic" in path.read_text()}
    assert users <= {"options", "registry.py"}


N = TypeVar("N", bound=ast.AST)


def nodes(kind: type[N]) -> Iterator[tuple[Path, N]]:
    """(file, node) for every syntax node of a kind in the package."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kind):
                yield path.relative_to(PACKAGE), node


def test_class_names_are_unique():
    homes = {}
    for path, node in nodes(ast.ClassDef):
        homes.setdefault(node.name, []).append(str(path))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_facts_of_networks_are_read_from_their_contract():
    facts = {fact.name for fact in dataclasses.fields(NetworkContract)}
    readers = [
        f"{path}:{node.lineno}"
        for path, node in nodes(ast.Call)
        if isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) > 1
        if isinstance(node.args[1], ast.Constant) and node.args[1].value in facts
    ]
    assert readers == []


def test_any_stays_at_the_boundary_of_options():
    allowed = {"options", "registry.py"}
    users = {str(path) for path, node in nodes(ast.Name) if node.id == "Any" and path.parts[0] not in allowed}
    assert users == set()


def test_no_module_is_named_like_the_standard_library():
    # `test` is fixed by the users' command line and handled by the sys.path line in the scripts.
    names = {path.stem for path in PACKAGE.iterdir()} - {"__init__", "__pycache__", "test"}
    assert not names & sys.stdlib_module_names


def test_importing_srzoo_imports_nothing_heavy():
    code = (
        "import sys, srzoo, srzoo.cli; "
        "heavy = {'torch', 'torchvision', 'cv2', 'timm', 'tensorboard', 'scipy', 'pydantic'} & set(sys.modules); "
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_entry_points_are_thin():
    for name in ("train.py", "test.py"):
        assert len((PACKAGE / name).read_text().splitlines()) <= 80
