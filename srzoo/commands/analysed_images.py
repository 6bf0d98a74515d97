"""Images that the `srzoo analyze` commands work on: files, folders, or the test datasets of an option file."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from srzoo.command import Arguments

if TYPE_CHECKING:
    from torch import Tensor, nn

    from srzoo.batch import Sample
    from srzoo.data.paired import PairedImages


class Image(NamedTuple):
    """One input of an analysis.

    Args:
        key: its name in results, which no other image of the analysis has.
        lq: (C, h, w) in [0, 1].
        gt: (C, H, W) in [0, 1]; None if there is none.
    """

    key: str
    lq: "Tensor"
    gt: "Tensor | None"


def images_of(arguments: Arguments, net: "nn.Module") -> Iterator[Image]:
    """Yield the images that a command line names, on the network's device; LQ of GT alone is made bicubically.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: neither inputs nor datasets.test, or GT that does not belong to the inputs.
        DataError: the folders or datasets.test have faults.
    """
    import torch

    device = next(net.parameters(), torch.empty(0)).device
    for sample in _samples(arguments, net):
        gt = sample.get("gt")
        yield Image(sample["key"], sample["lq"].to(device), None if gt is None else gt.to(device))


def _samples(arguments: Arguments, net: "nn.Module") -> "Iterator[Sample]":
    from srzoo.contract import identity_of
    from srzoo.data.check import DataError, check_datasets
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
        # GT without LQ, or of another size, would be left out or stop the analysis halfway.
        faults = check_datasets({"images": dataset}, full=False, allow_overlap=True, progress=False)
        if faults:
            raise DataError(faults)
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
    for number, (path, key) in enumerate(zip(files, _keys(files), strict=True)):
        truth = gt[number] if gt else None
        yield _sample(path, key, truth, reduced=not arguments.inputs, net=net)


def _keys(files: Sequence[Path]) -> list[str]:
    """Return the stems of files or, if some have the same, their paths below the common folder without suffixes.

    Raises:
        ValueError: two files of one folder differ in nothing but the suffix, or a file is named twice.
    """
    stems = [file.stem for file in files]
    if len(set(stems)) == len(stems):
        return stems
    paths = [file.absolute().with_suffix("") for file in files]
    repeated = sorted({str(file) for file, path in zip(files, paths, strict=True) if paths.count(path) > 1})
    if repeated:
        raise ValueError(f"expected images with different names, got {', '.join(repeated)}: leave out or rename some")
    common = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(common).as_posix() for path in paths]


def _pairs(lq: Path, gt: Path, scale: int, colour: dict[str, object]) -> "PairedImages":
    """Return the dataset of two folders: names are equal, or LQ files have x2, x3, ... behind the name of their GT."""
    from srzoo.data.folders import search
    from srzoo.data.paired import PairedImages

    stems = {image.path.stem for image in search(gt).images}
    suffixed = all(image.path.stem.removesuffix(f"x{scale}") in stems for image in search(lq).images)
    same = all(image.path.stem in stems for image in search(lq).images)
    template = f"{{}}x{scale}" if suffixed and not same else "{}"
    return PairedImages(gt=gt, lq=lq, lq_template=template, **colour)  # pyright: ignore[reportArgumentType]


def _sample(path: Path, key: str, gt: Path | None, *, reduced: bool, net: "nn.Module") -> "Sample":
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
        # GT may have the rows and columns that were cut off before it was reduced: fewer than the scale.
        if [side // scale for side in truth.shape[1:]] != list(lq.shape[1:]):
            raise ValueError(
                f"{gt} has {truth.shape[1]}x{truth.shape[2]} pixels, but x{scale} of {path} has {height}x{width}: "
                "name the GT image that it was made from"
            )
        truth = truth[:, :height, :width]
    images = [to_tensor(image.permute(1, 2, 0).numpy()) for image in (lq, truth)]
    sample: dict[str, object] = {"key": key, "lq": images[0]}
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
    datasets = build_datasets(options, ["test"])["test"]
    for name, dataset in datasets.items():
        for index in range(len(dataset)):  # pyright: ignore[reportArgumentType]
            sample = dataset[index]
            # Set14 and BSD100 both have an img_001.
            yield {**sample, "key": f"{name}/{sample['key']}"} if len(datasets) > 1 else sample
