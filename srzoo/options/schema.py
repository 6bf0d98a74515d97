"""The option file as frozen dataclasses. What each option means stands in the ``Args:`` of its section.

A block with a ``type:`` is an :class:`Entry`: the type names a registered plugin, and the plugin's constructor is the
schema of the block's other keys.
"""

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_type_hints

import annotated_types
import pydantic
import pydantic_core
from pydantic_core import core_schema

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
    Registry,
    parameter_docs,
)

RunName = Annotated[str, pydantic.StringConstraints(pattern=r"^[\w][\w.+-]*$")]
EntryName = Annotated[str, pydantic.StringConstraints(pattern=r"^[\w][\w+-]*$")]
Seed = Annotated[int, annotated_types.Ge(0), annotated_types.Lt(2**63)]
Decay = Annotated[float, annotated_types.Ge(0), annotated_types.Lt(1)]


@dataclass(frozen=True)
class Field:
    """One option: its type, its default (``inspect.Parameter.empty`` if required) and what it means."""

    annotation: Any
    default: Any
    doc: str

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, kw_only=True)
class Section:
    """Base of the sections of an option file: unknown keys are refused."""

    __pydantic_config__: ClassVar = pydantic.ConfigDict(extra="forbid")

    @classmethod
    def options(cls) -> dict[str, Field]:
        """The options of this section by name."""
        return dataclass_options(cls)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A block of an option file that names a plugin; subclasses add keys that belong to the framework.

    Args:
        type: registered name of the plugin.
        args: the plugin's own options, complete with defaults.
    """

    registry: ClassVar[Registry[Any]]
    type: str
    args: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def options(cls, type_name: str | None = None) -> dict[str, Field]:
        """The keys of a block: the framework's, and the plugin's where its type is known."""
        own = dataclass_options(cls)
        del own["args"]
        own["type"] = Field(
            Literal[tuple(cls.registry)], inspect.Parameter.empty, f"which {cls.registry.family} to use"
        )
        if type_name not in cls.registry:
            return own
        assert type_name is not None
        docs = parameter_docs(cls.registry[type_name])
        plugin = {
            name: Field(parameter.annotation, parameter.default, docs.get(name, ""))
            for name, parameter in cls.registry.parameters(type_name).items()
        }
        clash = own.keys() & plugin.keys()
        if clash:
            raise ValueError(
                f"{cls.registry.family} {type_name!r}: {', '.join(clash)} is an option of the framework; rename the "
                "parameter"
            )
        return own | plugin

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        del source

        def member(name: str) -> core_schema.CoreSchema:
            fields = {}
            for key, option in cls.options(name).items():
                schema = handler.generate_schema(Literal[name] if key == "type" else option.annotation)
                if not option.required:
                    schema = core_schema.with_default_schema(schema, default=option.default, validate_default=True)
                metadata = {"pydantic_js_updates": {"description": option.doc}}
                fields[key] = core_schema.typed_dict_field(schema, required=option.required, metadata=metadata)
            return core_schema.typed_dict_schema(fields, extra_behavior="forbid")

        def entry(values: dict[str, Any]) -> "Entry":
            own = {f.name: values.pop(f.name) for f in dataclasses.fields(cls) if f.name in values}
            return cls(**own, args=values)

        union = core_schema.tagged_union_schema(
            {name: member(name) for name in cls.registry.everyone()}, discriminator="type"
        )
        return core_schema.no_info_after_validator_function(entry, union)


def dataclass_options(cls: type) -> dict[str, Field]:
    """The fields of a dataclass by name, with what its ``Args:`` say of them."""
    hints, docs = get_type_hints(cls, include_extras=True), parameter_docs(cls)
    options = {}
    for f in dataclasses.fields(cls):
        default = inspect.Parameter.empty if f.default is dataclasses.MISSING else f.default
        if f.default_factory is not dataclasses.MISSING:
            default = f.default_factory()
        options[f.name] = Field(hints[f.name], default, docs.get(f.name, ""))
    return options


@dataclass(frozen=True, kw_only=True)
class NetworkEntry(Entry):
    """A network by type."""

    registry: ClassVar = ARCHS


@dataclass(frozen=True, kw_only=True)
class DiscriminatorEntry(Entry):
    """A discriminator by type."""

    registry: ClassVar = DISCRIMINATORS


@dataclass(frozen=True, kw_only=True)
class ModelEntry(Entry):
    """A training recipe by type."""

    registry: ClassVar = MODELS


@dataclass(frozen=True, kw_only=True)
class OptimizerEntry(Entry):
    """A torch.optim optimiser by type."""

    registry: ClassVar = OPTIMIZERS


@dataclass(frozen=True, kw_only=True)
class SchedulerEntry(Entry):
    """A learning-rate schedule by type."""

    registry: ClassVar = SCHEDULERS


@dataclass(frozen=True, kw_only=True)
class LossEntry(Entry):
    """A loss by type.

    Args:
        weight: factor of this loss in the sum.
    """

    registry: ClassVar = LOSSES
    weight: NonNegativeFloat = 1.0


@dataclass(frozen=True, kw_only=True)
class MetricEntry(Entry):
    """A metric by type."""

    registry: ClassVar = METRICS


@dataclass(frozen=True, kw_only=True)
class EvalDatasetEntry(Entry):
    """A data set to validate or test on, by type."""

    registry: ClassVar = DATASETS


@dataclass(frozen=True, kw_only=True)
class TrainDatasetEntry(Entry):
    """The data set to train on, by type.

    Args:
        batch_size: samples per update, in total over all processes and micro-batches.
        num_workers: loader processes per training process; batches do not depend on it.
    """

    registry: ClassVar = DATASETS
    batch_size: PositiveInt
    num_workers: NonNegativeInt = 4


@dataclass(frozen=True, kw_only=True)
class DegradationEntry(Entry):
    """A stage of the degradation by type.

    Args:
        prob: probability with which a sample goes through this stage.
        shuffle: a name of your own; neighbouring stages with names change places at random for each sample. Those of
            one name stay together; of those of one type, the first listed stays first.
    """

    registry: ClassVar = DEGRADATIONS
    prob: Chance = 1.0
    shuffle: EntryName | None = None


@dataclass(frozen=True, kw_only=True)
class DegradationOptions(Section):
    """How LQ is made from the GT crops of training, batch by batch on the training device.

    Args:
        stages: what happens to a copy of GT, in this order; a sample's numbers are its own.
        usm: what is sharpened before the stages: none; lq: only what LQ is made from (adversarial Real-ESRGAN, whose
            losses choose for themselves); gt: GT, and so LQ and the losses too (MSE-oriented Real-ESRGAN).
        gt_size: cut GT and LQ to this side afterwards, so that borders do not show; null: whole [GT pixels].
        pool: exchange the samples of each batch with a pool of so many, all processes together, which is filled
            first; for stages that draw once per batch; null: none [samples].
    """

    stages: Annotated[tuple[DegradationEntry, ...], annotated_types.MinLen(1)]
    usm: Literal["none", "lq", "gt"] = "none"
    gt_size: PositiveInt | None = None
    pool: PositiveInt | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetsOptions(Section):
    """Where images come from.

    Args:
        train: the data set to train on.
        val: data sets to validate on during training, by name.
        test: data sets to benchmark with test.py, by name.
    """

    train: TrainDatasetEntry | None = None
    val: dict[EntryName, EvalDatasetEntry] = field(default_factory=dict)
    test: dict[EntryName, EvalDatasetEntry] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataOptions(Section):
    """The pre-flight over all data sets.

    Args:
        check: "headers" looks at names, image headers and file ends; "full" decodes every file (as --debug does).
        allow_overlap: accept training images that stand in a validation set too.
    """

    check: Literal["headers", "full"] = "headers"
    allow_overlap: bool = False


@dataclass(frozen=True, kw_only=True)
class PathOptions(Section):
    """Where files lie. ${env:NAME} stands for an environment variable in any path of the file.

    Args:
        root: where relative paths of this file start; default: the working directory.
        experiments: folder of all runs; a run writes below experiments/<name>.
        pretrain_network_g: weights to start training from, or to test.
        param_key_g: entry of the weights file to load, such as params_ema; "auto" prefers a moving average.
        load: strict: the weights must be the network's; partial: what fits is kept and the rest stays initialised,
            both listed in the log (training only).
    """

    root: Path | None = None
    experiments: Path = Path("experiments")
    pretrain_network_g: Path | None = None
    param_key_g: str = "auto"
    load: Literal["strict", "partial"] = "strict"


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Section):
    """How the network is trained.

    Args:
        total_iter: when to stop [updates].
        optim_g: optimiser of network_g.
        optim_d: optimiser of network_d.
        losses: what is minimised, by name; the weighted sum of all entries.
        scheduler: learning rate over time; default: constant.
        warmup_iter: linear ramp of the learning rate at the start [updates].
        ema_decay: moving average of the weights, which is then validated and saved; 0 switches it off.
        grad_clip: largest 2-norm of all gradients together; null: as they come.
        accumulate: parts that each batch is split into to save memory [micro-batches].
        channels_last: keep features as NHWC in memory; the same numbers up to rounding, often faster.
    """

    total_iter: PositiveInt
    optim_g: OptimizerEntry
    losses: Annotated[dict[EntryName, LossEntry], annotated_types.MinLen(1)]
    optim_d: OptimizerEntry | None = None
    scheduler: SchedulerEntry = field(default_factory=lambda: SchedulerEntry(type="Constant"))
    warmup_iter: NonNegativeInt = 0
    ema_decay: Decay = 0.0
    grad_clip: PositiveFloat | None = None
    accumulate: PositiveInt = 1
    channels_last: bool = False


@dataclass(frozen=True, kw_only=True)
class ValOptions(Section):
    """How networks are scored, during training and by test.py.

    Args:
        val_freq: validate every so often during training; null: only at the end [updates].
        metrics: what is measured, by name.
        save_img: write the network's output images to visualization/.
        num_tb_img: output images per data set that go to TensorBoard [images].
        fused: score a re-parameterised network in its merged form, the one that is deployed.
        tile: apply the network to tiles of this side, for images that do not fit into memory; null: whole [LQ pixels].
        tile_overlap: how much of its surroundings a tile sees on each side; from the network's receptive radius on,
            tiles give what the whole image gives [LQ pixels].
    """

    val_freq: PositiveInt | None = None
    metrics: dict[EntryName, MetricEntry] = field(default_factory=dict)
    save_img: bool = False
    num_tb_img: NonNegativeInt = 2
    fused: bool = False
    tile: PositiveInt | None = None
    tile_overlap: NonNegativeInt = 32


@dataclass(frozen=True, kw_only=True)
class LoggerOptions(Section):
    """What is written down, and how often.

    Args:
        print_freq: a line of losses, speed and remaining time every so often [updates].
        save_freq: save weights and training state every so often [updates].
        num_states: how many training states to keep, the newest; null: all.
        use_tb_logger: write TensorBoard files.
    """

    print_freq: PositiveInt = 100
    save_freq: PositiveInt = 5000
    num_states: PositiveInt | None = 3
    use_tb_logger: bool = True


@dataclass(frozen=True, kw_only=True)
class Options(Section):
    """A whole option file, for training, testing or both.

    Args:
        name: name of the run; its folder is path.experiments/<name>.
        scale: magnification, the output side over the input side.
        network_g: the network.
        network_d: the discriminator of an adversarial training.
        seed: of everything random: initial weights, order of the data, crops, dropout.
        model: the training recipe.
        datasets: where images come from.
        data: how data sets are checked before the first step.
        degradation: how LQ is made from GT during training; null: LQ comes from the data set.
        path: where files lie.
        train: how the network is trained.
        val: how networks are scored.
        logger: what is written down.
        plugins: Python files that register your own plugins, relative to this file.
    """

    name: RunName
    scale: PositiveInt
    network_g: NetworkEntry
    network_d: DiscriminatorEntry | None = None
    seed: Seed = 0
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
        """experiments/<name>, absolute or relative to the working directory."""
        return self.resolve(self.path.experiments) / self.name

    def resolve(self, path: Path) -> Path:
        """A path of this file as seen from the working directory."""
        return (self.path.root or Path()) / path

    def resolved_args(self, entry: Entry) -> dict[str, Any]:
        """A plugin's arguments with paths resolved, those inside mappings of its own too."""
        return {name: self._resolved(value) for name, value in entry.args.items()}

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, Path):
            return self.resolve(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: self._resolved(getattr(value, f.name)) for f in dataclasses.fields(value)}
            return dataclasses.replace(value, **fields)
        return {key: self._resolved(item) for key, item in value.items()} if isinstance(value, dict) else value


def plain(value: Any) -> Any:
    """Options as plain YAML values, defaults included; loading them gives the same options again."""
    if isinstance(value, Entry):
        own = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.name != "args"}
        return plain(own | value.args)
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def validate(tree: Mapping[str, Any]) -> tuple[Options | None, list[pydantic_core.ErrorDetails]]:
    """The tree as options, or pydantic's errors. Types are strict; sequences may become tuples and text paths."""
    try:
        return _adapter(_registered()).validate_json(pydantic_core.to_json(tree), strict=True), []
    except pydantic.ValidationError as error:
        return None, error.errors(include_url=False, include_context=False)


def json_schema() -> dict[str, Any]:
    """JSON schema of an option file as pydantic has it."""
    return _adapter(_registered()).json_schema()


def _registered() -> tuple[str, ...]:
    families = (ARCHS, DISCRIMINATORS, LOSSES, METRICS, DEGRADATIONS, DATASETS, OPTIMIZERS, SCHEDULERS, MODELS)
    return tuple(f"{family.family} {name}" for family in families for name in family.everyone())


_adapters: dict[tuple[str, ...], pydantic.TypeAdapter[Options]] = {}


def _adapter(registered: tuple[str, ...]) -> pydantic.TypeAdapter[Options]:
    """The validator for what is registered now; plugins make a new one necessary."""
    if registered not in _adapters:
        _adapters.clear()
        _adapters[registered] = pydantic.TypeAdapter(Options)
    return _adapters[registered]
