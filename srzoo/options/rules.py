"""Rules across options: combinations that contradict each other although each option has the right type.

Rules read the raw tree and skip missing or ill-typed values, so that their faults are reported together with those of
the check of types. Each yields (path of an option, message).
"""

from collections.abc import Callable, Iterator
from typing import Any

from srzoo.contract import contract_of
from srzoo.options.tree import KeyPath, OptionFault, Tree
from srzoo.registry import ARCHS, DATASETS, DISCRIMINATORS, Registry

Finding = tuple[KeyPath, str]


def contradictions(tree: Tree, purpose: str = "run") -> list[OptionFault]:
    """Return the faults found by all rules.

    Args:
        tree: raw options.
        purpose: "network": the file may leave out datasets to train or test on.
    """
    rules = [rule for rule in RULES if purpose == "run" or rule is not has_data]
    return [OptionFault(tree.location(path), path, message) for rule in rules for path, message in rule(tree)]


def scale_fits_the_network(tree: Tree) -> Iterator[Finding]:
    """Check that the network is made for the magnification."""
    name, scale = tree.get("network_g", "type"), tree.get("scale")
    if isinstance(scale, int) and isinstance(name, str) and name in ARCHS:
        contract = contract_of(ARCHS[name])
        if not contract.accepts(scale):
            allowed = " or ".join(map(str, contract.scales or ()))
            yield ("scale",), f"the network {name} works at scale {allowed}, got {scale}"


def training_has_data(tree: Tree) -> Iterator[Finding]:
    """Check that a `train` section and a training dataset come together."""
    train, data = tree.get("train"), tree.get("datasets", "train")
    if train is not None and data is None:
        yield ("train",), "there is nothing to train on: add datasets.train"
    if data is not None and train is None:
        yield ("datasets", "train"), "there is data to train on but no `train` section"


def has_data(tree: Tree) -> Iterator[Finding]:
    """Check that the file names a dataset to train or to test on."""
    if not any(tree.get("datasets", split) for split in ("train", "test")):
        yield ("datasets",), "nothing to do: add datasets.train (to train) or datasets.test (to benchmark)"


def evaluation_has_metrics(tree: Tree) -> Iterator[Finding]:
    """Check that datasets with GT are scored, and that the images of those without GT are written."""
    for split in ("val", "test"):
        entries = tree.get("datasets", split)
        if not isinstance(entries, dict):
            continue
        types = {name: tree.get("datasets", split, name, "type") for name in entries}
        known = {name: DATASETS[kind] for name, kind in types.items() if isinstance(kind, str) and kind in DATASETS}
        without_gt = [name for name, dataset in known.items() if not getattr(dataset, "has_gt", True)]
        # Datasets of unknown type, and their GT, are left to the check of types.
        if len(without_gt) < len(known) and not tree.get("val", "metrics"):
            yield ("datasets", split), "nothing is measured on these: add val.metrics"
        for name in without_gt if not tree.get("val", "save_img") else ():
            message = "there is no GT to compare with; to get the enlarged images add val.save_img: true"
            yield ("datasets", split, name), message


def crops_fit_the_scale(tree: Tree) -> Iterator[Finding]:
    """Check that GT crops have an LQ size."""
    size, scale = tree.get("datasets", "train", "gt_size"), tree.get("scale")
    if isinstance(size, int) and isinstance(scale, int) and scale > 0 and size % scale:
        yield ("datasets", "train", "gt_size"), f"expected a multiple of the scale {scale}, got {size}"


def batches_split_evenly(tree: Tree) -> Iterator[Finding]:
    """Check that micro-batches are of equal size; the number of ranks is not known yet."""
    batch, parts = tree.get("datasets", "train", "batch_size"), tree.get("train", "accumulate")
    if isinstance(batch, int) and isinstance(parts, int) and parts > 0 and batch % parts:
        yield ("train", "accumulate"), f"batch_size {batch} is not divisible by {parts} micro-batches"


def nothing_is_idle(tree: Tree) -> Iterator[Finding]:
    """Check that no option is set whose subject is missing."""
    weights = tree.get("path", "pretrain_network_g")
    if tree.get("val", "val_freq") is not None and not tree.get("datasets", "val"):
        yield ("val", "val_freq"), "there is nothing to validate on: add datasets.val, or remove it"
    if tree.get("path", "param_key_g") not in (None, "auto") and weights is None:
        yield ("path", "param_key_g"), "there are no weights to choose from: add path.pretrain_network_g"
    rule, tile = tree.get("val", "tile_rule"), tree.get("val", "tile")
    if rule == "acs" and tile is not None:
        yield ("val", "tile"), "tile_rule: acs chooses the crops itself: remove this, or choose another rule"
    if rule == "drct" and tile is None:
        yield ("val", "tile_rule"), "drct is a rule for tiles: add val.tile, or remove it"
    if tree.get("path", "load") == "partial" and (weights is None or tree.get("train") is None):
        yield ("path", "load"), "partial is for training from path.pretrain_network_g: add both, or remove it"


def discriminator_is_used(tree: Tree) -> Iterator[Finding]:
    """Check that adversarial training, and no other, has a discriminator and its optimiser."""
    adversarial = tree.get("model", "type") == "GANModel"
    for path in (("network_d",), ("train", "optim_d")):
        given = tree.get(*path) is not None
        if given and not adversarial:
            yield path, "only model.type GANModel has a discriminator: choose it, or remove this"
        if adversarial and tree.get("train") is not None and not given:
            yield ("model", "type"), f"GANModel needs a discriminator: add {'.'.join(path)}"
    if tree.get("path", "pretrain_network_d") is not None and (not adversarial or tree.get("train") is None):
        message = "these weights are for the discriminator of a training: add model.type GANModel, or remove this"
        yield ("path", "pretrain_network_d"), message


def degradation_has_gt(tree: Tree) -> Iterator[Finding]:
    """Check that a degradation has GT images to make LQ from."""
    if tree.get("degradation") is None:
        return
    name = tree.get("datasets", "train", "type")
    if tree.get("train") is None:
        yield ("degradation",), "this makes LQ for training: add `train`, or remove it"
    elif isinstance(name, str) and name in DATASETS and "gt_only" not in DATASETS.signature(name):
        yield ("datasets", "train", "type"), f"{name} has LQ images already: choose GTImages, or remove `degradation`"


def degradation_crops_fit(tree: Tree) -> Iterator[Finding]:
    """Check that crops after the degradation lie within those before it, and have an LQ size."""
    crop, size, scale = tree.get("degradation", "gt_size"), tree.get("datasets", "train", "gt_size"), tree.get("scale")
    sizes = (crop, size, scale)
    if all(isinstance(value, int) and value > 0 for value in sizes) and (crop % scale or crop > size):
        message = f"expected a multiple of the scale {scale}, datasets.train.gt_size {size} at most, got {crop}"
        yield ("degradation", "gt_size"), message


def gt_is_sharpened_once(tree: Tree) -> Iterator[Finding]:
    """Check that losses do not sharpen GT that the degradation has sharpened."""
    for term in ("l1_gt_usm", "percep_gt_usm", "gan_gt_usm"):
        if tree.get("model", term) is True and tree.get("degradation", "usm") == "gt":
            message = "degradation.usm: gt sharpens GT for all losses already: use usm: lq, or remove this"
            yield ("model", term), message


def channels_agree(tree: Tree) -> Iterator[Finding]:
    """Check that datasets serve the channels of the network, and that the discriminator takes those too."""
    wanted = _option(tree, ARCHS, ("network_g",), "num_in_ch")
    if not isinstance(wanted, int):
        return
    for path in _dataset_paths(tree):
        color = _option(tree, DATASETS, path, "color")
        served = _CHANNELS.get(color) if isinstance(color, str) else None
        if served is not None and served != wanted:
            fitting = [f"color: {name}" for name, count in _CHANNELS.items() if count == wanted]
            remedy = f"set {fitting[0]}, or change" if fitting else "no color has as many: change"
            message = f"{color} has {served} channel(s), the network takes {wanted}: {remedy} network_g.num_in_ch"
            yield (*path, "color" if tree.get(*path, "color") is not None else "type"), message
    judged = _option(tree, DISCRIMINATORS, ("network_d",), "num_in_ch")
    if isinstance(judged, int) and judged != wanted:
        yield (
            ("network_d", "type"),
            f"it takes {judged} channel(s), network_g {wanted}: set network_d.num_in_ch: {wanted}",
        )


# Channels of images by the `color` of datasets.
_CHANNELS = {"rgb": 3, "grey": 1}


def _dataset_paths(tree: Tree) -> Iterator[tuple[str, ...]]:
    """Yield the place of each dataset entry."""
    if tree.get("datasets", "train") is not None:
        yield ("datasets", "train")
    for split in ("val", "test"):
        entries = tree.get("datasets", split)
        yield from (("datasets", split, str(name)) for name in (entries if isinstance(entries, dict) else ()))


def _option(tree: Tree, registry: Registry[Any], path: tuple[str, ...], option: str) -> object:
    """Return an option of the entry at `path`, or its default; None if the entry's type has no such option."""
    name = tree.get(*path, "type")
    parameters = registry.parameters(name) if isinstance(name, str) and name in registry else {}
    if option not in parameters:
        return None
    given = tree.get(*path, option)
    return parameters[option].default if given is None else given


def pool_fills_with_batches(tree: Tree) -> Iterator[Finding]:
    """Check that whole batches fill the pool of samples."""
    pool, batch = tree.get("degradation", "pool"), tree.get("datasets", "train", "batch_size")
    if isinstance(pool, int) and isinstance(batch, int) and batch > 0 and pool % batch:
        yield ("degradation", "pool"), f"expected a multiple of batch_size {batch}, whole batches fill it, got {pool}"


def the_best_is_scored(tree: Tree) -> Iterator[Finding]:
    """Check that the score which decides the best weights is computed in validations."""
    best = tree.get("logger", "keep", "best")
    if isinstance(best, str) and best not in ("auto", "none"):
        metrics, datasets = tree.get("val", "metrics") or {}, tree.get("datasets", "val") or {}
        metric, _, dataset = best.partition("/")
        if metric not in metrics or dataset not in datasets:
            known = [f"{one}/{other}" for one in metrics for other in datasets]
            yield (
                ("logger", "keep", "best"),
                f"expected auto, none or a score ({', '.join(known) or 'none'}), got {best}",
            )


def shards_can_be_trained(tree: Tree) -> Iterator[Finding]:
    """Check that a training of sharded networks uses nothing that PyTorch cannot do with shards."""
    if tree.get("parallel") != "fsdp":
        return
    remedy = "or parallel: ddp"
    if tree.get("train", "channels_last") is True:
        yield ("train", "channels_last"), f"sharded weights have the plain memory format: choose false {remedy}"
    if tree.get("train", "accumulate") == "auto":
        message = f"a trial on one rank does not show how much memory shards take: choose a number {remedy}"
        yield ("train", "accumulate"), message
    for name in ("optim_g", "optim_d"):
        kind = tree.get("train", name, "type")
        if kind in ("Adafactor", "Rprop"):
            yield ("train", name, "type"), f"{kind} cannot update sharded weights: choose another {remedy}"
    losses = tree.get("train", "losses")
    for loss in losses if isinstance(losses, dict) else ():
        for penalty in ("r1_weight", "gradient_penalty_weight"):
            if tree.get("train", "losses", str(loss), penalty):
                message = f"gradient penalties differentiate twice, which sharded networks cannot: choose 0 {remedy}"
                yield ("train", "losses", str(loss), penalty), message


RULES: tuple[Callable[[Tree], Iterator[Finding]], ...] = (
    scale_fits_the_network,
    training_has_data,
    has_data,
    evaluation_has_metrics,
    crops_fit_the_scale,
    batches_split_evenly,
    nothing_is_idle,
    discriminator_is_used,
    degradation_has_gt,
    degradation_crops_fit,
    gt_is_sharpened_once,
    channels_agree,
    pool_fills_with_batches,
    the_best_is_scored,
    shards_can_be_trained,
)
