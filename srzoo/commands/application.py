"""The way in which a command applies its network to images: runtime, tiles, precision, devices."""

import argparse
from typing import TYPE_CHECKING

from srzoo.command import Arguments

if TYPE_CHECKING:
    from torch import nn

    from srzoo.infer.upscale import Upscaler


def add_application(parser: argparse.ArgumentParser) -> None:
    """Add --backend, --tile-rule, --tile, --overlap, --precision, --ensemble and --device."""
    parser.add_argument(
        "--backend",
        choices=["torch", "openvino", "onnxruntime"],
        default="torch",
        help='program that runs the network; others than torch need pip install "srzoo[export]" (default: torch)',
    )
    parser.add_argument(
        "--tile-rule",
        choices=["exact", "acs", "drct"],
        default="exact",
        help="exact: tiles without seams; acs: IMDN's adaptive cropping; drct: as DRCT's authors (default: exact)",
    )
    parser.add_argument(
        "--tile",
        type=_side,
        default="auto",
        metavar="N",
        help="side of a tile; 0: whole images (default: auto) [pixels]",
    )
    parser.add_argument(
        "--overlap",
        type=_side,
        default="auto",
        metavar="N",
        help="margin of a tile (default: auto, so that tiles equal whole images where that is possible) [pixels]",
    )
    parser.add_argument(
        "--precision",
        choices=["fp32", "tf32", "bf16", "fp16"],
        default="fp32",
        help="arithmetic of the network (default: fp32)",
    )
    parser.add_argument(
        "--ensemble",
        action="store_true",
        help="mean over eight flips and rotations, eight times as slow (default: off)",
    )
    parser.add_argument(
        "--device",
        nargs="+",
        default=["auto"],
        help="cpu, cuda, cuda:1, ...; several share the files (default: auto, all GPUs or the CPU)",
    )


def _side(word: str) -> int | str:
    if word == "auto":
        return word
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"expected auto or a number of pixels, got {word!r}")
    return int(word)


def upscalers_of(arguments: Arguments, net: "nn.Module") -> "list[Upscaler]":
    """Return the network as it is applied to images, once for each device.

    Raises:
        ValueError: no such device, or a runtime that is not installed.
    """
    from srzoo import heap
    from srzoo.infer.devices import devices_named, on_devices
    from srzoo.infer.upscale import Upscaler

    if arguments.backend == "torch":
        devices = devices_named(arguments.device)
        if any(device.type == "cpu" for device in devices):
            heap.keep_freed()
        nets = on_devices(net, devices)
    else:
        from srzoo.export.runtimes import runtime_network

        if arguments.precision != "fp32":
            raise ValueError(f"--backend {arguments.backend} computes in fp32: leave out --precision")
        words = ["cpu" if word == "auto" else word for word in arguments.device]
        nets = [runtime_network(net, arguments.backend, word) for word in words]
    return [
        Upscaler(
            each,
            tile=arguments.tile,
            overlap=arguments.overlap,
            ensemble=arguments.ensemble,
            precision=arguments.precision,
            tile_rule=arguments.tile_rule,
        )
        for each in nets
    ]
