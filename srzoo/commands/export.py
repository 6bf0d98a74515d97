"""`srzoo export`: write a network in its deployed form for another runtime, compared with the original there."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.arguments import add_overwrite, add_weights, check_target, describe

if TYPE_CHECKING:
    from torch import nn

    from srzoo.export.formats import Request

SUFFIXES = {"onnx": ".onnx", "ncnn": ".param", "tflite": ".tflite", "exported": ".pt2"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the network, the format, the sizes, the precision and the file to write."""
    describe(
        parser,
        "Write a network with merged blocks for another runtime; load the result there and compare it with the "
        "network on images of three sizes. An export that differs is refused and not written.",
        "--weights imdn_rtc_x2.safetensors --to onnx -o imdn_rtc_x2.onnx",
        "--weights imdn_rtc_x2.safetensors --to ncnn --input 720x480 --fp16 -o imdn_rtc_x2.param",
    )
    add_weights(parser, form="a network that says what it is, or a published one")
    parser.add_argument("--to", required=True, choices=SUFFIXES, help="format; exported: a program of torch.export")
    names = ", ".join(SUFFIXES.values())
    parser.add_argument(
        "-o", dest="out", type=Path, required=True, metavar="OUT", help=f"file to write ({names} with a .bin beside it)"
    )
    parser.add_argument(
        "--input",
        type=_size,
        metavar="WxH",
        help="width and height of the only size that the file takes (default: sizes vary)",
    )
    parser.add_argument(
        "--dynamic",
        action="store_true",
        help="let sizes vary, or stop if the format cannot (default: on without --input)",
    )
    parser.add_argument("--fp16", action="store_true", help="weights in float16 (default: float32)")
    parser.add_argument("--int8", action="store_true", help="int8 by static quantisation, for onnx (default: float32)")
    parser.add_argument(
        "--calibrate", type=Path, metavar="DIR", help="LQ images from which --int8 takes its ranges (default: none)"
    )
    parser.add_argument(
        "--check", type=Path, metavar="DIR", help="photographs to compare on (default: those of scikit-image)"
    )
    add_overwrite(parser, "OUT")


def run(arguments: Arguments) -> None:
    """Export a network, compare it with the original in its runtime, and write it.

    Raises:
        CheckpointError: the weights belong to no known network.
        ValueError: the format cannot hold the network, the export differs from it, or OUT exists.
    """
    from srzoo.atomic import write_atomic
    from srzoo.contract import identity_of
    from srzoo.engine.log import log_to, logger
    from srzoo.export import parity
    from srzoo.export.deployed import deployed
    from srzoo.export.formats import artifact_of, refuse_impossible
    from srzoo.weights import load_network

    log_to()
    targets = _targets(arguments)
    _refuse_contradictions(arguments)
    net = deployed(load_network(arguments.weights))
    request = _request(arguments, net)
    refuse_impossible(net, request)
    photographs, name = parity.check_photographs(arguments.check, identity_of(net).num_in_ch)
    artifact = artifact_of(net, request)
    results = parity.check(net, artifact, photographs)
    logger.info(f"compared with {identity_of(net).type} in PyTorch on {name}:")
    for result in results:
        logger.info(f"  {result}")
    parity.refuse_difference(results, request.precision)
    # The first name is OUT: where it exists, all files are there.
    for suffix in reversed(list(artifact.files)):
        write_atomic(targets[suffix], lambda file, content=artifact.files[suffix]: file.write(content))
    sides = "any size" if artifact.size is None else "{1}x{0}".format(*artifact.size)
    logger.info(
        f"wrote {' and '.join(str(targets[suffix]) for suffix in artifact.files)} ({request.precision}, {sides})"
    )
    if artifact.multiple > 1:
        logger.warning(
            f"sides of images must be multiples of {artifact.multiple}: {arguments.to} cuts others without an error"
        )


def _size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT as (height, width)."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, such as 720x480, got {text!r}")
    return int(found[2]), int(found[1])


def _targets(arguments: Arguments) -> dict[str, Path]:
    """Return the file of each suffix."""
    out, suffix = arguments.out, SUFFIXES[arguments.to]
    targets = {suffix: out}
    if arguments.to == "ncnn":
        targets[".bin"] = out.with_suffix(".bin")
    for name, target in targets.items():
        check_target(target, arguments.overwrite, (name,))
    return targets


def _refuse_contradictions(arguments: Arguments) -> None:
    if arguments.dynamic and arguments.input:
        raise ValueError("--input fixes the size that --dynamic lets vary: give one of them")
    if arguments.dynamic and arguments.to == "tflite":
        raise ValueError("a TFLite file takes images of one size: give --input WIDTHxHEIGHT instead of --dynamic")
    if arguments.fp16 and arguments.int8:
        raise ValueError("give --fp16 or --int8, not both")
    if arguments.int8 and arguments.calibrate is None:
        raise ValueError("--int8 needs images like those that the network will see: --calibrate DIR")
    if arguments.calibrate is not None and not arguments.int8:
        raise ValueError("--calibrate has no use without --int8")


def _request(arguments: Arguments, net: "nn.Module") -> "Request":
    from srzoo.contract import identity_of
    from srzoo.export.formats import Request
    from srzoo.export.parity import calibration_images
    from srzoo.tensor_files import sha256

    calibration = []
    if arguments.int8:
        calibration = calibration_images(arguments.calibrate, identity_of(net).num_in_ch, arguments.input)
    return Request(
        arguments.to,
        arguments.input,
        "fp16" if arguments.fp16 else "int8" if arguments.int8 else "fp32",
        calibration,
        {"weights": arguments.weights.name, "weights_sha256": sha256(arguments.weights)},
    )
