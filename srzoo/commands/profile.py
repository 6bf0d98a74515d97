"""`srzoo profile`: parameters, multiply-adds, latency and memory of networks, side by side."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.arguments import SIZES, describe, input_size
from srzoo.commands.networks import NamedNetwork, add_networks, named_networks

if TYPE_CHECKING:
    import torch

    from srzoo.analysis.profile import Profile
    from srzoo.analysis.speed import Pass, Pressure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the networks, the input and the ways to measure and report."""
    describe(
        parser,
        "Count the parameters, multiply-adds, activations and convolutions of networks in their deployed form, and "
        "measure latency, throughput and memory on this machine. One multiply-add counts as 1: convolutions and linear "
        "layers, products of attention apart. What cannot be counted is an error, never zero. docs/costs.md explains "
        "the conventions.",
        "--arch IMDN --scale 4 --arch RT4KSR --scale 4 --input 320x180",
        "-opt options/test/imdn/IMDN_x4.yml options/test/drct/DRCT_x4.yml --input ntire --no-latency --json costs.json",
        "--weights net.safetensors --pressure --plot pressure.png",
        "--results experiments/*/results/Set5.json --no-latency --plot quality.png",
    )
    add_networks(parser, results=True)
    parser.add_argument(
        "--input", type=input_size, default=SIZES["ntire"], metavar="WxH",
        help=f"size of the LQ image, WIDTHxHEIGHT or one of {', '.join(SIZES)} (default: ntire, 256x256)",
    )  # fmt: skip
    parser.add_argument("--no-latency", action="store_true", help="count only (default: measure too)")
    parser.add_argument("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, ... (default: the first GPU, else cpu)")
    parser.add_argument(
        "--precision", choices=["fp32", "tf32", "bf16", "fp16"], default="fp32", help="of the passes (default: fp32)"
    )
    parser.add_argument("--compile", action="store_true", help="time the network under torch.compile (default: off)")
    parser.add_argument(
        "--backend", choices=["torch", "onnxruntime", "openvino"], default="torch",
        help="program that runs the network when it is timed (default: torch)",
    )  # fmt: skip
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="timed passes (default: 20)")
    parser.add_argument(
        "--pressure", action="store_true",
        help="measure square images of growing size until the memory is full or --limit is reached (default: off)",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=float, default=10.0, metavar="SECONDS",
        help="longest pass of the pressure test (default: 10)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values (default: none)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table (default: none)")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE",
        help="draw quality against cost (with --results) or latency and memory against size (with --pressure), as PNG, "
        "PDF or SVG (default: none)",
    )  # fmt: skip


def run(arguments: Arguments) -> None:
    """Count and measure the networks, print a table and write what was asked for.

    Raises:
        UncountableError: the costs of a network cannot be counted.
        ValueError: the arguments contradict each other.
    """
    from srzoo.analysis.profile import content_of, count
    from srzoo.atomic import write_text
    from srzoo.engine.log import log_to, logger
    from srzoo.report import costs

    _check(arguments)
    log_to()
    networks, size = named_networks(arguments), arguments.input
    # Counting comes first: what cannot be counted ends the command before time is spent on measuring.
    profiles = [count(each.name, each.net, size, each.quality) for each in networks]
    conditions = None if arguments.no_latency else _conditions(arguments)
    pressure: dict[str, list[Pressure]] = {}
    for place, each in enumerate(networks):
        if arguments.pressure:
            pressure[each.name] = _pressed(each, arguments)
        elif conditions is not None:
            profiles[place] = _measured(each, profiles[place], arguments)
    rows = costs.rows(profiles)
    logger.info(costs.text(rows, size, conditions))
    for name, results in pressure.items():
        logger.info(f"\n{name}\n" + costs.text_of_pressure(results))
    if arguments.json:
        write_text(arguments.json, content_of(profiles, size, conditions, pressure))
    if arguments.markdown:
        write_text(arguments.markdown, costs.markdown(rows, size, conditions, pressure))
    if arguments.plot and arguments.pressure:
        from srzoo.report.plots import plot_pressure

        plot_pressure(arguments.plot, pressure)
    elif arguments.plot:
        from srzoo.report.plots import plot_quality

        plot_quality(arguments.plot, profiles)
    written = [str(target) for target in (arguments.json, arguments.markdown, arguments.plot) if target]
    if written:
        logger.info(f"wrote {', '.join(written)}")


def _check(arguments: Arguments) -> None:
    """Check that the arguments agree, before any network is built.

    Raises:
        ValueError: they contradict each other.
    """
    from srzoo.atomic import require_writable
    from srzoo.report.plots import require_plot

    if arguments.pressure and arguments.no_latency:
        raise ValueError("--pressure measures, and --no-latency only counts: remove one of them")
    if arguments.backend != "torch" and (arguments.compile or arguments.precision != "fp32"):
        raise ValueError(f"--compile and --precision are PyTorch's: they do nothing with --backend {arguments.backend}")
    if arguments.runs < 2:
        raise ValueError(f"--runs must be at least 2, got {arguments.runs}")
    if arguments.plot:
        if not arguments.pressure and not any(kind == "results" for kind, _ in arguments.networks):
            raise ValueError("--plot draws the scores of --results FILE, or the measurements of --pressure: name one")
        require_plot(arguments.plot)
    for target in filter(None, (arguments.json, arguments.markdown, arguments.plot)):
        require_writable(target)


def _device(arguments: Arguments) -> "torch.device":
    import torch

    from srzoo import ranks

    return torch.device(arguments.device) if arguments.device else ranks.initialise()


def _conditions(arguments: Arguments) -> dict[str, str | int]:
    """Return how the networks are timed: form, arithmetic, program, hardware and versions."""
    from srzoo.analysis.speed import hardware
    from srzoo.optim.precision import WORDS

    return {
        "form": "deployed (re-parameterised blocks merged)",
        "precision": WORDS[arguments.precision],
        "program": "torch.compile" if arguments.compile else arguments.backend,
        **hardware(_device(arguments)),
    }


def _runner(each: NamedNetwork, arguments: Arguments) -> "Pass":
    """Return the deployed form of a network, as it is asked to run."""
    from srzoo.analysis.profile import runner

    return runner(
        each.net,
        device=_device(arguments),
        precision=arguments.precision,
        compile_it=arguments.compile,
        backend=arguments.backend,
    )


def _measured(each: NamedNetwork, profile: "Profile", arguments: Arguments) -> "Profile":
    """Return the profile with the network's speed."""
    import dataclasses

    import torch

    from srzoo.analysis.speed import measure_speed

    lq = torch.rand(profile.cost.input, device=_device(arguments))
    return dataclasses.replace(profile, speed=measure_speed(_runner(each, arguments), lq, runs=arguments.runs))


def _pressed(each: NamedNetwork, arguments: Arguments) -> "list[Pressure]":
    """Run the pressure test of a network."""
    from srzoo.analysis.speed import pressure_test
    from srzoo.contract import identity_of
    from srzoo.progress import shown

    channels = identity_of(each.net).num_in_ch
    results = pressure_test(_runner(each, arguments), channels, _device(arguments), limit=arguments.limit)
    return list(shown(results, each.name, unit="size"))
