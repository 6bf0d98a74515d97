"""Networks named on a command line: by option files, weights files, registered names or result files."""

import argparse
import json
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from srzoo.command import Arguments
from srzoo.commands.arguments import add_overrides

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class NamedNetwork:
    """A network and its name in tables.

    Args:
        name: the option file's, that of the weights file, or TYPE_xSCALE.
        net: with initial weights, unless it comes from a weights file.
        quality: "dataset metric" -> mean score, of a result file.
    """

    name: str
    net: "nn.Module"
    quality: dict[str, float] = field(default_factory=dict)


class _Listed(argparse.Action):
    """Appends (option, value) to the list of networks, which keeps the order of the command line."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        del parser, option_string
        items = cast(list[object], values if isinstance(values, list) else [values])
        listed: list[tuple[str, object]] = getattr(namespace, "networks", None) or []
        kind = self.option_strings[0].lstrip("-")
        namespace.networks = [*listed, *((kind, item) for item in items)]


def add_networks(parser: ArgumentParser, *, results: bool = False) -> None:
    """Add -opt, --weights, --arch with --scale, --set and, on demand, --results; all but --set may be repeated."""
    listed = {"action": _Listed, "dest": "networks"}
    parser.set_defaults(networks=[])
    parser.add_argument(
        "-opt", nargs="+", type=Path, metavar="FILE", help="option files of networks (default: none)", **listed
    )
    parser.add_argument(
        "--weights", nargs="+", type=Path, metavar="FILE", help="weights files of networks (default: none)", **listed
    )
    parser.add_argument("--arch", metavar="TYPE", help="registered name of a network (default: none)", **listed)
    parser.add_argument(
        "--scale", type=int, metavar="N", help="magnification of the --arch before it (default: none)", **listed
    )
    if results:
        parser.add_argument(
            "--results", nargs="+", type=Path, metavar="FILE",
            help="result files of `srzoo test`, with the network and its scores (default: none)", **listed,
        )  # fmt: skip
    add_overrides(parser)


def named_networks(arguments: Arguments) -> list[NamedNetwork]:
    """Build the networks of a command line, in its order.

    Raises:
        ValueError: there is none, or --arch and --scale do not come in pairs.
        OptionsError: the options of a network are wrong.
    """
    from srzoo.components import build_network
    from srzoo.options import load_architecture, load_options
    from srzoo.weights import load_network

    listed = list(arguments.networks)
    if not listed:
        raise ValueError("no network: name one with -opt FILE, --weights FILE or --arch TYPE --scale N")
    found: list[NamedNetwork] = []
    while listed:
        kind, value = listed.pop(0)
        if kind == "opt":
            options = load_options(value, arguments.set, purpose="network").options
            found.append(NamedNetwork(options.name, build_network(options)))
        elif kind == "weights":
            found.append(NamedNetwork(value.stem, load_network(value)))
        elif kind == "results":
            found.append(_of_results(value))
        elif kind == "scale" or not listed or listed[0][0] != "scale":
            raise ValueError("--arch TYPE and --scale N come in pairs, in this order: --arch IMDN --scale 4")
        else:
            options = load_architecture(value, listed.pop(0)[1], arguments.set).options
            found.append(NamedNetwork(f"{value.replace('/', '_')}_x{options.scale}", build_network(options)))
    names = [each.name for each in found]
    # Results are listed by name.
    return [
        replace(each, name=f"{each.name} ({place + 1})") if names.count(each.name) > 1 else each
        for place, each in enumerate(found)
    ]


def _of_results(file: Path) -> NamedNetwork:
    """Build the network that a result file of `srzoo test` describes, and read its mean scores.

    Raises:
        ValueError: it is no such file.
    """
    from srzoo.registry import ARCHS

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        options = dict(content["network"])
        name, scale = options.pop("type"), options.pop("scale")
        quality = {f"{content['dataset']} {metric}": float(score) for metric, score in content["mean"].items()}
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is not a result file of `srzoo test`: {error!r}") from error
    return NamedNetwork(f"{name}_x{scale}", ARCHS.build(name, options, scale=scale), quality)
