"""Loading a study: the options of every training and of its test, or all faults of the file at once."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from srzoo.options.inheritance import OptionFiles
from srzoo.options.limits import LimitExceeded
from srzoo.options.load import LoadedOptions, WeightsAfter, load_tree
from srzoo.options.plain import plain
from srzoo.options.schema import Options
from srzoo.options.shipped import find_option_file
from srzoo.options.stages import ChainStage, set_defaults_from_chain
from srzoo.options.sweep import Sweep, read_sweep, variant_tree
from srzoo.options.tree import OptionFault, OptionsError, Tree, dotted

# Overrides of the test file begin with this: --set test.datasets.test.Set14=null.
_OF_TEST = "test."


@dataclass(frozen=True)
class StudyVariant:
    """One variant of a study.

    Args:
        name: of the variant.
        settings: dotted option -> value that the variant sets.
        same_as: earlier variant with the same options, which is trained for both; "" if there is none.
    """

    name: str
    settings: Mapping[str, Any]
    same_as: str = ""


@dataclass(frozen=True)
class StudyRun:
    """One training of a study.

    Args:
        variant: name of its variant.
        seed: of the repetition.
        training: its options.
        test: options to score its weights with; None: its validation sets are all there is.
    """

    variant: str
    seed: int
    training: LoadedOptions
    test: LoadedOptions | None

    @property
    def name(self) -> str:
        """Name of the run, VARIANT_sSEED."""
        return self.training.options.name


@dataclass(frozen=True)
class Study:
    """Trainings side by side.

    Args:
        name: of the study.
        folder: experiments/<name>, with a run folder for each training.
        variants: in the order of the file; the first is the baseline.
        seeds: of the repetitions.
        runs: all trainings, the first seed of each variant first; none for variants that are the same as another.
    """

    name: str
    folder: Path
    variants: Sequence[StudyVariant]
    seeds: Sequence[int]
    runs: Sequence[StudyRun]


def load_study(file: Path, overrides: Sequence[str], weights_after: WeightsAfter, run_plugins: bool = True) -> Study:
    """Load every training of a study, without touching data or a GPU.

    Args:
        file: option file with a `sweep`; ``options/...`` may be one that comes with srzoo.
        overrides: ``key.path=value`` texts for all trainings; ``sweep.KEY=[...]`` for the study, ``test.KEY=value``
            for the test file.
        weights_after: options of a training -> the weights that it ends with.
        run_plugins: False: to look at the file without running code of its plugins.

    Raises:
        FileNotFoundError: no such file.
        OptionsError: every fault of the file, all variants together.
    """
    file, files = find_option_file(file), OptionFiles()
    sweep = read_sweep(file, [text for text in overrides if not text.startswith(_OF_TEST)], files)
    test = _test_tree(sweep, files, [text[len(_OF_TEST) :] for text in overrides if text.startswith(_OF_TEST)])
    if sweep.whole.unreadable or not sweep.variants:
        raise OptionsError(file, sweep.whole.faults)
    loaded, faults = _load_variants(file, sweep, files, run_plugins)
    if not faults and not sweep.whole.faults:
        return _study(file, sweep, loaded, test, weights_after, run_plugins)
    raise OptionsError(file, _of_study(sweep, faults))


def is_study(file: Path, overrides: Sequence[str] = ()) -> bool:
    """Return True if an option file has a `sweep`, inherited ones included.

    Raises:
        FileNotFoundError: no such file.
    """
    return "sweep" in OptionFiles().read(find_option_file(file), overrides).value


def _load_variants(
    file: Path, sweep: Sweep, files: OptionFiles, run_plugins: bool
) -> tuple[dict[str, LoadedOptions], dict[str, list[OptionFault]]]:
    """Return the options of each variant that has no fault, and the faults of the others."""
    loaded: dict[str, LoadedOptions] = {}
    faults: dict[str, list[OptionFault]] = {}
    for name in sweep.variants:
        try:
            tree = variant_tree(sweep, name, files)
        except LimitExceeded as error:
            sweep.whole.refuse(error, sweep.whole.location(("sweep",)))
            break
        # The study has reported these already.
        tree.faults = [fault for fault in tree.faults if fault not in sweep.whole.faults]
        if tree.value.get("train") is None:
            tree.fault(("train",), "a study trains: add `train` and datasets.train")
        set_defaults_from_chain(ChainStage(tree, sweep.whole.value.get("name")), name, None)
        try:
            loaded[name] = load_tree(file, tree, "run", run_plugins)
        except OptionsError as error:
            faults[name] = error.faults
    return loaded, faults


def _of_study(sweep: Sweep, faults: Mapping[str, Sequence[OptionFault]]) -> list[OptionFault]:
    """Return the faults of the study and of its variants, each once; those of some variants only name the first."""
    found = dict.fromkeys(sweep.whole.faults)
    places = {sweep.whole.location(place) for settings in sweep.variants.values() for _, _, place in settings}
    for name, own in faults.items():
        for fault in own:
            everywhere = all(fault in faults.get(other, ()) for other in sweep.variants)
            if not everywhere and fault.location not in places:
                if any(fault in faults[other] for other in list(faults)[: list(faults).index(name)]):
                    continue  # named with an earlier variant
                fault = dataclasses.replace(fault, message=f"variant {name}: {fault.message}")
            found[fault] = None
    return list(found)


def _study(
    file: Path,
    sweep: Sweep,
    loaded: Mapping[str, LoadedOptions],
    test: Tree | None,
    weights_after: WeightsAfter,
    run_plugins: bool,
) -> Study:
    first = next(iter(loaded.values())).options
    seeds = list(sweep.seeds) or [first.seed]
    variants: list[StudyVariant] = []
    known: dict[str, str] = {}  # options -> the first variant that has them
    for name, each in loaded.items():
        same = known.setdefault(_deciding(each.options), name)
        settings = {dotted(option): value for option, value, _ in sweep.variants[name]}
        variants.append(StudyVariant(name, settings, "" if same == name else same))
    trained = {each.name: loaded[each.name] for each in variants if not each.same_as}
    tests: dict[str, LoadedOptions] = {}
    faults: list[OptionFault] = []
    for name, training in trained.items():
        try:
            if test is not None:
                tests[name] = _load_test(file, test, training, run_plugins)
        except OptionsError as error:
            faults += [fault for fault in error.faults if fault not in faults]
    if test is None and any(not training.options.datasets.val for training in trained.values()):
        faults.append(OptionFault(str(file), ("test",), "nothing to compare: add `test` or datasets.val"))
    if faults:
        raise OptionsError(file, faults)
    runs: list[StudyRun] = []
    for seed in seeds:
        for name, training in trained.items():
            own = _of_seed(training, seed)
            weights = weights_after(own.options).absolute()
            runs.append(StudyRun(name, seed, own, _of_seed(tests[name], seed, weights) if name in tests else None))
    return Study(first.run_folder.parent.name, first.run_folder.parent, variants, seeds, runs)


def _deciding(options: Options) -> str:
    """Return a text that is equal for equal trainings: names are left out, and idle options of the network are null.

    An option of a plugin whose value has a true property `idle` changes nothing, such as dropout with probability 0.
    """
    args = {key: None if getattr(value, "idle", False) else value for key, value in options.network_g.args.items()}
    network = dataclasses.replace(options.network_g, args=args)
    return repr(plain(dataclasses.replace(options, name="_", network_g=network)))


def _of_seed(loaded: LoadedOptions, seed: int, weights: Path | None = None) -> LoadedOptions:
    """Return the options of a variant for one of its seeds, under the run's name; `weights` are those to test."""
    options, text = loaded.options, yaml.safe_load(loaded.text)
    name = f"{options.name}_s{seed}"
    path = options.path
    if weights is not None:
        path = dataclasses.replace(path, pretrain_network_g=weights)
        text["path"]["pretrain_network_g"] = str(weights)
    options = dataclasses.replace(options, seed=seed, name=name, path=path)
    written = yaml.safe_dump(text | {"seed": seed, "name": name}, sort_keys=False, width=120)
    return dataclasses.replace(loaded, options=options, text=written)


def _test_tree(sweep: Sweep, files: OptionFiles, overrides: Sequence[str]) -> Tree | None:
    """Read the file with datasets and metrics; None if the study names none, or none that can be read."""
    whole = sweep.whole
    if sweep.test is None:
        for override in overrides:
            message = "this study has no test file: add `test`"
            whole.faults.append(OptionFault(f"--set {_OF_TEST}{override}", ("test",), message))
        return None
    try:
        tree = files.read(find_option_file(sweep.test), overrides)
    except FileNotFoundError:
        whole.fault(
            ("test",),
            f"{sweep.test} does not exist; a test file is looked for beside the file that names it, options/... also "
            "among the files that come with srzoo",
        )
        return None
    for key in ("stages", "sweep"):
        if key in tree.value:
            tree.fault((key,), "expected an option file with one test")
    if not tree.get("datasets", "test"):
        tree.fault(("datasets", "test"), "nothing to test on: add datasets.test")
    whole.faults += [fault for fault in tree.faults if fault not in whole.faults]
    return tree


def _load_test(file: Path, test: Tree, training: LoadedOptions, run_plugins: bool) -> LoadedOptions:
    """Return the options that score a variant: all of the test file but network, scale and weights.

    The run of the test lies below ``test/`` of the study. :func:`_of_seed` sets the weights of each seed.
    """
    tree, trained = copy.deepcopy(test), yaml.safe_load(training.text)
    tree.faults = []
    options = training.options
    if tree.value.get("scale") not in (None, options.scale):
        tree.fault(("scale",), f"expected {options.scale}, the scale of the trainings, got {tree.value['scale']}")
    path = tree.value.get("path")
    path = dict(path) if isinstance(path, dict) else {}
    path |= {
        "experiments": str((options.run_folder.parent / "test").absolute()),
        "pretrain_network_g": "weights of a seed",
        "param_key_g": "auto",
        "load": "strict",
    }
    path.setdefault("root", trained["path"]["root"])
    plugins = [*trained["plugins"], *(tree.value.get("plugins") or [])]
    # The training has been checked: a fault in these would be one of the study, not of the test file.
    tree.value |= {"path": path, "plugins": list(dict.fromkeys(plugins))}
    tree.value |= {key: trained[key] for key in ("name", "scale", "seed", "network_g")}
    for key in ("name", "scale", "seed", "network_g", "plugins"):
        tree.locations = {place: line for place, line in tree.locations.items() if place[:1] != (key,)}
        tree.locations[(key,)] = str(file)
    return load_tree(file, tree, "run", run_plugins)
