"""Trial of constructors while an option file is loaded, for faults that only the plugin itself can find.

An example is a width that the number of heads does not divide. Such faults are reported together with all others.
Networks are built on PyTorch's meta device, without memory for weights, and only as far as some memory might hold them.
Datasets and losses, which may read files, are built later.
"""

from typing import Any

from srzoo.contract import contract_of
from srzoo.options.entry import Entry
from srzoo.options.limits import shortened
from srzoo.options.plain import plain
from srzoo.options.schema import Options
from srzoo.options.tree import KeyPath, Tree
from srzoo.options.unchecked import UnknownTypes
from srzoo.registry import ARCHS, DISCRIMINATORS, UnknownPluginError

_NETWORKS = (ARCHS, DISCRIMINATORS)
# Of a count or a width of a network.
_LARGEST_INTEGER = 1_000_000


def try_constructors(options: Options, tree: Tree, unchecked: UnknownTypes | None = None) -> None:
    """Build the plugins that need no files, and add a fault to `tree` for each that refuses its options.

    Args:
        options: of a run.
        tree: that the options were read from.
        unchecked: entries to leave out because the plugins of the file were not run; gets those that turn out to need
            one, such as a D2CNet with a backbone of a plugin. None: there are no such plugins.
    """
    import torch

    from srzoo.blueprint import NetworkTooLargeError, blueprint

    for path, entry in _entries(options):
        if unchecked is not None and unchecked.covers(path):
            continue
        if _refuse_large_integers(path, entry, tree):
            continue
        try:
            # Outside networks, tracing would only slow down what optimisers import.
            with blueprint() if entry.registry in _NETWORKS else torch.device("meta"):
                weights = [torch.nn.Parameter(torch.zeros(1))]
                built = entry.build(scale=options.scale, params=weights)
            if path == ("network_g",):
                _try_network(built, options, tree)
        except NetworkTooLargeError as error:
            large = _large_options(entry, options)
            tree.fault((*path, "type"), f"{entry.type} is too large to be built: {error} ({large})")
        except (ValueError, LookupError) as error:
            if unchecked is not None and isinstance(error, UnknownPluginError):
                unchecked.reasons[path] = str(error).partition(";")[0]
                continue
            tree.fault((*path, "type"), f"{entry.type}: {error}")
        except Exception:  # a constructor that computes with its weights fails on the meta device
            continue


def _refuse_large_integers(path: KeyPath, entry: Entry, tree: Tree) -> bool:
    """Add a fault for each count or width of a network that needs no trial; return True if there is one."""
    if entry.registry not in _NETWORKS:
        return False
    large = {
        name: value
        for name, value in _changed(entry).items()
        if max(_integers(value), default=0) > _LARGEST_INTEGER and not name.endswith("seed")
    }
    for name, value in large.items():
        shown = shortened(str(plain(value)))
        tree.fault((*path, name), f"expected at most {_LARGEST_INTEGER:,} in a network, got {shown}")
    return bool(large)


def _large_options(entry: Entry, options: Options) -> str:
    """Name the options of an entry whose integers are larger, or more, than those of the default."""
    changed, defaults = _changed(entry), _defaults(entry)
    large = [name for name in changed if sum(_integers(changed[name])) > sum(_integers(defaults[name]))]
    named = [f"{name} {shortened(str(plain(changed[name])), 40)}" for name in large or changed]
    return ", ".join(named) or f"scale {options.scale}"


def _changed(entry: Entry) -> dict[str, Any]:
    """Return the options of the plugin that are not at their defaults."""
    defaults = _defaults(entry)
    return {name: value for name, value in entry.args.items() if value != defaults[name]}


def _defaults(entry: Entry) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in entry.registry.parameters(entry.type).items()}


def _integers(value: Any) -> list[int]:
    """Return the integers in an option value: a count, or a list of them."""
    items = value if isinstance(value, list | tuple) else [value]
    return [item for item in items if isinstance(item, int) and not isinstance(item, bool)]


def _entries(options: Options) -> list[tuple[KeyPath, Entry]]:
    entries: list[tuple[KeyPath, Entry]] = [(("network_g",), options.network_g)]
    if options.network_d is not None:
        entries.append((("network_d",), options.network_d))
    if options.train is not None:
        entries.append((("train", "scheduler"), options.train.scheduler))
        entries.append((("train", "optim_g"), options.train.optim_g))
    if options.degradation is not None:
        entries += [(("degradation", "stages", n), stage) for n, stage in enumerate(options.degradation.stages)]
    return entries + [(("val", "metrics", name), entry) for name, entry in options.val.metrics.items()]


def _try_network(net: object, options: Options, tree: Tree) -> None:
    """Compare the requirements of the other options with the abilities of the network."""
    from torch import nn

    from srzoo.infer.tile import refuse_other_tiles
    from srzoo.layers import reparam

    assert isinstance(net, nn.Module)
    name, val = options.network_g.type, options.val
    if val.fused and all(block.merged for _, block in reparam.blocks(net)):
        tree.fault(("val", "fused"), f"{name} with these options has no re-parameterisable block")
    try:
        refuse_other_tiles(name, contract_of(net), val.tile_rule, val.tile, val.tile_overlap)
    except ValueError as error:
        tree.fault(("val", "tile"), str(error))
    # The degradation crops last.
    crop, path = options.datasets.train and options.datasets.train.args.get("gt_size"), ("datasets", "train", "gt_size")
    if options.degradation is not None and options.degradation.gt_size is not None:
        crop, path = options.degradation.gt_size, ("degradation", "gt_size")
    smallest = contract_of(net).multiple_of
    if isinstance(crop, int) and crop // options.scale < smallest:
        tree.fault(
            path,
            f"LQ crops of {crop // options.scale} pixels are smaller than the {smallest} that {name} works on without "
            f"padding; expected at least {smallest * options.scale} GT pixels, got {crop}",
        )
