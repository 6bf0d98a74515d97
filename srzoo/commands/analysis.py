"""Arguments and networks that the `srzoo analyze` commands share."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.arguments import add_overwrite
from srzoo.commands.network import add_network, named_network

if TYPE_CHECKING:
    from torch import Tensor, nn


_PICTURES = (".png", ".svg", ".pdf")


def add_analysis(parser: argparse.ArgumentParser, name: str, *, gt: str = "", inputs: str = "LQ images") -> None:
    """Add inputs, network, outputs, device and memory of an analysis.

    Args:
        parser: of the command.
        name: of the analysis, also that of its files.
        gt: what GT images are for; empty: the analysis uses none.
        inputs: what the inputs are.
    """
    parser.add_argument(
        "inputs", nargs="*", type=Path, metavar="INPUT",
        help=f"{inputs}: files or folders (without any: datasets.test of the option file)",
    )  # fmt: skip
    if gt:
        parser.add_argument(
            "--gt", nargs="+", type=Path, metavar="GT",
            help=f"GT images {gt}: files, or a folder; without INPUT, LQ is their bicubic reduction (default: none)",
        )  # fmt: skip
    add_network(parser, without="that of the option file", scale="magnification of --arch (default: none)")
    add_output(parser, name)


def add_output(parser: argparse.ArgumentParser, name: str) -> None:
    """Add outputs, device and memory of an analysis; `name` is also that of its files."""
    parser.add_argument(
        "-o", dest="out", type=Path, metavar="OUT", default=Path(name),
        help=f"name of the files: OUT.png, OUT.json, OUT.npz; OUT.svg or OUT.pdf add such a picture (default: {name})",
    )  # fmt: skip
    parser.add_argument(
        "--format", nargs="+", choices=["png", "svg", "pdf"], default=["png"],
        help="formats of pictures beside PNG (default: png)",
    )  # fmt: skip
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1, ... (default: auto, a GPU if there is one)"
    )
    parser.add_argument(
        "--max-memory", type=memory_size, metavar="SIZE",
        help="stop before tensors take more than this, such as 800M or 4G; batches are made to fit (default: no limit)",
    )  # fmt: skip
    add_overwrite(parser, "files of an earlier analysis")
    parser.add_argument("--debug", action="store_true", help="print the traceback of every error (default: off)")


def add_layers(parser: argparse.ArgumentParser) -> None:
    """Add --layer, which names layers."""
    parser.add_argument(
        "--layer", nargs="+", required=True, metavar="NAME",
        help="layers by the names of modules, NAME@2 for the second call of one that runs several times; all for all",
    )  # fmt: skip


def chosen_layers(arguments: Arguments, net: "nn.Module", lq: "Tensor") -> list[str]:
    """Return the layers that --layer names, as :func:`layers_named`."""
    return layers_named(arguments.layer, net, lq)


def layers_named(names: Sequence[str], net: "nn.Module", lq: "Tensor") -> list[str]:
    """Return layers without repetitions; `all` becomes all those with an image of features for the image (1, C, h, w).

    Raises:
        LookupError: `all` of a network without such layers.
    """
    if list(names) != ["all"]:
        return list(dict.fromkeys(names))
    from srzoo.analysis.layers import feature_layers

    layers = feature_layers(net, lq)
    if not layers:
        raise LookupError(f"{type(net).__name__} has no layer whose output is an image of features")
    return layers


def memory_size(text: str) -> int:
    """Read a size of memory such as 800M or 4G; return bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT])i?B?", text, re.IGNORECASE)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"expected a size with its unit, such as 800M or 4G, got {text!r}")
    return int(float(match[1]) * 1024 ** (1 + "KMGT".index(match[2].upper())))


def analysed_network(arguments: Arguments) -> "nn.Module":
    """Build the network, with its weights or else with initial ones, on the device.

    Raises:
        ValueError: no network, no such device, or the same as :func:`srzoo.commands.network.named_network`.
    """
    import torch

    from srzoo import heap
    from srzoo.engine.log import logger

    if not (arguments.weights or arguments.opt or arguments.arch):
        raise ValueError("no network: name one with --weights FILE, -opt FILE, or --arch TYPE --scale N")
    net = named_network(arguments, initial=True)
    if source_of_weights(arguments) == "initial" and any(True for _ in net.parameters()):
        logger.info("no weights are named: the network has its initial ones (--weights FILE)")
    word = arguments.device
    word = ("cuda" if torch.cuda.is_available() else "cpu") if word == "auto" else word
    try:
        net = net.to(torch.device(word)).eval()
    except (RuntimeError, AssertionError) as error:  # the latter from builds of PyTorch without CUDA
        raise ValueError(f"--device {word}: {str(error).splitlines()[0]}") from error
    if word == "cpu":
        heap.keep_freed()
    return net


def source_of_weights(arguments: Arguments) -> str:
    """Return the file name of the weights, or "initial"."""
    if arguments.weights is not None:
        return arguments.weights.name
    if arguments.opt is not None:
        from srzoo.options import load_options

        file = load_options(arguments.opt, arguments.set, purpose="network").options.path.pretrain_network_g
        if file is not None:
            return file.name
    return "initial"
