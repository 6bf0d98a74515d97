"""The network that a command works with: from a weights file, an option file, or a name and options."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.arguments import add_options_file, add_weights

if TYPE_CHECKING:
    from torch import nn

    from srzoo.options import Options


def add_network(parser: argparse.ArgumentParser, *, without: str, scale: str) -> None:
    """Add --weights, -opt, --set, --arch and --scale.

    Args:
        parser: of the command.
        without: default of --weights.
        scale: explains --scale.
    """
    add_weights(parser, required=False, form=f"which says its network or shows it (default: {without})")
    add_options_file(parser, required=False, use="which names the network, for weights that do not say it")
    parser.add_argument(
        "--arch",
        metavar="TYPE",
        help="network, instead of an option file; its options with --set network_g.KEY=VALUE (default: none)",
    )
    parser.add_argument("--scale", type=int, metavar="N", help=scale)


def named_network(arguments: Arguments, *, initial: bool = False) -> "nn.Module":
    """Build the network that --weights, -opt or --arch name, with its weights, for inference.

    Args:
        arguments: of the command.
        initial: without weights, take the initial ones, drawn from the option file's seed.

    Raises:
        CheckpointError: the weights do not say their network, or do not fit it.
        OptionsError: faults of the options.
        ValueError: arguments that contradict each other, or a network without its weights.
    """
    from srzoo.components import build_network, load_pretrained
    from srzoo.tensor_files import CheckpointError
    from srzoo.weights import load_network, load_weights, refuse_other_network

    if arguments.set and not (arguments.opt or arguments.arch):
        raise ValueError("--set overrides options of a network: name it with -opt or --arch")
    if not (arguments.opt or arguments.arch):
        try:
            net = load_network(arguments.weights)
        except CheckpointError as error:
            if "option file" not in str(error):  # another reason than an unknown network
                raise
            raise CheckpointError(
                f"{error}\nor name it here: -opt FILE, or --arch TYPE --scale N --set network_g.KEY=VALUE"
            ) from error
        _refuse_other_scale(arguments, net, arguments.weights)
        return net
    options = _options(arguments)
    net = build_network(options)
    if arguments.weights is not None:
        weights = load_weights(net, arguments.weights, options.path.param_key_g)
        refuse_other_network(net, arguments.weights, weights.identity)
    elif options.path.pretrain_network_g is not None:
        load_pretrained(options, net)
    elif not initial and any(True for _ in net.parameters()):
        raise ValueError(f"{options.network_g.type} has weights, and none are given: name them with --weights FILE")
    return net.eval()


def _options(arguments: Arguments) -> "Options":
    from srzoo.options import load_architecture, load_options

    if arguments.opt is None:
        if arguments.scale is None:
            raise ValueError(f"--arch {arguments.arch}: give its magnification too, with --scale N")
        return load_architecture(arguments.arch, arguments.scale, arguments.set).options
    if arguments.arch is not None:
        raise ValueError("-opt and --arch both name a network: give one of them")
    options = load_options(arguments.opt, arguments.set, purpose="network").options
    if arguments.scale not in (None, options.scale):
        raise ValueError(f"{arguments.opt} has scale {options.scale}, but --scale says {arguments.scale}: leave it out")
    return options


def _refuse_other_scale(arguments: Arguments, net: "nn.Module", source: Path) -> None:
    from srzoo.contract import identity_of

    scale = identity_of(net).scale
    if arguments.scale not in (None, scale):
        raise ValueError(
            f"the network in {source} enlarges by {scale}, but --scale says {arguments.scale}: leave it out"
        )
