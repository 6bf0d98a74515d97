"""Conversion of a whole option file: of BasicSR and of the projects built on it, to srzoo's.

Every key without a counterpart is reported with the reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from srzoo.compat.basicsr.datasets import datasets
from srzoo.compat.basicsr.degradation import degradation
from srzoo.compat.basicsr.epochs import note_early_stop
from srzoo.compat.basicsr.logger import logger
from srzoo.compat.basicsr.network_options import discriminator, generator
from srzoo.compat.basicsr.paths import paths
from srzoo.compat.basicsr.reader import (
    NOT_IN_RUN_NAMES,
    Note,
    OptionReader,
    Section,
    with_yaml_1_1_booleans,
)
from srzoo.compat.basicsr.training import training
from srzoo.compat.basicsr.validation import metrics, validation
from srzoo.contract import PlainValue

PLAIN_MODELS = {
    "SRModel",
    "SwinIRModel",
    "DRCTModel",
    "HATModel",
    "RealESRNetModel",
    "RealDRCTMSEModel",
    "RealHATMSEModel",
}
GAN_MODELS = {"SRGANModel", "ESRGANModel", "RealESRGANModel", "RealDRCTGANModel", "RealHATGANModel"}
_USM = ("l1_gt_usm", "percep_gt_usm", "gan_gt_usm")
_NOT_NEEDED = {
    "dist_params": "not needed: torchrun starts the ranks",
    "find_unused_parameters": "not needed: srzoo sets up distributed training itself",
    "use_static_graph": "not needed: srzoo sets up distributed training itself",
    "auto_resume": "resume a run with --resume auto",
}


@dataclass(frozen=True)
class Converted:
    """A converted option file.

    Args:
        options: content of the new file.
        notes: remarks on keys of the old file.
        unsupported: requests of the old file that srzoo cannot meet; the new file can be used if there are none.
    """

    options: Section
    notes: list[Note]
    unsupported: list[str]


def is_basicsr(options: Mapping[str, object]) -> bool:
    """Return True if this is the content of an option file of BasicSR's kind."""
    return "model_type" in options


def convert(options: Mapping[str, PlainValue]) -> Converted:
    """Convert the content of an option file of BasicSR's kind to that of an option file of srzoo."""
    old = OptionReader({name: with_yaml_1_1_booleans(value) for name, value in options.items()}, (), [], [])
    model = str(old.pop("model_type"))
    if model not in PLAIN_MODELS | GAN_MODELS:
        old.refuse("model_type", model)
    name, scale = str(old.pop("name", default="converted")), old.pop("scale", default=4)
    train = old.section("train")
    seed = old.pop("manual_seed", default=train.pop("manual_seed", default=0))
    new: Section = {"name": old.allowed_name(name, NOT_IN_RUN_NAMES), "seed": seed, "scale": scale}
    num_gpu = old.pop("num_gpu", default=1)
    # 0: the number of GPUs is not known, because the file says `auto`.
    num_gpus = num_gpu if isinstance(num_gpu, int) else 0
    old.drop(_NOT_NEEDED)

    new["network_g"] = generator(old.section("network_g"), scale)
    is_trained, is_adversarial = bool(train), model in GAN_MODELS
    net_d = old.section("network_d")
    if is_adversarial and is_trained:
        new["model"] = _gan_model(old, train, model)
        new["network_d"] = discriminator(net_d)
    elif net_d:
        old.note("network_d", "not needed for testing")
        net_d.pop_rest()

    old_datasets = old.section("datasets")
    # Before the datasets are converted: the training dataset holds keys of the degradation and the length of an epoch.
    stages = degradation(old, old_datasets, max(num_gpus, 1), adversarial=is_adversarial)
    note_early_stop(train, old_datasets.section("train"), max(num_gpus, 1))
    val = old.section("val")
    found = metrics(val.section("metrics"), scale)
    new_datasets = datasets(old_datasets, num_gpus, has_degradation=bool(stages), is_scored=bool(found))
    new["datasets"] = new_datasets
    if stages:
        new["degradation"] = stages
    new["path"] = paths(old.section("path"), is_trained=is_trained, adversarial=is_adversarial)
    if is_trained:
        new["train"] = training(train, adversarial=is_adversarial)
    new["val"] = validation(val, old.section("tile"), found, new_datasets)
    new["logger"] = logger(old.section("logger"))
    old.notes.extend(Note(path, "not supported") for path in old.left_over())
    return Converted({key: value for key, value in new.items() if value not in ({}, None)}, old.notes, old.refusals)


def _gan_model(old: OptionReader, train: OptionReader, model: str) -> Section:
    """Convert the options of an adversarial recipe, which BasicSR keeps at the top of the file and in `train`."""
    if model == "ESRGANModel":
        old.note(
            "model_type",
            "GANModel is not relativistic: its discriminator judges each image by itself, ESRGANModel's judges real "
            "and generated images relative to each other",
        )
    iters = train.pop_given("net_d_iters", "net_d_init_iters")
    usm = Section()
    if model.startswith("Real"):  # others do not read these switches, which are on where they have no value
        usm = {term: True for term in _USM if old.is_empty(term)} | old.pop_given(*_USM)
    return {"type": "GANModel", **usm, **iters}
