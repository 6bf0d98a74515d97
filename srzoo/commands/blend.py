"""`srzoo blend`: interpolation between the weights of two networks."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.arguments import add_options_file, add_overwrite, check_target, describe
from srzoo.commands.network import named_network

if TYPE_CHECKING:
    from torch import nn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two files, the weight of the first and the file to write."""
    describe(
        parser,
        "Interpolate between two networks of one kind, such as one trained for PSNR and one finetuned from it with an "
        "adversarial loss: every weight of C is ALPHA * A + (1 - ALPHA) * B.",
        "psnr.safetensors gan.safetensors --alpha 0.3 -o blended.safetensors",
    )
    parser.add_argument("first", type=Path, metavar="A", help="weights file")
    parser.add_argument("second", type=Path, metavar="B", help="weights file of the same network")
    parser.add_argument("--alpha", type=float, required=True, help="weight of A, 0 to 1; B has the rest")
    parser.add_argument("-o", dest="out", type=Path, required=True, metavar="C", help="file to write (.safetensors)")
    add_options_file(parser, required=False, use="which names the network, for weights that do not say it")
    add_overwrite(parser, "C")


def run(arguments: Arguments) -> None:
    """Interpolate and write.

    Raises:
        CheckpointError: a file is not read, its network is unknown, or the weights do not fit it.
        ValueError: the networks differ, --alpha is not in [0, 1], or C exists.
    """
    from srzoo.contract import identity_of
    from srzoo.engine.log import log_to, logger
    from srzoo.state_dicts import interpolated
    from srzoo.tensor_files import sha256
    from srzoo.weights import refuse_other_network, save_weights

    log_to()
    first, second, alpha = arguments.first, arguments.second, arguments.alpha
    if not 0 <= alpha <= 1:
        raise ValueError(f"--alpha must be from 0 to 1, got {alpha:g}")
    check_target(arguments.out, arguments.overwrite, (".safetensors",))
    net, other = (_network(arguments, file) for file in (first, second))
    refuse_other_network(net, second, identity_of(other))
    blended = interpolated(net.state_dict(), other.state_dict(), alpha, names=(str(first), str(second)))
    net.load_state_dict(blended)
    sources = {
        "form": "interpolated",
        **{f"source_{letter}": file.name for letter, file in (("a", first), ("b", second))},
        **{f"source_{letter}_sha256": sha256(file) for letter, file in (("a", first), ("b", second))},
        "alpha": f"{alpha:g}",
    }
    save_weights(arguments.out, net, sources)
    logger.info(f"{alpha:g} * {first} + {1 - alpha:g} * {second} -> {arguments.out}: {len(blended)} tensors")


def _network(arguments: Arguments, file: Path) -> "nn.Module":
    """Load one of the two networks."""
    named = Arguments(weights=file, opt=arguments.opt, set=arguments.set, arch=None, scale=None)
    return named_network(named)
