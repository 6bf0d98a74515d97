"""Every shipped option file loads, builds, and refuses any key misspelt by one letter."""

import copy

import pytest
import yaml

from srzoo.components import build_metrics, build_network
from srzoo.options import OptionsError
from srzoo.options.lookup import options_at
from tests.support import ROOT, trainings

FILES = sorted((ROOT / "options").rglob("*.yml"))
PARTS = [path for path in FILES if path.name.startswith("_") or path.parent.name == "degradations"]
WHOLE = [path for path in FILES if path not in PARTS]


def test_there_are_option_files():
    assert len(WHOLE) >= 10


# One file in four by default, the others as slow tests.
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=() if number % 4 == 0 else pytest.mark.slow)
        for number, path in enumerate(WHOLE)
    ],
)
def test_it_loads_and_builds(path):
    # Loading tries the networks of all variants of a study without memory for weights: one is built.
    found = list(trainings(path).values())
    for loaded in found[:1] if "sweep" in yaml.safe_load(path.read_text()) else found:
        net = build_network(loaded.options)
        build_metrics(loaded.options)
        if loaded.options.train is not None:
            assert any(True for _ in net.parameters())


def key_paths(tree, path=()):
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(tree, dict):
            yield (*path, key)
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value)):
            yield from key_paths(value, (*path, key))


def renamed(tree, path, new):
    tree = copy.deepcopy(tree)
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    parent[new] = parent.pop(path[-1])
    return tree


def mutations(key):
    """Return a key with one letter more, one less, one other."""
    middle = len(key) // 2
    return {
        key + "x",
        key[:middle] + key[middle + 1 :],
        key[:middle] + ("q" if key[middle] != "q" else "z") + key[middle + 1 :],
    }


def standing_alone(path):
    """Return the tree of an option file, or of a complete one that holds what a part of files has."""
    own = yaml.safe_load(path.read_text())
    if path in PARTS and "stages" in own:
        own = {"name": "child", "base": "DRCT_x4.yml"} | own
    elif path in PARTS:
        # Not a whole file: it is checked through what a child adds.
        child = {"name": "child", "scale": 2, "network_g": {"type": "IMDN"}}
        own = child | own
        sets = {"child": {"type": "GTImages", "gt": "datasets/Set5/GT"}}
        own["datasets"] = {"val": sets, "test": sets, **own.get("datasets", {})}
    if path.parent.name == "degradations":
        train = {"type": "GTImages", "gt": "datasets/DIV2K", "gt_size": 120, "batch_size": 12}
        own["val"] = {"metrics": {"psnr": {"type": "PSNR"}}} | own.get("val", {})
        own["datasets"]["train"] = train | own["datasets"].get("train", {})
        losses = {"pixel": {"type": "L1Loss"}}
        own.setdefault("train", {"total_iter": 1, "optim_g": {"type": "Adam"}, "losses": losses})
    if "sweep" in own:
        # Every variant has the same keys: a few are enough.
        sweep = {key: value[:1] for key, value in own["sweep"].items() if key != "variants"}
        variants = list(own["sweep"].get("variants", {}).items())[-2:]
        own["sweep"] = sweep | ({"variants": dict(variants)} if variants else {})
    if "test" in own:
        own["test"] = str((path.parent / own["test"]).resolve()) if own["test"].startswith("..") else own["test"]
    for part in (own, *own.get("stages", {}).values()):
        bases = part.get("base", [])
        part["base"] = [str(path.parent / base) for base in ([bases] if isinstance(bases, str) else bases)]
    return own


def names(fault, wrong, in_sweep):
    """Return True if a fault names a misspelt key; a key of a sweep may be dotted, and one of its parts is wrong."""
    parts = wrong.split(".") if in_sweep else [wrong]
    return bool({*parts, wrong} & set(fault.path if in_sweep else fault.path[-1:])) or repr(wrong) in fault.message


def check_misspelt_keys(own, probe, every):
    """Misspell each key of a tree, or every n-th, and check that loading names it; return how many were tried.

    With `every` above 1 each key is misspelt in one of the three ways, in turn.
    """
    probe.write_text(yaml.safe_dump(own))
    resolved = {name: yaml.safe_load(stage.text) for name, stage in trainings(probe).items()}
    checked = 0
    for number, keys in enumerate(key_paths(own)):
        if number % every:
            continue
        in_a_stage = keys[0] == "stages" and len(keys) > 1
        stage, inside = (str(list(keys)[1]), keys[2:]) if in_a_stage else (next(iter(resolved)), keys)
        if keys[:2] == ("sweep", "variants") and len(keys) == 3:
            continue  # the name of a variant
        if keys[0] == "sweep":
            inside = str(keys[-1]).split(".")
        if not inside or ".<name>" in options_at(tuple(inside[:-1]), resolved[stage]):
            continue  # a name that the file's author chose, such as Set5: any other is as good
        if stage not in list(resolved)[:2]:
            continue  # further stages of a grid have the same keys
        ways = sorted(mutations(keys[-1]))
        for wrong in ways if every == 1 else ways[number // every % len(ways) :][:1]:
            probe.write_text(yaml.safe_dump(renamed(own, keys, wrong)))
            with pytest.raises(OptionsError) as error:
                trainings(probe)
            named = any(names(fault, wrong, in_sweep=keys[0] == "sweep") for fault in error.value.faults)
            assert named, f"{wrong}: {error.value}"
            checked += 1
    return checked


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_any_key_misspelt_by_one_letter_is_refused(path, tmp_path):
    assert check_misspelt_keys(standing_alone(path), tmp_path / "probe.yml", every=1) >= 6


@pytest.mark.parametrize("path", FILES[::5], ids=lambda path: path.stem)
def test_some_keys_misspelt_by_one_letter_are_refused(path, tmp_path):
    assert check_misspelt_keys(standing_alone(path), tmp_path / "probe.yml", every=6) >= 1
