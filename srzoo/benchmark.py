"""Benchmarks: networks of option files scored on their test sets, alone or side by side in one table."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from srzoo import ranks
from srzoo.analysis.cost import UncountableError, count_cost
from srzoo.analysis.profile import runner
from srzoo.analysis.speed import measure_speed
from srzoo.components import build_datasets, build_network, build_scorer, load_pretrained, scored_precision
from srzoo.data.listing import Fault
from srzoo.data.manifest import write_manifest
from srzoo.engine.run_folder import RunFolder
from srzoo.engine.tables import conditions_line, score_table
from srzoo.inputs import manifest_of
from srzoo.optim.precision import set_process
from srzoo.options import Options
from srzoo.options.load import LoadedOptions
from srzoo.report.scores import ScoredNetwork

logger = logging.getLogger("srzoo")


@dataclass(frozen=True)
class Benchmark:
    """Result of one option file.

    Args:
        options: of the file.
        net: the network with its weights.
        scores: dataset -> metric -> mean over images.
        unused: faulty images that were left out.
    """

    options: Options
    net: nn.Module
    scores: dict[str, dict[str, float]]
    unused: list[Fault]


def refuse_used_folders(options: list[Options]) -> None:
    """Check that no results of earlier runs would be replaced, and that no two files write to one folder.

    Raises:
        ValueError: some would be.
    """
    folders = [each.run_folder for each in options]
    if doubled := {str(folder) for folder in folders if folders.count(folder) > 1}:
        raise ValueError(f"several option files write to {', '.join(sorted(doubled))}: give each another `name`")
    for each in options:
        folder = RunFolder(each.run_folder)
        if earlier := [name for name in each.datasets.test if folder.results_of(name).exists()]:
            raise ValueError(
                f"{folder.results} holds results of {', '.join(earlier)} from an earlier run; replace them with "
                "--overwrite, or give this run another name (--set name=...)"
            )


def benchmark(loaded: LoadedOptions, file: Path, device: torch.device, *, debug: bool) -> Benchmark:
    """Score the network of an option file on its test sets, write the results and log the table.

    Args:
        loaded: the options.
        file: the option file, for messages.
        device: to compute on.
        debug: decode every image before starting.

    Raises:
        ValueError: there is nothing to test.
        DataError: images are faulty.
        CheckpointError: the weights do not fit.
    """
    options = loaded.options
    set_process(options.val.precision, deterministic=options.deterministic)
    folder = RunFolder(options.run_folder)
    data = build_datasets(options, ("test",), full_check=debug, set_aside=True)["test"]
    if not data:
        raise ValueError(f"{file} has no `datasets.test` section; to train use train.py")
    net, weights = build_network(options), options.path.pretrain_network_g
    if weights is None and any(True for _ in net.parameters()):
        raise ValueError("path.pretrain_network_g is missing: without weights the network's output is noise")
    load_pretrained(options, net)
    scorer = build_scorer(options, folder, data, device)
    ranks.on_main(lambda: write_manifest(folder.test_manifest, manifest_of(options, {"test": data})))
    results = scorer.score(net, weights)
    ranks.barrier()  # all ranks have looked at the folder before rank 0 writes to it
    ranks.on_main(lambda: folder.record(loaded.text, "_test"))
    scores = {each.dataset: each.mean() for each in results}
    logger.info(score_table(f"{options.network_g.type} x{options.scale}", scores, scorer.metrics))
    logger.info(conditions_line(scorer.inference, weights.name if weights else "none", ranks.device_name(device)))
    logger.info(f"per-image results: {folder.results}")
    unused = [fault for dataset in data.values() for fault in getattr(dataset, "unused", ())]
    return Benchmark(options, net, scores, unused)


def with_costs(done: Benchmark, size: tuple[int, int], device: torch.device, *, latency: bool) -> ScoredNetwork:
    """Return the scores with the costs of the deployed form, for an image of `size` = (width, height) LQ pixels.

    Args:
        done: the benchmark.
        size: of the LQ image whose costs count.
        device: to measure on.
        latency: measure it too.
    """
    options, (width, height) = done.options, size
    label = f"{options.name} ({options.network_g.type} x{options.scale})"
    scores = {f"{dataset} {name}": value for dataset, means in done.scores.items() for name, value in means.items()}
    cost = None
    try:
        cost = count_cost(done.net, height, width)
    except UncountableError as error:
        logger.warning(f"{label}: {error}")
    speed = None
    if latency:
        run = runner(done.net, device=device, precision=scored_precision(options), compile_it=bool(options.compile))
        channels = getattr(done.net, "num_in_ch", 3)
        speed = measure_speed(run, torch.rand(1, channels, height, width, device=device))
    return ScoredNetwork(label, scores, cost, speed)
