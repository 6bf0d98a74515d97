"""Arguments, inputs and outputs that the `srzoo analyze` commands share."""

import argparse
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from srzoo.command import Arguments
from srzoo.commands.arguments import add_overwrite
from srzoo.commands.network import add_network, named_network

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from srzoo.batch import Sample

_PICTURES = (".png", ".svg", ".pdf")


class Image(NamedTuple):
    """One input of an analysis.

    Args:
        key: its name in results.
        lq: (C, h, w) in [0, 1].
        gt: (C, H, W) in [0, 1]; None if there is none.
    """

    key: str
    lq: "Tensor"
    gt: "Tensor | None"


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

    from srzoo.engine.log import logger

    if not (arguments.weights or arguments.opt or arguments.arch):
        raise ValueError("no network: name one with --weights FILE, -opt FILE, or --arch TYPE --scale N")
    net = named_network(arguments, initial=True)
    if source_of_weights(arguments) == "initial" and any(True for _ in net.parameters()):
        logger.info("no weights are named: the network has its initial ones (--weights FILE)")
    word = arguments.device
    word = ("cuda" if torch.cuda.is_available() else "cpu") if word == "auto" else word
    try:
        return net.to(torch.device(word)).eval()
    except (RuntimeError, AssertionError) as error:  # the latter from builds of PyTorch without CUDA
        raise ValueError(f"--device {word}: {str(error).splitlines()[0]}") from error


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


def images_of(arguments: Arguments, net: "nn.Module") -> Iterator[Image]:
    """Yield the images that a command line names, on the network's device; LQ of GT alone is made bicubically.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: neither inputs nor datasets.test, or GT that does not belong to the inputs.
        DataError: datasets.test has faults.
    """
    import torch

    device = next(net.parameters(), torch.empty(0)).device
    for sample in _samples(arguments, net):
        gt = sample.get("gt")
        yield Image(sample["key"], sample["lq"].to(device), None if gt is None else gt.to(device))


def _samples(arguments: Arguments, net: "nn.Module") -> "Iterator[Sample]":
    from srzoo.contract import identity_of
    from srzoo.data.folders import search
    from srzoo.data.gt_images import GTImages

    identity, gt = identity_of(net), getattr(arguments, "gt", None) or []
    colour = {"scale": identity.scale, "phase": "eval", "color": "grey" if identity.num_in_ch == 1 else "rgb"}
    if not arguments.inputs and not gt:
        yield from _test_samples(arguments)
        return
    folders = [path for path in (*arguments.inputs, *gt) if path.is_dir()]
    if gt and folders:
        if len(gt) != 1 or len(arguments.inputs) > 1 or len(folders) != 1 + len(arguments.inputs):
            raise ValueError("give LQ and GT as one folder each, or equally many files in the same order")
        dataset = (
            _pairs(arguments.inputs[0], gt[0], identity.scale, colour)
            if arguments.inputs
            else GTImages(gt=gt[0], **colour)
        )
        yield from (dataset[index] for index in range(len(dataset)))
        return
    if gt and arguments.inputs and len(gt) != len(arguments.inputs):
        raise ValueError(
            f"{len(arguments.inputs)} inputs and {len(gt)} GT images: give one for each, in the same order"
        )
    files = [
        path
        for word in (arguments.inputs or gt)
        for path in ([image.path for image in search(word).images] if word.is_dir() else [word])
    ]
    for number, path in enumerate(files):
        yield _sample(path, gt[number] if gt else None, reduced=not arguments.inputs, net=net)


def _pairs(lq: Path, gt: Path, scale: int, colour: dict[str, object]):
    """Return the dataset of two folders: names are equal, or LQ files have x2, x3, ... behind the name of their GT."""
    from srzoo.data.folders import search
    from srzoo.data.paired import PairedImages

    stems = {image.path.stem for image in search(gt).images}
    suffixed = all(image.path.stem.removesuffix(f"x{scale}") in stems for image in search(lq).images)
    same = all(image.path.stem in stems for image in search(lq).images)
    template = f"{{}}x{scale}" if suffixed and not same else "{}"
    return PairedImages(gt=gt, lq=lq, lq_template=template, **colour)  # pyright: ignore[reportArgumentType]


def _sample(path: Path, gt: Path | None, *, reduced: bool, net: "nn.Module") -> "Sample":
    """Read one image, as LQ or (reduced) as GT, and the GT that belongs to it."""
    import torch

    from srzoo.contract import identity_of
    from srzoo.images import read_image, to_tensor
    from srzoo.ops.resize import imresize

    identity = identity_of(net)
    scale = identity.scale
    pixels = [read_image(file).grey if identity.num_in_ch == 1 else read_image(file).rgb for file in (path, gt or path)]
    lq, truth = (torch.from_numpy(array).permute(2, 0, 1) for array in pixels)  # (C, h, w)
    if reduced:
        truth = truth[:, : truth.shape[1] // scale * scale, : truth.shape[2] // scale * scale]
        lq = imresize(truth.contiguous(), 1 / scale)
    elif gt is not None:
        height, width = (scale * side for side in lq.shape[-2:])
        if truth.shape[1] < height or truth.shape[2] < width:
            raise ValueError(
                f"{gt} has {truth.shape[1]}x{truth.shape[2]} pixels, but x{scale} of {path} has {height}x{width}"
            )
        truth = truth[:, :height, :width]
    images = [to_tensor(image.permute(1, 2, 0).numpy()) for image in (lq, truth)]
    sample: dict[str, object] = {"key": path.stem, "lq": images[0]}
    if gt is not None or reduced:
        sample["gt"] = images[1]
    return sample  # pyright: ignore[reportReturnType]


def _test_samples(arguments: Arguments) -> "Iterator[Sample]":
    """Yield the samples of all datasets in datasets.test."""
    from srzoo.components import build_datasets
    from srzoo.options import load_options

    options = load_options(arguments.opt, arguments.set, purpose="network").options if arguments.opt else None
    if options is None or not options.datasets.test:
        raise ValueError("no images: name files or folders, or an option file with datasets.test")
    for dataset in build_datasets(options, ["test"])["test"].values():
        yield from (dataset[index] for index in range(len(dataset)))  # pyright: ignore[reportArgumentType]


@dataclass
class Output:
    """Files of one analysis: pictures, numbers as JSON, arrays as .npz.

    Args:
        name: of the analysis.
        stem: path of the files without suffix.
        formats: of the pictures.
        written: files so far.
    """

    name: str
    stem: Path
    formats: list[str]
    written: list[Path] = field(default_factory=list)

    @classmethod
    def of(cls, arguments: Arguments, name: str) -> "Output":
        """Return the output that a command line names, before any work is done.

        Raises:
            ValueError: files exist and --overwrite is off, or the plotting library is missing.
        """
        from srzoo.analysis.figures import require_matplotlib
        from srzoo.engine.log import log_to

        log_to()
        require_matplotlib()
        out: Path = arguments.out
        formats = list(dict.fromkeys(["png", *arguments.format]))
        if out.suffix.lower() in (*_PICTURES, ".json", ".npz"):
            if out.suffix.lower() in _PICTURES:
                formats = list(dict.fromkeys([*formats, out.suffix.lower()[1:]]))
            out = out.with_suffix("")
        for suffix in (*formats, "json", "npz"):
            path = out.with_name(f"{out.name}.{suffix}")
            if path.exists() and not arguments.overwrite:
                raise ValueError(f"{path} exists: choose another name with -o, or replace it with --overwrite")
        return cls(name, out, formats)

    def path(self, suffix: str, part: str = "") -> Path:
        """Return the name of one file; `part` names one of several pictures."""
        # Keys of images in sub-folders have slashes.
        part = re.sub(r"[^-.@+ 0-9A-Za-z_]", "_", part)
        return self.stem.with_name(f"{self.stem.name}{part and '_'}{part}.{suffix}")

    def picture(self, figure: "Figure", part: str = "") -> None:
        """Write a picture in all formats."""
        from srzoo.analysis.figures import write_figure

        for suffix in self.formats:
            self.written.append(self.path(suffix, part))
            write_figure(self.written[-1], figure)

    def arrays(self, arrays: "Mapping[str, np.ndarray]") -> None:
        """Write arrays as compressed .npz."""
        import numpy as np

        from srzoo.atomic import write_atomic

        self.written.append(self.path("npz"))
        write_atomic(self.written[-1], lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    def numbers(
        self, arguments: Arguments, net: "nn.Module", parameters: Mapping[str, object], **results: object
    ) -> None:
        """Write numbers as JSON, with the network, its weights and the parameters; log the files of the analysis."""
        from srzoo import __version__
        from srzoo.atomic import write_text
        from srzoo.checksum import checksum
        from srzoo.contract import identity_of
        from srzoo.engine.log import logger

        weights = {"file": source_of_weights(arguments), "sha256": checksum(net.state_dict(), layout=False)}
        content = {
            "analysis": self.name,
            "srzoo": __version__,
            "network": identity_of(net).flat(),
            "weights": weights,
            "parameters": dict(parameters),
            **results,
        }
        self.written.append(self.path("json"))
        write_text(self.written[-1], json.dumps(_finite(content), indent=2) + "\n")
        logger.info("wrote " + ", ".join(str(path) for path in self.written))


def _finite(value: object) -> object:
    """Replace numbers that JSON cannot hold by null, and paths by their names."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value.name if isinstance(value, Path) else value
