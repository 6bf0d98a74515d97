"""From options to the objects they describe. Shared by train.py and test.py; knows the whole, decides nothing else."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from srzoo import ranks
from srzoo.checkpoint import load_weights, save_weights
from srzoo.data.check import DataError, check_datasets
from srzoo.data.listing import Fault
from srzoo.data.loading import StepSampler, training_loader
from srzoo.data.pipeline import Pipeline, Planned
from srzoo.data.pool import PairPool
from srzoo.engine.evaluate import Metric
from srzoo.engine.hooks import Print, Save, Validate
from srzoo.engine.log import logger
from srzoo.engine.loop import Hook, Model
from srzoo.engine.run_folder import RunFolder
from srzoo.engine.scorer import Scorer
from srzoo.engine.tensorboard import Board
from srzoo.layers import reparam
from srzoo.layers.tiled import TiledNet
from srzoo.losses.criterion import Criterion
from srzoo.optim.learner import Learner
from srzoo.optim.schedules import Iteration, WarmUp
from srzoo.options import LoadedOptions, Options
from srzoo.options.schema import Entry, plain
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

Datasets = dict[str, Dataset[Any]]


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
    """Build the training recipe with its learners and losses; continue from `state` if given.

    Args:
        options: of the run.
        device: where to train.
        state: training state to continue from, or None.
        datasets: of the training split; their images and the batch size give the updates per epoch.

    Raises:
        ValueError: the network has nothing to train, or weights or state do not fit it.
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
    iteration = Iteration(0 if state is None else state["step"])
    idle = getattr(MODELS[options.model.type], "has_idle_parameters", False)
    g = _learner(options, net, "g", iteration, ema_decay=train.ema_decay, has_idle_parameters=idle)
    d = None
    if options.network_d is not None and train.optim_d is not None:
        net_d = DISCRIMINATORS.build(options.network_d.type, options.resolved_args(options.network_d)).to(device)
        d = _learner(options, net_d, "d", iteration)
    losses = {name: LOSSES.build(entry.type, options.resolved_args(entry)) for name, entry in train.losses.items()}
    criterion = Criterion(losses, {name: entry.weight for name, entry in train.losses.items()}).to(device)
    model: Model = MODELS.build(
        options.model.type,
        options.model.args,
        g=g,
        d=d,
        criterion=criterion,
        epoch_length=max(len(datasets["train"]) // entry.batch_size, 1),  # pyright: ignore[reportArgumentType]
    )
    if state is not None:
        try:
            model.load_state_dict(state["model"])
        except (RuntimeError, KeyError) as error:
            raise ValueError(f"the training state does not fit this network or recipe: {error}") from error
    return model


def _learner(
    options: Options,
    net: nn.Module,
    name: Literal["g", "d"],
    iteration: Iteration,
    *,
    ema_decay: float = 0.0,
    has_idle_parameters: bool = False,
) -> Learner:
    train = options.train
    assert train is not None
    entry = train.optim_g if name == "g" else train.optim_d
    assert entry is not None
    schedule = WarmUp(SCHEDULERS.build(train.scheduler.type, train.scheduler.args), train.warmup_iter)
    try:
        optimizer = OPTIMIZERS.build(entry.type, entry.args, params=net.parameters())
    except RuntimeError as error:  # arguments that PyTorch cannot combine
        raise ValueError(f"train.optim_{name}: {entry.type}: {error}") from error
    return Learner(
        net,
        optimizer,
        schedule,
        iteration=iteration,
        name=name,
        accumulate=train.accumulate,
        grad_clip=train.grad_clip,
        ema_decay=ema_decay,
        has_idle_parameters=has_idle_parameters,
    )


def build_hooks(
    loaded: LoadedOptions,
    folder: RunFolder,
    model: Model,
    pipeline: Pipeline | None,
    val: Datasets,
    board: Board,
    device: torch.device,
) -> tuple[list[Hook], Validate]:
    """Build (progress lines and checkpoints, validation) as the options ask for them."""
    options, train = loaded.options, loaded.options.train
    assert train is not None
    total, logging, validation = train.total_iter, options.logger, options.val

    def write_weights(step: int) -> None:
        save_weights(
            folder.weights_of(step),
            model.g.inference_net,
            arch=options.network_g.type,
            arch_options=plain(options.network_g.args),
            scale=options.scale,
            facts={
                "step": str(step),
                "weights": "ema" if train.ema_decay else "raw",
                "options_sha256": loaded.sha256,
            },
        )

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
        build_scorer(options, folder, val, device),
        board,
        freq=validation.val_freq,
        total=total,
        num_tb_img=validation.num_tb_img,
    )
    return hooks, validate


def build_scorer(options: Options, folder: RunFolder, datasets: Datasets, device: torch.device) -> Scorer:
    """Build the scorer of validation or benchmark sets as `val` asks for it."""
    return Scorer(
        datasets=datasets,
        metrics=build_metrics(options),
        form=functools.partial(scored_form, options),
        network=plain({"type": options.network_g.type, "scale": options.scale, **options.network_g.args}),
        scale=options.scale,
        folder=folder,
        device=device,
        save_img=options.val.save_img,
    )


def build_metrics(options: Options) -> dict[str, Metric]:
    """The metrics of `val.metrics` by name."""
    return {
        name: METRICS.build(entry.type, options.resolved_args(entry), scale=options.scale)
        for name, entry in options.val.metrics.items()
    }
