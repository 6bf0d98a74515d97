"""Trial of constructors while an option file is loaded, for faults that only the plugin itself can find.

An example is a width that the number of heads does not divide. Such faults are reported together with all others.
Networks are built on PyTorch's meta device, without memory for weights. Datasets and losses, which may read files, are
built later.
"""

from srzoo.contract import contract_of
from srzoo.options.entry import Entry
from srzoo.options.schema import Options
from srzoo.options.tree import KeyPath, Tree


def try_constructors(options: Options, tree: Tree) -> None:
    """Build the plugins that need no files, and add a fault to `tree` for each that refuses its options."""
    import torch

    for path, entry in _entries(options):
        try:
            with torch.device("meta"):
                weights = [torch.nn.Parameter(torch.zeros(1))]
                built = entry.build(scale=options.scale, params=weights)
            if path == ("network_g",):
                _try_network(built, options, tree)
        except (ValueError, LookupError) as error:
            tree.fault((*path, "type"), f"{entry.type}: {error}")
        except Exception:  # a constructor that computes with its weights fails on the meta device
            continue


def _entries(options: Options) -> list[tuple[KeyPath, Entry]]:
    entries: list[tuple[KeyPath, Entry]] = [(("network_g",), options.network_g)]
    if options.train is not None:
        entries.append((("train", "scheduler"), options.train.scheduler))
        entries.append((("train", "optim_g"), options.train.optim_g))
    if options.degradation is not None:
        entries += [(("degradation", "stages", n), stage) for n, stage in enumerate(options.degradation.stages)]
    return entries + [(("val", "metrics", name), entry) for name, entry in options.val.metrics.items()]


def _try_network(net: object, options: Options, tree: Tree) -> None:
    """Compare the requirements of the other options with the abilities of the network."""
    from torch import nn

    from srzoo.infer.tile import tiled
    from srzoo.layers import reparam

    assert isinstance(net, nn.Module)
    name, val = options.network_g.type, options.val
    if val.fused and all(block.merged for _, block in reparam.blocks(net)):
        tree.fault(("val", "fused"), f"{name} with these options has no re-parameterisable block")
    try:
        tiled(net, rule=val.tile_rule, tile=val.tile, overlap=val.tile_overlap, scale=options.scale)
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
