"""Studies: variants of one training, and seeds to repeat them with, from the block ``sweep:`` of an option file.

Each dotted key of the block has a list of values, and the variants are all combinations (a grid). Variants that are no
grid have names under ``variants``, each with the options that it sets; they come before the grid.
"""

import difflib
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from srzoo.options.inheritance import OptionFiles
from srzoo.options.limits import MAX_SEEDS, MAX_VARIANTS, LimitExceeded, shortened
from srzoo.options.schema import RUN_NAME, Options
from srzoo.options.tree import KeyPath, OptionFault, Tree, dotted, merge, paths_below

# Options that a variant cannot set -> the reason.
_FIXED = {
    ("seed",): "seeds are repetitions, not variants: list them under sweep.seed",
    ("name",): "a study names the run of each training itself",
    ("path", "experiments"): "a study places the run of each training itself; set it outside `sweep`",
    ("plugins",): "all variants share the plugins: name them outside `sweep`",
    ("base",): "all variants share the base: write another study for another base",
    ("stages",): "a chain cannot be a variant",
    ("test",): "all variants share the test file",
    ("sweep",): "a study has one `sweep`",
}
# Longest text that a value adds to the name of a variant.
_LONGEST_VALUE = 40


class Setting(NamedTuple):
    """One option that a variant sets.

    Args:
        option: its path.
        value: as in the file.
        place: path of the value in the file.
    """

    option: KeyPath
    value: Any
    place: KeyPath


class Sweep(NamedTuple):
    """A study as it is written.

    Args:
        whole: options that all trainings share, and the faults found so far.
        variants: settings of each variant, by name.
        seeds: of the repetitions; empty: the seed of the shared options.
        test: file with datasets and metrics, None if there is none.
    """

    whole: Tree
    variants: Mapping[str, Sequence[Setting]]
    seeds: Sequence[int]
    test: Path | None


def read_sweep(file: Path, overrides: Sequence[str], files: OptionFiles) -> Sweep:
    """Read the study of an option file with everything that it inherits.

    Args:
        file: the option file.
        overrides: ``key.path=value`` texts; ``sweep.KEY=[...]`` changes the values of a key, or adds it.
        files: of this loading.

    Raises:
        FileNotFoundError: the option file itself does not exist.
    """
    whole = files.read(file, overrides)
    sweep, test = whole.value.pop("sweep", None), whole.value.pop("test", None)
    if sweep is None:
        # Other options, such as `seed`, are no misspelt `sweep`.
        meant = difflib.get_close_matches("sweep", set(whole.value) - {field.name for field in fields(Options)}, n=1)
        hint = f"did you mean `sweep` by {meant[0]!r}?" if meant else f"to train it use `srzoo train -opt {file}`"
        whole.fault(("sweep",), f"this is no study; {hint}")
    if "stages" in whole.value:
        whole.fault(("stages",), "a chain of trainings cannot be swept: sweep one of its stages, or use `srzoo train`")
        del whole.value["stages"]
    if test is not None and not isinstance(test, str):
        whole.fault(("test",), f"expected the name of an option file, got {shortened(repr(test))}")
    variants: dict[str, tuple[Setting, ...]] = {}
    seeds: list[int] = []
    if isinstance(sweep, dict) and sweep:
        seeds = _seeds(whole, sweep.pop("seed", None))
        variants = _variants(whole, sweep.pop("variants", None))
        axes = _axes(whole, sweep)
        if axes or not variants:
            _add_grid(whole, variants, axes)
    elif sweep is not None:
        given = shortened(repr(sweep))
        whole.fault(("sweep",), f"expected options, each with a list of values, or `variants`, got {given}")
    _refuse_fixed(whole, variants)
    _refuse_overridden(whole, variants, overrides)
    return Sweep(whole, variants, seeds, Path(test) if isinstance(test, str) else None)


def variant_tree(sweep: Sweep, name: str, files: OptionFiles) -> Tree:
    """Return the options of a variant: those that all share with its settings on top.

    Raises:
        LimitExceeded: there is too much to inherit.
    """
    tree = Tree()
    files.inherit(tree, sweep.whole)
    for option, value, place in sweep.variants[name]:
        locations: dict[KeyPath, str] = {(): sweep.whole.location(())}
        for depth in range(1, len(option) + 1):
            locations[option[:depth]] = sweep.whole.location(place)
        for below in paths_below(value):
            locations[option + below] = sweep.whole.location(place + below)
        nested: Any = value
        for key in reversed(option):
            nested = {key: nested}
        merge(tree, Tree(nested, locations))
    return tree


def _seeds(tree: Tree, given: Any) -> list[int]:
    place = ("sweep", "seed")
    if given is None:
        return []
    seeds = given if isinstance(given, list) else []
    valid = all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63 for seed in seeds)
    if not seeds or not valid:
        tree.fault(place, f"expected a list of integers >= 0, got {shortened(repr(given))}")
        return []
    if len(seeds) > MAX_SEEDS:
        tree.fault(place, f"expected at most {MAX_SEEDS} seeds, got {len(seeds):,}")
        return []
    if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        tree.fault(place, f"given twice: {', '.join(map(str, twice))}")
    return list(dict.fromkeys(seeds))


def _variants(tree: Tree, given: Any) -> dict[str, tuple[Setting, ...]]:
    """Return the named variants."""
    place = ("sweep", "variants")
    if given is None:
        return {}
    if not isinstance(given, dict) or not given:
        tree.fault(place, f"expected names of variants, each with options, got {shortened(repr(given))}")
        return {}
    if len(given) > MAX_VARIANTS:
        tree.fault(place, f"expected at most {MAX_VARIANTS} variants, got {len(given):,}")
        return {}
    variants = {}
    for name, options in given.items():
        if re.fullmatch(RUN_NAME, name) is None:
            message = "expected a name that can be a folder (letters, digits, '.', '+', '-', '_')"
            tree.fault((*place, name), f"{message}, got {name!r}")
        if not isinstance(options, dict):
            message = f"expected options, such as {{network_g.num_feat: 32}}, got {shortened(repr(options))}"
            tree.fault((*place, name), message)
            continue
        settings = [Setting(tuple(key.split(".")), value, (*place, name, key)) for key, value in options.items()]
        variants[name] = tuple(setting for setting in settings if _is_path(tree, setting))
    return variants


def _axes(tree: Tree, sweep: Mapping[str, Any]) -> dict[KeyPath, list[Setting]]:
    """Return the options of the grid with their values; a null, of an override, takes an option out of it."""
    axes: dict[KeyPath, list[Setting]] = {}
    for leaf in _leaves(sweep, (), ("sweep",)):
        option, values, place = leaf
        if not _is_path(tree, leaf):
            continue
        # Dotted and nested keys may name one option: --set sweep.network_g.gc=[16,32] over `network_g.gc: [...]`.
        if option in axes and not tree.location(place).startswith("--set"):
            tree.fault(place, f"{dotted(option)} is given twice")
        if values is None and option in axes:
            del axes[option]
        elif isinstance(values, list) and values:
            axes[option] = [Setting(option, value, (*place, number)) for number, value in enumerate(values)]
            shown = [repr(value) for value in values]
            if twice := dict.fromkeys(value for value in shown if shown.count(value) > 1):
                tree.fault(place, f"given twice: {', '.join(twice)}")
        else:
            tree.fault(place, f"expected a list of values, got {shortened(repr(values))}")
    return axes


def _leaves(value: Any, option: KeyPath, place: KeyPath) -> Iterator[Setting]:
    if isinstance(value, dict) and (value or not option):
        for key, item in value.items():
            yield from _leaves(item, (*option, *key.split(".")), (*place, key))
    else:
        yield Setting(option, value, place)


def _is_path(tree: Tree, setting: Setting) -> bool:
    if all(setting.option):
        return True
    tree.fault(setting.place, f"expected keys with dots between them, got {dotted(setting.option)!r}")
    return False


def _add_grid(tree: Tree, variants: dict[str, tuple[Setting, ...]], axes: Mapping[KeyPath, Sequence[Setting]]) -> None:
    """Add all combinations of the values of the axes; without axes, one variant named `base`."""
    number = math.prod(map(len, axes.values()))
    if number + len(variants) > MAX_VARIANTS:
        tree.refuse(
            LimitExceeded(f"expected at most {MAX_VARIANTS} variants, got {number + len(variants):,}"),
            tree.location(("sweep",)),
        )
        return
    labels = _labels(list(axes))
    for combination in itertools.product(*axes.values()):
        name = "_".join(f"{labels[option]}-{_slug(value)}" for option, value, _ in combination) or "base"
        if name in variants and all(place[1] == "variants" for _, _, place in variants[name]):
            tree.fault(("sweep", "variants", name), "is the name of a variant of the grid too: choose another")
        # Long or nested values may differ where their names do not.
        names = itertools.chain([name], (f"{name}.{count}" for count in range(2, MAX_VARIANTS + 2)))
        variants[next(free for free in names if free not in variants)] = combination


def _labels(options: Sequence[KeyPath]) -> dict[KeyPath, str]:
    """Return the shortest end of each option's path that no other has."""
    labels = {}
    for option in options:
        others = [other for other in options if other != option]
        lengths = (n for n in range(1, len(option) + 1) if all(other[-n:] != option[-n:] for other in others))
        labels[option] = ".".join(map(str, option[-next(lengths, len(option)) :]))
    return labels


def _slug(value: Any) -> str:
    """Write a value as a part of a folder's name."""
    if isinstance(value, Mapping):
        value = list(value.values())
    text = "-".join(map(_slug, value)) if isinstance(value, list) else str(value)
    text = {"None": "none", "True": "true", "False": "false"}.get(text, text)
    return re.sub(r"[^\w.+-]+", "-", text)[:_LONGEST_VALUE] or "empty"


def _refuse_fixed(tree: Tree, variants: Mapping[str, Sequence[Setting]]) -> None:
    """Report settings of options that all trainings share, or that the study sets; each place in the file once."""
    reasons: dict[KeyPath, str] = {}
    for option, value, place in (setting for settings in variants.values() for setting in settings):
        for fixed, reason in _FIXED.items():
            inside = option == fixed[:-1] and isinstance(value, Mapping) and fixed[-1] in value
            if option[: len(fixed)] == fixed or inside:
                reasons[place[:2] if place[1] != "variants" else place] = reason
    for place, reason in reasons.items():
        tree.fault(place, reason)


def _refuse_overridden(tree: Tree, variants: Mapping[str, Sequence[Setting]], overrides: Sequence[str]) -> None:
    """Report overrides that the settings of the variants would replace."""
    swept = {option for settings in variants.values() for option, _, _ in settings}
    for override in overrides:
        path = tuple(override.partition("=")[0].strip().split("."))
        for option in swept:
            if path[: len(option)] == option:
                message = f"is swept: change sweep.{dotted(option)}, or the variants that set it"
                tree.faults.append(OptionFault(f"--set {override}", path, message))
