"""Rules across options: combinations that contradict each other although each option has the right type.

Rules read the raw tree and skip missing or ill-typed values, so that their faults are reported together with those of
the check of types. Each yields (path of an option, message).
"""

from collections.abc import Callable, Iterator

from srzoo.contract import contract_of
from srzoo.options.tree import KeyPath, OptionFault, Tree
from srzoo.registry import ARCHS, DATASETS

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
    if tree.get("path", "load") == "partial" and (weights is None or tree.get("train") is None):
        yield ("path", "load"), "partial is for training from path.pretrain_network_g: add both, or remove it"


def discriminator_is_used(tree: Tree) -> Iterator[Finding]:
    """Check that adversarial training, and no other, has a discriminator and its optimiser."""
    adversarial = tree.get("model", "type") == "GANModel"
    needed = (("network_d",), ("train", "optim_d"))
    missing = [".".join(path) for path in needed if tree.get(*path) is None]
    if adversarial and missing and tree.get("train") is not None:
        yield ("model", "type"), f"GANModel needs a discriminator: add {' and '.join(missing)}"
    for path in needed if not adversarial else ():
        if tree.get(*path) is not None:
            yield path, "only model.type GANModel has a discriminator: choose it, or remove this"


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


def pool_fills_with_batches(tree: Tree) -> Iterator[Finding]:
    """Check that whole batches fill the pool of samples."""
    pool, batch = tree.get("degradation", "pool"), tree.get("datasets", "train", "batch_size")
    if isinstance(pool, int) and isinstance(batch, int) and batch > 0 and pool % batch:
        yield ("degradation", "pool"), f"expected a multiple of batch_size {batch}, whole batches fill it, got {pool}"


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
    pool_fills_with_batches,
)
