"""From options to the objects they describe. Shared by train.py and test.py; knows the whole, decides nothing else."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from srzoo import ranks
from srzoo.checkpoint import load_weights, save_weights, sha256
from srzoo.data.check import DataError, check_datasets
from srzoo.data.listing import Fault
from srzoo.data.loading import StepSampler, training_loader
from srzoo.data.pipeline import Pipeline, Planned
from srzoo.data.pool import PairPool
from srzoo.engine.evaluate import Metric, Results
from srzoo.engine.hooks import Print, Save, Validate
from srzoo.engine.loop import Hook, Model
from srzoo.engine.report import Board, logger
from srzoo.engine.run_folder import RunFolder
from srzoo.infer.tile import TiledNet
from srzoo.layers import reparam
from srzoo.losses.criterion import Criterion
from srzoo.metrics.protocol import Protocol
from srzoo.optim.ema import EMA
from srzoo.optim.schedules import WarmUp
from srzoo.optim.stepper import Stepper
from srzoo.options import LoadedOptions, Options
from srzoo.options.schema import Entry, OptimizerEntry, plain
from srzoo.registry import (
    ARCHS,
    DATASETS,
    DEGRADATIONS,
    DISCRIMINATORS,
    LOSSES,
    METRICS,
    MODELS,
    OPTIMIZERS,
    SCHEDULERS,
)

Datasets = dict[str, Dataset[dict[str, Any]]]


def build_network(options: Options) -> nn.Module:
    """network_g on the CPU with initial weights drawn from the seed."""
    torch.manual_seed(options.seed)
    return ARCHS.build(options.network_g.type, options.resolved_args(options.network_g), scale=options.scale)


def parameter_count(net: nn.Module) -> int:
    """Number of weights."""
    return sum(parameter.numel() for parameter in net.parameters())


def load_pretrained(options: Options, net: nn.Module) -> None:
    """`path.pretrain_network_g` into `net`, if given."""
    if options.path.pretrain_network_g is not None:
        path = options.resolve(options.path.pretrain_network_g)
        partial = options.path.load == "partial"
        weights = load_weights(net, path, options.path.param_key_g, partial)
        if not partial:
            refuse_other_facts(options, path, weights.metadata)
        logger.info(f"weights: {path}")


def scored_form(options: Options, net: nn.Module) -> nn.Module:
    """`net` as it is scored: with ``val.fused``, its re-parameterisable blocks merged; with ``val.tile``, in tiles."""
    val = options.val
    net = reparam.fused(net) if val.fused else net
    return net if val.tile is None else TiledNet(net, tile=val.tile, overlap=val.tile_overlap, scale=options.scale)


def refuse_other_facts(options: Options, path: Path, metadata: Mapping[str, str]) -> None:
    """What a srzoo file says of its network (its input range, say) must be what the options say.

    Options that a network calls free change its training or its form, not the function: they may differ.
    """
    if "arch" not in metadata:
        return
    saved = {"type": metadata["arch"], "scale": int(metadata["scale"]), **json.loads(metadata["arch_options"])}
    now = plain({"type": options.network_g.type, "scale": options.scale, **options.network_g.args})
    free = getattr(ARCHS[options.network_g.type], "free_options", ())
    differing = [
        f"{key}: {value!r} there, {now.get(key)!r} here"
        for key, value in saved.items()
        if value != now.get(key) and key not in free
    ]
    if differing:
        raise ValueError(f"{path} was trained as another network (network_g): " + "; ".join(differing))


def build_datasets(options: Options, splits: tuple[str, ...], full_check: bool = False) -> dict[str, Datasets]:
    """The data sets of the splits named ("train", "val", "test"), after the pre-flight over all of them.

    Raises:
        DataError: everything that is wrong with the files, at once.
    """
    wanted: list[tuple[str, str, Entry]] = []
    if "train" in splits and options.datasets.train is not None:
        wanted.append(("train", "train", options.datasets.train))
    for split in ("val", "test"):
        if split in splits:
            wanted += [(split, name, entry) for name, entry in getattr(options.datasets, split).items()]
    built: dict[str, Datasets] = {split: {} for split in splits}
    labelled: Datasets = {}
    faults: list[tuple[str, Fault]] = []
    for split, name, entry in wanted:
        label = name if split == "train" else f"{split}/{name}"
        phase = "train" if split == "train" else "eval"
        try:
            gt_only = split == "train" and options.degradation is not None
            supplied = {"scale": options.scale, "phase": phase, "gt_only": gt_only}
            dataset = DATASETS.build(entry.type, options.resolved_args(entry), **supplied)
        except (ValueError, OSError) as error:
            faults.append((label, Fault(Path(f"datasets.{label.replace('/', '.')}"), str(error))))
            continue
        built[split][name] = labelled[label] = dataset
    full = full_check or options.data.check == "full"
    least = max((getattr(metric, "least_side", 1) for metric in build_metrics(options).values()), default=1)
    faults += ranks.on_main(
        lambda: check_datasets(labelled, full=full, allow_overlap=options.data.allow_overlap, least_side=least)
    )
    if faults:
        raise DataError(faults)
    return built


def build_loader(options: Options, datasets: Datasets, start: int, device: torch.device) -> DataLoader[dict[str, Any]]:
    """The micro-batches of this process from step `start` on."""
    train, entry = options.train, options.datasets.train
    assert train is not None
    assert entry is not None
    dataset = datasets["train"]
    sampler = StepSampler(
        len(dataset),  # pyright: ignore[reportArgumentType]  # map-style datasets have a length
        entry.batch_size,
        seed=options.seed,
        start=start,
        total=train.total_iter,
        rank=ranks.rank(),
        world_size=ranks.world_size(),
        accumulate=train.accumulate,
    )
    return training_loader(dataset, sampler, num_workers=entry.num_workers, pin_memory=device.type == "cuda")


def build_pipeline(options: Options, state: Mapping[str, Any] | None) -> Pipeline | None:
    """What makes LQ from GT, if the options ask for it; continued from `state` if given."""
    wanted = options.degradation
    if wanted is None:
        return None
    plan = [
        Planned(
            DEGRADATIONS.build(entry.type, options.resolved_args(entry), scale=options.scale),
            entry.prob,
            entry.shuffle,
        )
        for entry in wanted.stages
    ]
    pipeline = Pipeline(
        plan,
        scale=options.scale,
        seed=options.seed,
        usm=wanted.usm,
        gt_size=wanted.gt_size,
        pool=PairPool(wanted.pool) if wanted.pool is not None else None,
    )
    if state is not None:
        pipeline.load_state_dict(state["data"])
    return pipeline


def build_model(options: Options, device: torch.device, state: Mapping[str, Any] | None, datasets: Datasets) -> Model:
    """The training recipe: networks, losses, optimisers, schedule, moving average; continued from `state` if given.

    Args:
        options: of the run.
        device: where to train.
        state: training state to continue from, or None.
        datasets: of the training split; their images and the batch size say how many updates an epoch has.
    """
    train, entry = options.train, options.datasets.train
    assert train is not None
    assert entry is not None
    net = build_network(options).to(device)
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise ValueError(f"network {options.network_g.type} has no weights to train")
    if state is None:
        forms = [block.merged for _, block in reparam.blocks(net)]
        load_pretrained(options, net)
        if forms != [block.merged for _, block in reparam.blocks(net)]:
            raise ValueError(
                f"{options.path.pretrain_network_g} holds merged (re-parameterised) blocks, and network_g is in "
                "training form: train from weights in training form, or train the merged form: network_g.deploy=true"
            )
    if train.channels_last:
        net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # missing from torch's stubs
    ema = EMA(net, train.ema_decay) if train.ema_decay else None
    recipe = MODELS[options.model.type]
    wrapped = _wrapped(net, device, idle=getattr(recipe, "has_idle_parameters", False))
    stepper = _stepper(options, wrapped, train.optim_g, "optim_g")
    net_d = step_d = None
    if options.network_d is not None and train.optim_d is not None:
        net_d = DISCRIMINATORS.build(options.network_d.type, options.resolved_args(options.network_d)).to(device)
        net_d = _wrapped(net_d, device)
        step_d = _stepper(options, net_d, train.optim_d, "optim_d")
    losses = {name: LOSSES.build(entry.type, options.resolved_args(entry)) for name, entry in train.losses.items()}
    criterion = Criterion(losses, {name: entry.weight for name, entry in train.losses.items()}).to(device)
    model: Model = MODELS.build(
        options.model.type,
        options.model.args,
        net_g=wrapped,
        net_d=net_d,
        criterion=criterion,
        step_g=stepper,
        step_d=step_d,
        ema=ema,
        epoch_length=max(len(datasets["train"]) // entry.batch_size, 1),  # pyright: ignore[reportArgumentType]
    )
    if state is not None:
        try:
            model.load_state_dict(state["model"])
        except (RuntimeError, KeyError) as error:
            raise ValueError(f"the training state does not fit this network or recipe: {error}") from error
    return model


def _wrapped(net: nn.Module, device: torch.device, idle: bool = False) -> nn.Module:
    """The network as several processes train it together; `idle`: some parameters may get no gradient."""
    if ranks.world_size() == 1:
        return net
    devices = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(net, device_ids=devices, find_unused_parameters=idle)


def _stepper(options: Options, net: nn.Module, entry: OptimizerEntry, name: str) -> Stepper:
    train = options.train
    assert train is not None
    schedule = WarmUp(SCHEDULERS.build(train.scheduler.type, train.scheduler.args), train.warmup_iter)
    try:
        optimizer = OPTIMIZERS.build(entry.type, entry.args, params=net.parameters())
    except RuntimeError as error:  # arguments that PyTorch cannot combine
        raise ValueError(f"train.{name}: {entry.type}: {error}") from error
    return Stepper(net, optimizer, schedule, accumulate=train.accumulate, grad_clip=train.grad_clip)


def build_hooks(
    loaded: LoadedOptions,
    folder: RunFolder,
    model: Model,
    pipeline: Pipeline | None,
    val: Datasets,
    board: Board,
    device: torch.device,
) -> tuple[list[Hook], Validate]:
    """(progress lines and checkpoints, validation), as the options ask for them."""
    options, train = loaded.options, loaded.options.train
    assert train is not None
    metrics, total = build_metrics(options), train.total_iter

    def write_weights(step: int) -> None:
        save_weights(
            folder.weights_of(step),
            model.inference_net,
            arch=options.network_g.type,
            arch_options=plain(options.network_g.args),
            scale=options.scale,
            facts={
                "step": str(step),
                "weights": "ema" if train.ema_decay else "raw",
                "options_sha256": loaded.sha256,
            },
        )

    def write_results(results: Results) -> None:
        assert results.step is not None
        path = folder.weights_of(results.step)
        write_scores(options, folder, results, metrics, val[results.dataset], path if path.is_file() else None)

    logging, validation = options.logger, options.val
    hooks: list[Hook] = [
        Print(model, board, freq=logging.print_freq, total=total, device=device),
        Save(
            model,
            folder,
            write_weights,
            loaded.text,
            freq=logging.save_freq,
            total=total,
            keep=logging.num_states,
            data_state=pipeline.state_dict if pipeline is not None else dict,
        ),
    ]
    validate = Validate(
        model,
        val,
        metrics,
        board,
        write_results,
        folder,
        freq=validation.val_freq,
        total=total,
        device=device,
        save_img=validation.save_img,
        num_tb_img=validation.num_tb_img,
        form=functools.partial(scored_form, options),
    )
    return hooks, validate


def build_metrics(options: Options) -> dict[str, Metric]:
    """The metrics of `val.metrics` by name."""
    return {
        name: METRICS.build(entry.type, options.resolved_args(entry), scale=options.scale)
        for name, entry in options.val.metrics.items()
    }


def write_scores(
    options: Options,
    folder: RunFolder,
    results: Results,
    metrics: Mapping[str, Metric],
    dataset: object,
    weights: Path | None,
) -> None:
    """results/<dataset>.json with the network, the weights' checksum and every protocol in full."""
    protocols: dict[str, Any] = {}
    for name, metric in metrics.items():
        protocol = getattr(metric, "protocol", None)
        known = isinstance(protocol, Protocol)
        protocols[name] = protocol.facts(options.scale) if known else {"name": type(metric).__name__}
        # How GT was cropped before LQ was made decides the number too.
        protocols[name]["modcrop"] = getattr(dataset, "modcrop", None)
    results.write(
        folder.results / f"{results.dataset}.json",
        plain({"type": options.network_g.type, "scale": options.scale, **options.network_g.args}),
        None if weights is None else {"path": str(weights), "sha256": sha256(weights)},
        protocols,
    )
