"""The objects that options describe in training alone: loader, degradation, recipe with its learners, hooks."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from srzoo import ranks
from srzoo.batch import Batch
from srzoo.components import Datasets, build_network, build_scorer, load_pretrained, parameter_count
from srzoo.contract import contract_of
from srzoo.data.loading import StepSampler, training_loader
from srzoo.degradations.degradation import Degradation, ScheduledStage
from srzoo.degradations.pool import PairPool
from srzoo.engine.hooks import Print, Save, Stop, Validate
from srzoo.engine.keep import Best, Keep, WriteWeights
from srzoo.engine.log import logger
from srzoo.engine.loop import Hook, Model
from srzoo.engine.opening import opening_line, seconds_of_update
from srzoo.engine.run_folder import RunFolder
from srzoo.engine.scorer import Scorer
from srzoo.engine.tensorboard import Board
from srzoo.engine.watch import Watch
from srzoo.layers import reparam
from srzoo.losses.criterion import Criterion
from srzoo.models.gan import GANModel
from srzoo.optim.finite import FiniteCheck
from srzoo.optim.learner import Learner
from srzoo.optim.optimizers import with_fused_kernel
from srzoo.optim.precision import announce, usable
from srzoo.optim.schedules import Iteration, WarmUp
from srzoo.options import LoadedOptions, Options
from srzoo.options.schema import TrainOptions
from srzoo.registry import OPTIMIZERS
from srzoo.state import TrainingState
from srzoo.weights import load_weights, refuse_other_network, save_weights


def build_loader(options: Options, datasets: Datasets, start: int, device: torch.device) -> Iterable[Batch]:
    """Build the loader of this rank's micro-batches from step `start` on.

    Raises:
        ValueError: ranks and micro-batches do not divide the batch evenly.
    """
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
        accumulate=num_micro_batches(train),
    )
    return training_loader(
        dataset,
        sampler,
        num_workers=entry.num_workers,
        pin_memory=device.type == "cuda",
        skip_faulty=options.data.on_error == "skip",
        device=device,
    )


def build_degradation(options: Options, state: TrainingState | None) -> Degradation | None:
    """Build the degradation, if the options have one; restore its pool from `state`, if given."""
    wanted = options.degradation
    if wanted is None:
        return None
    degradation = Degradation(
        [ScheduledStage(stage.build(scale=options.scale), stage.prob, stage.shuffle) for stage in wanted.stages],
        scale=options.scale,
        seed=options.seed,
        usm=wanted.usm,
        gt_size=wanted.gt_size,
        pool=PairPool(wanted.pool) if wanted.pool is not None else None,
    )
    if state is not None:
        degradation.load_state_dict(state["data"])
    return degradation


def num_micro_batches(train: TrainOptions) -> int:
    """Return ``train.accumulate``, once ``auto`` is a number (srzoo/micro_batches.py)."""
    assert train.accumulate != "auto"
    return train.accumulate


def build_model(
    options: Options,
    device: torch.device,
    state: TrainingState | None,
    datasets: Datasets,
    *,
    alone: bool = False,
) -> Model:
    """Build the training recipe with its learners and losses; continue from `state` if given.

    Args:
        options: of the run.
        device: where to train.
        state: training state to continue from, or None.
        datasets: of the training split; their images and the batch size give the updates per epoch.
        alone: nothing is exchanged with other ranks.

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
    contract = contract_of(net)
    # Shards are cut from weights in the plain memory format.
    auto = contract.channels_last and options.parallel != "fsdp"
    if auto if train.channels_last == "auto" else train.channels_last:
        net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # missing from torch's stubs
    iteration = Iteration(0 if state is None else state["step"])
    idle = getattr(options.model.plugin, "has_idle_parameters", False)
    # One check for all learners. On a GPU it waits for the next line, score or file, so that the device need not.
    finite = FiniteCheck(deferred=alone or device.type != "cpu", alone=alone)
    g = _learner(options, net, "g", iteration, finite, alone=alone, ema_decay=train.ema_decay, has_idle_parameters=idle)
    d = None
    if options.network_d is not None and train.optim_d is not None:
        net_d = options.network_d.build().to(device)
        if state is None and options.path.pretrain_network_d is not None:
            weights = load_weights(net_d, options.path.pretrain_network_d)
            refuse_other_network(net_d, options.path.pretrain_network_d, weights.identity)
            logger.info(f"weights of the discriminator: {options.path.pretrain_network_d}")
        d = _learner(options, net_d, "d", iteration, finite, alone=alone)
    losses = {name: loss.build() for name, loss in train.losses.items()}
    criterion = Criterion(losses, {name: loss.weight for name, loss in train.losses.items()}).to(device)
    model: Model = options.model.build(
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
    finite: FiniteCheck,
    *,
    alone: bool,
    ema_decay: float = 0.0,
    has_idle_parameters: bool = False,
) -> Learner:
    train = options.train
    assert train is not None
    entry = train.optim_g if name == "g" else train.optim_d
    assert entry is not None
    schedule = WarmUp(train.scheduler.build(), train.warmup_iter)
    precision = usable(options.precision, contract_of(net))
    announce(options.precision, precision, option="precision", network=type(net).__name__)
    sharding = None
    if options.parallel == "fsdp" and ranks.world_size() > 1:
        from srzoo.optim.sharding import Sharding  # takes most of a second

        sharding = Sharding(net)  # before the optimiser, which is built over the shards
    elif options.parallel == "fsdp":
        logger.info(f"parallel: fsdp: one rank alone holds the whole network_{name}")
    arguments = with_fused_kernel(entry.type, entry.args)
    try:
        optimizer = OPTIMIZERS.build(entry.type, arguments, params=net.parameters())
    except RuntimeError as error:  # arguments that PyTorch cannot combine
        raise ValueError(f"train.optim_{name}: {entry.type}: {error}") from error
    return Learner(
        net,
        optimizer,
        schedule,
        iteration=iteration,
        name=name,
        accumulate=num_micro_batches(train),
        grad_clip=train.grad_clip,
        ema_decay=ema_decay,
        has_idle_parameters=has_idle_parameters,
        precision=precision,
        compile=options.compile if name == "g" else False,
        finite=finite,
        alone=alone,
        sharding=sharding,
    )


def opening(options: Options, model: Model, device: torch.device, folder: RunFolder) -> str:
    """Return the first line of a training, with an estimate of the time that its first update takes."""
    train, entry = options.train, options.datasets.train
    assert train is not None
    assert entry is not None
    net, crop = model.g.inference_net, entry.args.get("gt_size")
    if options.degradation is not None and options.degradation.gt_size is not None:
        crop = options.degradation.gt_size  # the degradation crops last
    seconds = None
    if ranks.rank() == 0 and isinstance(crop, int):
        seconds = seconds_of_update(net, crop // options.scale, entry.batch_size // ranks.world_size(), device)
    return opening_line(
        f"{options.network_g.type} x{options.scale}",
        parameter_count(net),
        device=device,
        start=model.g.iteration.number,
        folder=folder.path,
        seconds=seconds,
        decay=train.ema_decay,
    )


def build_hooks(
    loaded: LoadedOptions,
    folder: RunFolder,
    model: Model,
    degradation: Degradation | None,
    val: Datasets,
    board: Board,
    device: torch.device,
    watch: Watch,
    inputs: Mapping[str, str],
) -> tuple[list[Hook], Validate, Stop]:
    """Build (work of every update, validation, the end before the last update) as the options ask for them."""
    options, train = loaded.options, loaded.options.train
    assert train is not None
    total, logging, validation = train.total_iter, options.logger, options.val

    provenance = {"options_sha256": loaded.sha256, "weights": "ema" if train.ema_decay else "raw"}

    def publish(net: nn.Module, file: Path, further: Mapping[str, str]) -> None:
        save_weights(file, net, {**provenance, **further})

    def gather_weights() -> Callable[[int], None]:
        g = model.g.inference_net
        d = model.d.inference_net if isinstance(model, GANModel) else None

        def write_weights(step: int) -> None:
            publish(g, folder.weights_of(step), {"step": str(step)})
            if d is not None:
                publish(d, folder.discriminator_of(step), {"step": str(step), "weights": "raw"})

        return write_weights

    save = Save(
        model,
        folder,
        gather_weights,
        loaded.text,
        freq=logging.save_freq,
        total=total,
        keep=_kept(options),
        data_state=degradation.state_dict if degradation is not None else dict,
        inputs=inputs,
        watch=watch,
    )
    hooks: list[Hook] = [watch, Print(model, board, freq=logging.print_freq, total=total, device=device), save]
    scorer = build_scorer(options, folder, val, device)
    validate = Validate(
        model,
        scorer,
        board,
        freq=validation.val_freq,
        total=total,
        num_tb_img=validation.num_tb_img,
        watch=watch,
        best=_best(options, scorer, folder, publish, model.g.iteration.number),
    )
    return hooks, validate, Stop(watch, save)


def _kept(options: Options) -> tuple[Keep, Keep]:
    """Return which states and which weights are kept."""
    keep, states = options.logger.keep, options.logger.num_states
    weights = Keep(keep.last, keep.every)
    return (weights if states == "keep" else dataclasses.replace(weights, last=states)), weights


def _best(options: Options, scorer: Scorer, folder: RunFolder, publish: WriteWeights, start: int) -> Best | None:
    """Return the best weights so far; None if no score decides them."""
    best = options.logger.keep.best
    if best == "none" or not (scorer.metrics and scorer.datasets):
        return None
    first = f"{next(iter(scorer.metrics))}/{next(iter(scorer.datasets))}"
    metric, _, dataset = (first if best == "auto" else best).partition("/")
    higher = bool(getattr(scorer.metrics[metric], "higher_is_better", True))
    return Best(folder.best, metric, dataset, higher_is_better=higher, write_weights=publish, start=start)
