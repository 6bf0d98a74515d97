"""The objects that options describe in training and testing: network, datasets, metrics, scorer."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset

from srzoo import ranks
from srzoo.batch import Sample
from srzoo.contract import contract_of
from srzoo.data.check import DataError, check_datasets
from srzoo.data.imageset import ImageSet
from srzoo.data.listing import Fault
from srzoo.data.lq_images import LQImages
from srzoo.engine.evaluate import Metric
from srzoo.engine.log import logger
from srzoo.engine.run_folder import RunFolder
from srzoo.engine.scorer import Scorer
from srzoo.infer.upscale import Upscaler
from srzoo.layers import reparam
from srzoo.optim.compilation import CompiledForScoring
from srzoo.optim.precision import WORDS, Precision, announce, usable
from srzoo.options import Options
from srzoo.options.entry import Entry
from srzoo.options.plain import plain
from srzoo.tensor_files import sha256
from srzoo.weights import load_weights, refuse_other_network

# Datasets of one split by name.
Datasets = dict[str, Dataset[Sample]]


def build_network(options: Options) -> nn.Module:
    """Build network_g on the CPU, with initial weights drawn from the seed; log whose code runs beside srzoo's."""
    for plugin in options.plugins:
        logger.info(f"plugin: code of {plugin} runs (sha256 {sha256(plugin)})")
    torch.manual_seed(options.seed)
    return options.network_g.build(scale=options.scale)


def parameter_count(net: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in net.parameters())


def load_pretrained(options: Options, net: nn.Module) -> None:
    """Load `path.pretrain_network_g` into `net`, if the options name it.

    Raises:
        CheckpointError: the weights do not fit.
        ValueError: they belong to a network with other options.
    """
    file, partial = options.path.pretrain_network_g, options.path.load == "partial"
    if file is None:
        return
    weights = load_weights(net, file, options.path.param_key_g, partial)
    if not partial:
        refuse_other_network(net, file, weights.identity)
    logger.info(f"weights: {file}")


def scored_form(options: Options, net: nn.Module) -> Upscaler:
    """Return the network as it is scored: with merged blocks for ``val.fused``, compiled for ``compile``, in tiles."""
    val = options.val
    net = reparam.fused(net) if val.fused else net
    if options.compile:
        net = CompiledForScoring(net, options.compile)
    return Upscaler(
        net,
        tile=0 if val.tile is None else val.tile,
        overlap=val.tile_overlap,
        ensemble=val.ensemble,
        precision=scored_precision(options),
        tile_rule=val.tile_rule,
    )


def scored_precision(options: Options) -> Precision:
    """Return the precision in which the network is scored: ``val.precision`` if it is safe in it."""
    return usable(options.val.precision, contract_of(options.network_g.plugin))


def inference_facts(options: Options) -> dict[str, object]:
    """Return how the network is applied, for results: everything that decides scores beside network and weights."""
    val, multiple = options.val, contract_of(options.network_g.plugin).multiple_of
    return {
        "tile_rule": val.tile_rule,
        "tile": val.tile,
        "tile_overlap": None if val.tile is None else val.tile_overlap,
        "fused": val.fused,
        "ensemble": "x8" if val.ensemble else "none",
        "precision": WORDS[scored_precision(options)] + (", compiled" if options.compile else ""),
        "padding": "none" if multiple == 1 else f"inside the network, to multiples of {multiple}",
    }


def build_datasets(
    options: Options, splits: Sequence[str], full_check: bool = False, set_aside: bool = False
) -> dict[str, Datasets]:
    """Build the datasets of these splits ("train", "val", "test"), check all of them, and log their sizes.

    Args:
        options: of the run.
        splits: which datasets to build.
        full_check: decode every file, whatever `data.check` says.
        set_aside: leave faulty images out of datasets without GT, which list them as `unused`, instead of raising.

    Returns:
        split -> name -> dataset; the training dataset has the name "train".

    Raises:
        DataError: all faults of the files at once.
    """
    built, labelled, faults = open_datasets(options, splits)
    full = full_check or options.data.check == "full"
    faults += ranks.on_main(lambda: preflight(options, labelled, full=full))
    if set_aside:
        faults = _set_aside(labelled, faults)
    if faults:
        raise DataError(faults)
    for label, dataset in labelled.items():
        if isinstance(dataset, ImageSet):
            logger.info(f"datasets.{label.replace('/', '.')}: {dataset.describe()}")
    return built


def open_datasets(
    options: Options, splits: Sequence[str]
) -> tuple[dict[str, Datasets], Datasets, list[tuple[str, Fault]]]:
    """Build the datasets of these splits, unchecked.

    Returns:
        (split -> name -> dataset), the same datasets by label ("train", "val/NAME", "test/NAME"), and (label, fault) of
        those that cannot be built.
    """
    built: dict[str, Datasets] = {split: {} for split in splits}
    labelled: Datasets = {}
    faults: list[tuple[str, Fault]] = []
    for split, name, entry in _dataset_entries(options, splits):
        training = split == "train"
        label = name if training else f"{split}/{name}"
        try:
            dataset: Dataset[Sample] = entry.build(
                scale=options.scale,
                phase="train" if training else "eval",
                gt_only=training and options.degradation is not None,
                max_pixels=options.data.max_pixels,
            )
        except (ValueError, OSError) as error:
            faults.append((label, Fault(Path(f"datasets.{label.replace('/', '.')}"), str(error))))
            continue
        built[split][name] = labelled[label] = dataset
    return built, labelled, faults


def preflight(options: Options, datasets: Datasets, *, full: bool) -> list[tuple[str, Fault]]:
    """Return the faults of datasets, by label, as (label, fault); `full` decodes every file."""
    # SSIM needs a whole window: a smaller evaluation image would stop the run at its first validation.
    least = max((getattr(metric, "least_side", 1) for metric in build_metrics(options).values()), default=1)
    return check_datasets(datasets, full=full, allow_overlap=options.data.allow_overlap, least_side=least)


def _set_aside(datasets: Datasets, faults: list[tuple[str, Fault]]) -> list[tuple[str, Fault]]:
    """Leave single faulty images out of datasets without GT; return the faults that remain."""
    remaining: list[tuple[str, Fault]] = []
    for label in dict.fromkeys(label for label, _ in faults):
        own = [fault for name, fault in faults if name == label]
        dataset = datasets.get(label)
        left = dataset.set_aside(own) if isinstance(dataset, LQImages) else own
        remaining += [(label, fault) for fault in left]
    return remaining


def _dataset_entries(options: Options, splits: Sequence[str]) -> Iterator[tuple[str, str, Entry]]:
    """Yield (split, name, entry) of each dataset of these splits."""
    datasets = options.datasets
    if "train" in splits and datasets.train is not None:
        yield "train", "train", datasets.train
    for split, entries in (("val", datasets.val), ("test", datasets.test)):
        if split in splits:
            yield from ((split, name, entry) for name, entry in entries.items())


def build_scorer(options: Options, folder: RunFolder, datasets: Datasets, device: torch.device) -> Scorer:
    """Build the scorer of validation or benchmark sets as `val` asks for it."""
    used, network = scored_precision(options), options.network_g.type
    announce(options.val.precision, used, option="val.precision", network=network)
    return Scorer(
        datasets=datasets,
        metrics=build_metrics(options),
        form=functools.partial(scored_form, options),
        network={"type": options.network_g.type, "scale": options.scale} | plain(options.network_g),
        inference=inference_facts(options),
        scale=options.scale,
        folder=folder,
        device=device,
        save_img=options.val.save_img,
    )


def build_metrics(options: Options) -> dict[str, Metric]:
    """Build the metrics of `val.metrics` by name."""
    return {name: metric.build(scale=options.scale) for name, metric in options.val.metrics.items()}
