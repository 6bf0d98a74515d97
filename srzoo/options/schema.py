"""The option file as frozen dataclasses. The ``Args:`` of each section document its options, in docs/options.md too.

:class:`Options` at the end is the whole file. A block with a ``type:`` is an entry: the type names a registered plugin,
whose constructor decides the other keys of the block (entry.py). In loaded options all paths are resolved (paths.py).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import annotated_types
import pydantic

from srzoo.images import MAX_PIXELS
from srzoo.options.entry import Entry, Section
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
    Chance,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

# Names become folders and parts of dotted paths: no separators, no leading dot.
RUN_NAME = r"^[\w][\w.+-]*$"
RunName = Annotated[str, pydantic.StringConstraints(pattern=RUN_NAME)]
EntryName = Annotated[str, pydantic.StringConstraints(pattern=r"^[\w][\w+-]*$")]
Seed = Annotated[int, annotated_types.Ge(0), annotated_types.Lt(2**63)]
# Above 2^30 pixels OpenCV refuses an image.
PixelLimit = Annotated[int, annotated_types.Ge(1), annotated_types.Le(2**30)]
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
Decay = Annotated[float, annotated_types.Ge(0), annotated_types.Lt(1)]


@dataclass(frozen=True, kw_only=True)
class NetworkEntry(Entry):
    """A network, by type."""

    registry: ClassVar = ARCHS


@dataclass(frozen=True, kw_only=True)
class DiscriminatorEntry(Entry):
    """A discriminator, by type."""

    registry: ClassVar = DISCRIMINATORS


@dataclass(frozen=True, kw_only=True)
class ModelEntry(Entry):
    """A training recipe, by type."""

    registry: ClassVar = MODELS


@dataclass(frozen=True, kw_only=True)
class OptimizerEntry(Entry):
    """A torch.optim optimiser, by type."""

    registry: ClassVar = OPTIMIZERS


@dataclass(frozen=True, kw_only=True)
class SchedulerEntry(Entry):
    """A learning-rate schedule, by type."""

    registry: ClassVar = SCHEDULERS


@dataclass(frozen=True, kw_only=True)
class LossEntry(Entry):
    """A loss, by type.

    Args:
        weight: factor of this loss in the sum.
    """

    registry: ClassVar = LOSSES
    weight: NonNegativeFloat = 1.0


@dataclass(frozen=True, kw_only=True)
class MetricEntry(Entry):
    """A metric, by type."""

    registry: ClassVar = METRICS


@dataclass(frozen=True, kw_only=True)
class EvalDatasetEntry(Entry):
    """A dataset to validate or test on, by type."""

    registry: ClassVar = DATASETS


@dataclass(frozen=True, kw_only=True)
class TrainDatasetEntry(Entry):
    """The dataset to train on, by type.

    Args:
        batch_size: samples per update, in total over all ranks and micro-batches.
        num_workers: processes that load images, per rank; batches do not depend on it.
    """

    registry: ClassVar = DATASETS
    batch_size: PositiveInt
    num_workers: NonNegativeInt = 4


@dataclass(frozen=True, kw_only=True)
class DegradationEntry(Entry):
    """A stage of the degradation, by type.

    Args:
        prob: probability that the stage is applied to a sample.
        shuffle: name of a group of stages; adjacent groups are applied in random order, per sample. Groups that begin
            with the same type of stage keep their order among themselves.
    """

    registry: ClassVar = DEGRADATIONS
    prob: Chance = 1.0
    shuffle: EntryName | None = None


@dataclass(frozen=True, kw_only=True)
class DegradationOptions(Section):
    """The degradation that makes LQ from the GT crops of training, batch by batch on the training device.

    Args:
        stages: operations applied to a copy of GT, in order, with random numbers drawn per sample.
        usm: images sharpened before the stages. none: no image; lq: the copy that LQ is made from (Real-ESRGAN; its
            losses choose sharpened or plain GT themselves); gt: GT itself, for LQ and losses alike (Real-ESRNet).
        gt_size: side of the crops taken from GT and LQ after the stages, to remove artefacts at the borders; null: no
            crop [GT pixels].
        pool: size, over all ranks, of a pool whose samples are exchanged with those of each batch once it is full, so
            that a batch mixes parameters that stages draw per batch; null: no pool [samples].
    """

    stages: Annotated[tuple[DegradationEntry, ...], annotated_types.MinLen(1)]
    usm: Literal["none", "lq", "gt"] = "none"
    gt_size: PositiveInt | None = None
    pool: PositiveInt | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetsOptions(Section):
    """Datasets for training, validation and benchmarks.

    Args:
        train: dataset to train on.
        val: datasets to validate on during training, by name.
        test: datasets to benchmark with test.py, by name.
    """

    train: TrainDatasetEntry | None = None
    val: dict[EntryName, EvalDatasetEntry] = field(default_factory=dict)
    test: dict[EntryName, EvalDatasetEntry] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataOptions(Section):
    """Checks of all datasets before the first step.

    Args:
        check: headers: check names, image headers and file ends; full: decode every file, as --debug does.
        on_error: for a training image that cannot be read in an update. stop: stop, on all ranks; skip: log it and take
            the next image of the dataset.
        allow_overlap: accept training images that are also in a validation set.
        max_pixels: largest image that is read; larger ones are refused by their headers [pixels].
        hash_limit: size of the training data up to which states record the contents of its files, for a resumed run to
            compare; of larger data, names and sizes [GB].
    """

    check: Literal["headers", "full"] = "headers"
    on_error: Literal["stop", "skip"] = "stop"
    allow_overlap: bool = False
    max_pixels: PixelLimit = MAX_PIXELS
    hash_limit: NonNegativeFloat = 50.0


@dataclass(frozen=True, kw_only=True)
class PathOptions(Section):
    """Folders and files. In any path of the file, ${env:NAME} is replaced by an environment variable.

    Args:
        root: folder that relative paths of this file start from; null: the working directory.
        experiments: folder of all runs; a run writes to experiments/<name>.
        pretrain_network_g: weights to start training from, or to test.
        pretrain_network_d: weights that the discriminator starts training from; null: random weights.
        param_key_g: entry of the weights file to load, such as params_ema; auto: a moving average if there is one.
        load: strict: the weights must fit the network; partial: load the weights that fit and leave the others
            initialised, with both listed in the log (training only, network_g only).
    """

    root: Path | None = None
    experiments: Path = Path("experiments")
    pretrain_network_g: Path | None = None
    pretrain_network_d: Path | None = None
    param_key_g: str = "auto"
    load: Literal["strict", "partial"] = "strict"


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Section):
    """Training of the network.

    Args:
        total_iter: length of the training [updates].
        optim_g: optimiser of network_g.
        optim_d: optimiser of network_d.
        losses: terms of the loss, by name; their weighted sum is minimised.
        scheduler: learning-rate schedule.
        warmup_iter: length of the linear ramp of the learning rate at the start [updates].
        ema_decay: decay of the moving average of the weights, which is validated and saved in place of the weights; 0:
            no average.
        grad_clip: largest 2-norm of all gradients together; null: no clipping.
        accumulate: equal parts that each batch is split into, to save memory; auto: the fewest that fit the memory,
            found by trial before the first update [micro-batches].
        max_time: time budget from the start of the command (under torchrun, of torchrun), after which the training is
            saved and stops with exit code 75; null: no limit [h].
        channels_last: keep features as NHWC in memory: equal results up to rounding; auto: for networks that were
            measured to train faster so (`channels_last` of the network), whatever the machine, so that a resumed run
            keeps it.
    """

    total_iter: PositiveInt
    optim_g: OptimizerEntry
    losses: Annotated[dict[EntryName, LossEntry], annotated_types.MinLen(1)]
    optim_d: OptimizerEntry | None = None
    scheduler: SchedulerEntry = field(default_factory=lambda: SchedulerEntry(type="Constant"))
    warmup_iter: NonNegativeInt = 0
    ema_decay: Decay = 0.0
    grad_clip: PositiveFloat | None = None
    accumulate: PositiveInt | Literal["auto"] = 1
    max_time: PositiveFloat | None = None
    channels_last: bool | Literal["auto"] = False


@dataclass(frozen=True, kw_only=True)
class ValOptions(Section):
    """Scoring of the network, during training and by test.py.

    Args:
        val_freq: interval between validations during training; null: only at the end [updates].
        metrics: metrics to compute, by name.
        save_img: write the output images to visualization/.
        num_tb_img: images per dataset shown in TensorBoard, as LQ, bicubic, SR and GT beside each other [images].
        fused: score a re-parameterisable network in its merged form, the one that is deployed.
        tile: side of the tiles that the network is applied to, for images that do not fit into memory; auto: the
            largest that fits, whole images where they do; null: no tiles [LQ pixels].
        tile_overlap: margin around each tile that the network sees; from the receptive radius of the network on, tiles
            and the whole image give equal results; auto: that radius, or 32 where it is unbounded. With tile_rule acs
            the margin of its crops [LQ pixels].
        tile_rule: exact: tiles with a margin, whole images without `tile`; acs: four crops from the corners of images
            whose sides 4 does not divide, the adaptive cropping of IMDN's authors; drct: tiles of the image mirrored to
            multiples of the window, as in the programs of DRCT and HAT.
        ensemble: score the mean over eight flips and rotations of each image (self-ensemble, x8).
        precision: arithmetic of the network in scoring, as the option `precision`, but independent of it, so that
            scores compare; an image that overflows in fp16 is computed again in bf16 or fp32.
    """

    val_freq: PositiveInt | None = None
    metrics: dict[EntryName, MetricEntry] = field(default_factory=dict)
    save_img: bool = False
    num_tb_img: NonNegativeInt = 2
    fused: bool = False
    tile: PositiveInt | Literal["auto"] | None = None
    tile_overlap: NonNegativeInt | Literal["auto"] = 32
    tile_rule: Literal["exact", "acs", "drct"] = "exact"
    ensemble: bool = False
    precision: Precision = "fp32"


@dataclass(frozen=True, kw_only=True)
class KeepOptions(Section):
    """Saved weights and training states that are kept; older ones are removed once newer ones are written.

    Args:
        last: number of newest weights and states; null: all.
        every: weights and states after multiples of this are kept too; null: none [updates].
        best: METRIC/DATASET, such as psnr/Set5, whose best weights are kept as models/best.safetensors; auto: the first
            metric on the first validation set; none: no such file.
    """

    last: PositiveInt | None = 3
    every: PositiveInt | None = 100_000
    best: str = "auto"


@dataclass(frozen=True, kw_only=True)
class LoggerOptions(Section):
    """Log, TensorBoard, saved weights and training states.

    Args:
        print_freq: interval between log lines with losses, speed and remaining time [updates].
        save_freq: interval between saves of weights and training state [updates].
        save_minutes: longest time without a save; null: saves follow updates alone [min].
        keep: saved weights and training states that are kept.
        num_states: number of newest training states, where it differs from that of weights; keep: as `keep` says;
            null: all.
        use_tb_logger: write TensorBoard files.
    """

    print_freq: PositiveInt = 100
    save_freq: PositiveInt = 5000
    save_minutes: PositiveFloat | None = 60.0
    keep: KeepOptions = field(default_factory=KeepOptions)
    num_states: PositiveInt | Literal["keep"] | None = "keep"
    use_tb_logger: bool = True


@dataclass(frozen=True, kw_only=True)
class Options(Section):
    """A whole option file, for training, testing or both.

    Args:
        name: name of the run; its folder is path.experiments/<name>.
        scale: magnification: output side over input side.
        network_g: the network.
        network_d: discriminator of an adversarial training.
        seed: seed of initial weights, order of the data, crops, degradation and dropout.
        precision: arithmetic of the network in training; weights, losses and updates are float32. fp32: float32; tf32:
            float32 with products rounded to 10 bits of mantissa, on GPUs; bf16, fp16: mixed precision, for networks
            that are safe in it (docs/precision.md).
        compile: torch.compile of network_g, in training and scoring; true: PyTorch's default mode.
        deterministic: use deterministic algorithms only, at a cost in speed: equal weights from equal runs on GPUs too.
        parallel: division of the work among ranks. ddp: each rank holds whole networks; fsdp: each rank holds a part of
            all weights, averages, gradients and optimiser states (docs/scaling.md). A resumed run may change it.
        model: training recipe.
        datasets: datasets for training, validation and benchmarks.
        data: checks of all datasets before the first step.
        degradation: degradation that makes LQ from GT during training; null: LQ comes from the dataset.
        path: folders and files.
        train: training of the network.
        val: scoring of the network.
        logger: log, TensorBoard, saved weights and training states.
        plugins: Python files that register your own plugins, relative to this file.
    """

    name: RunName
    scale: PositiveInt
    network_g: NetworkEntry
    network_d: DiscriminatorEntry | None = None
    seed: Seed = 0
    precision: Precision = "fp32"
    compile: bool | Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] = False
    deterministic: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    model: ModelEntry = field(default_factory=lambda: ModelEntry(type="SRModel"))
    datasets: DatasetsOptions = field(default_factory=DatasetsOptions)
    data: DataOptions = field(default_factory=DataOptions)
    degradation: DegradationOptions | None = None
    path: PathOptions = field(default_factory=PathOptions)
    train: TrainOptions | None = None
    val: ValOptions = field(default_factory=ValOptions)
    logger: LoggerOptions = field(default_factory=LoggerOptions)
    plugins: tuple[Path, ...] = ()

    @property
    def run_folder(self) -> Path:
        """Folder of the run: experiments/<name>."""
        return self.path.experiments / self.name
