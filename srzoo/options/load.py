"""Loading an option file: :class:`Options`, or all of its faults at once."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from srzoo.options.idle_nulls import drop_idle_nulls
from srzoo.options.inheritance import apply_overrides, read_tree
from srzoo.options.paths import expand_environment, path_keys, resolve_paths
from srzoo.options.plain import plain
from srzoo.options.rules import contradictions
from srzoo.options.schema import Options
from srzoo.options.shipped import find_option_file
from srzoo.options.stages import read_stages, set_defaults_from_chain
from srzoo.options.tree import KeyPath, OptionFault, OptionsError, Tree
from srzoo.options.trial import try_constructors
from srzoo.options.unchecked import UnknownTypes, plugin_files
from srzoo.options.validate import validate
from srzoo.registry import ARCHS, load_plugin

# Options of a training -> the weights file that it ends with.
WeightsAfter = Callable[[Options], Path]
Purpose = Literal["run", "network"]


@dataclass(frozen=True)
class LoadedOptions:
    """Options, and the option file that gives them with inheritance, overrides and defaults written out.

    Args:
        options: with all paths resolved.
        text: the file, with paths as the user wrote them.
        unchecked: path of an entry that only a plugin can check, if plugins were not run -> the reason.
    """

    options: Options
    text: str
    unchecked: Mapping[KeyPath, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Checksum of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def path_keys(self) -> frozenset[KeyPath]:
        """Options in the text that are written as paths."""
        return path_keys(yaml.safe_load(self.text))


def load_options(file: Path, overrides: Sequence[str] = (), purpose: Purpose = "run") -> LoadedOptions:
    """Read, inherit, override and check an option file, without touching data or a GPU.

    Args:
        file: the option file; ``options/...`` may be one that comes with srzoo.
        overrides: ``key.path=value`` texts, applied last.
        purpose: "network": the file may leave out datasets to train or test on.

    Raises:
        FileNotFoundError: no such file.
        OptionsError: every fault of the file.
    """
    file = find_option_file(file)
    tree = read_tree(file, overrides)
    _refuse_basicsr_file(file, tree)
    refuse_study(file, tree)
    if "stages" in tree.value:
        tree.fault(("stages",), "a chain of trainings is for train.py; here, name a file with one training or network")
        raise OptionsError(file, tree.faults)
    return load_tree(file, tree, purpose)


def load_architecture(name: str, scale: int, overrides: Sequence[str] = ()) -> LoadedOptions:
    """Check the options of a network without an option file: ``--arch NAME --scale N --set network_g.KEY=VALUE``.

    Raises:
        OptionsError: every fault.
    """
    source = "--arch"
    tree = Tree({"name": name, "scale": scale, "network_g": {"type": name}}, {(): source})
    apply_overrides(tree, overrides)
    return load_tree(Path(source), tree, "network")


def load_chain(
    file: Path, overrides: Sequence[str], weights_after: WeightsAfter, run_plugins: bool = True
) -> dict[str, LoadedOptions]:
    """Load the trainings of a file in order: those under `stages`, or the only one under the name "".

    The run of a stage lies below that of the chain. A stage starts from the weights that the stage before it ends
    with, unless it names others (or null) itself.

    Args:
        file: the option file; ``options/...`` may be one that comes with srzoo.
        overrides: ``key.path=value`` texts, applied last to every stage; ``stages.<name>.key=value`` to one.
        weights_after: options of a stage -> the weights that it ends with.
        run_plugins: False: to look at the file without running code of its plugins; entries of types that none of
            srzoo's own plugins has are left unchecked.

    Raises:
        FileNotFoundError: no such file.
        OptionsError: every fault of the file, all stages together.
    """
    file = find_option_file(file)
    chain: dict[str, LoadedOptions] = {}
    faults: list[OptionFault] = []
    weights: Path | None = None
    for name, stage in read_stages(file, overrides).items():
        _refuse_basicsr_file(file, stage.tree)
        refuse_study(file, stage.tree)
        if name:
            set_defaults_from_chain(stage, name, weights)
        try:
            chain[name] = load_tree(file, stage.tree, "run", run_plugins)
        except OptionsError as error:
            # Stages share the rest of the file, and so its faults.
            faults = _distinct([*faults, *error.faults])
            weights = Path("weights of a stage that has faults")
        else:
            weights = weights_after(chain[name].options).absolute()
    if faults:
        raise OptionsError(file, faults)
    return chain


def _refuse_basicsr_file(file: Path, tree: Tree) -> None:
    if "model_type" in tree.value:  # a key of every option file of BasicSR
        command = f"srzoo convert options {file} -o {file.stem}_srzoo.yml"
        tree.fault(("model_type",), f"this is an option file of BasicSR's kind; to convert it: {command}")
        raise OptionsError(file, tree.faults)


def refuse_study(file: Path, tree: Tree) -> None:
    """Refuse the options of a study where those of one training, network or chain are expected.

    Raises:
        OptionsError: the tree has a key `sweep`.
    """
    if "sweep" in tree.value:
        command = f"srzoo sweep -opt {file}"
        tree.fault(("sweep",), f"this is a study of several trainings, side by side; to run it: {command}")
        raise OptionsError(file, tree.faults)


def load_tree(file: Path, tree: Tree, purpose: Purpose, run_plugins: bool = True) -> LoadedOptions:
    """Check the options of one training, test or network that were read from a file.

    Raises:
        OptionsError: every fault of the tree.
    """
    if tree.unreadable:
        raise OptionsError(file, tree.faults)
    # Plugins first: the types that they register decide which keys exist.
    _load_plugins(tree, run_plugins)
    _register_bridged_network(tree)
    drop_idle_nulls(tree)
    unchecked = None if run_plugins or not plugin_files(tree) else UnknownTypes(tree)
    expand_environment(tree, unchecked)
    with unchecked.accepted() if unchecked is not None else nullcontext():
        written, faults = validate(tree)
    if written is None:
        raise OptionsError(file, _distinct([*tree.faults, *faults, *contradictions(tree, purpose)]))
    options = resolve_paths(written)
    try_constructors(options, tree, unchecked)
    faults = [*tree.faults, *contradictions(tree, purpose)]
    if faults:
        raise OptionsError(file, _distinct(faults))
    # Runs are resumed, and their options compared, by this text: it must not depend on path.root being applied.
    text = yaml.safe_dump(plain(written), sort_keys=False, width=120)
    return LoadedOptions(options, text, unchecked.reasons if unchecked is not None else {})


def _load_plugins(tree: Tree, run: bool) -> None:
    """Run the plugins of a file; with `run` off, only check that there are such files."""
    for position, path in plugin_files(tree):
        try:
            if run:
                load_plugin(path)
            elif not path.is_file():
                raise FileNotFoundError(f"plugin file {path} does not exist")
        except (ValueError, FileNotFoundError) as error:
            tree.fault(("plugins", position), str(error))


def _register_bridged_network(tree: Tree) -> None:
    """Register the network of another package (basicsr/...) that the file names."""
    try:
        ARCHS.reach(tree.get("network_g", "type"))
    except LookupError as error:
        tree.fault(("network_g", "type"), str(error))


def _distinct(faults: Sequence[OptionFault]) -> list[OptionFault]:
    """Return each fault once, in order."""
    return list(dict.fromkeys(faults))
