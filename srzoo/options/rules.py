"""What must fit together beyond types: options that contradict each other.

Rules look at the raw tree and pass over what is missing or ill-typed, so that their findings stand beside those of the
type check in one report.
"""

from collections.abc import Callable, Iterator

from srzoo.contract import contract_of
from srzoo.options.source import OptionFault, Tree
from srzoo.registry import ARCHS, DATASETS


def contradictions(tree: Tree, purpose: str = "run") -> list[OptionFault]:
    """The findings of all rules; a file that only names a network need not say what to do with it."""
    rules = [rule for rule in RULES if purpose == "run" or rule is not something_to_do]
    return [fault for rule in rules for fault in rule(tree)]


def _fault(tree: Tree, path: tuple[str, ...], message: str) -> OptionFault:
    return OptionFault(tree.place(path), path, message)


def scale_fits_the_network(tree: Tree) -> Iterator[OptionFault]:
    name, scale = tree.get("network_g", "type"), tree.get("scale")
    if isinstance(scale, int) and isinstance(name, str) and name in ARCHS:
        contract = contract_of(ARCHS[name])
        if not contract.accepts(scale):
            allowed = " or ".join(map(str, contract.scales or ()))
            yield _fault(tree, ("scale",), f"the network {name} works at scale {allowed}, got {scale}")


def training_has_data(tree: Tree) -> Iterator[OptionFault]:
    train, data = tree.get("train"), tree.get("datasets", "train")
    if train is not None and data is None:
        yield _fault(tree, ("train",), "there is nothing to train on: add datasets.train")
    if data is not None and train is None:
        yield _fault(tree, ("datasets", "train"), "there is data to train on but no `train` section")


def something_to_do(tree: Tree) -> Iterator[OptionFault]:
    if not any(tree.get("datasets", split) for split in ("train", "test")):
        yield _fault(
            tree, ("datasets",), "nothing to do: add datasets.train (to train) or datasets.test (to benchmark)"
        )


def evaluation_has_metrics(tree: Tree) -> Iterator[OptionFault]:
    for split in ("val", "test"):
        entries = tree.get("datasets", split)
        if not isinstance(entries, dict):
            continue
        types = {name: tree.get("datasets", split, name, "type") for name in entries}
        known = {name: DATASETS[kind] for name, kind in types.items() if isinstance(kind, str) and kind in DATASETS}
        alone = [name for name, dataset in known.items() if not getattr(dataset, "has_gt", True)]
        if len(alone) < len(types) and not tree.get("val", "metrics"):
            yield _fault(tree, ("datasets", split), "nothing is measured on these: add val.metrics")
        for name in alone if not tree.get("val", "save_img") else ():
            message = "there is no GT to compare with; to get the enlarged images add val.save_img: true"
            yield _fault(tree, ("datasets", split, name), message)


def crops_fit_the_scale(tree: Tree) -> Iterator[OptionFault]:
    size, scale = tree.get("datasets", "train", "gt_size"), tree.get("scale")
    if isinstance(size, int) and isinstance(scale, int) and scale > 0 and size % scale:
        yield _fault(tree, ("datasets", "train", "gt_size"), f"expected a multiple of the scale {scale}, got {size}")


def batches_split_evenly(tree: Tree) -> Iterator[OptionFault]:
    batch, parts = tree.get("datasets", "train", "batch_size"), tree.get("train", "accumulate")
    if isinstance(batch, int) and isinstance(parts, int) and parts > 0 and batch % parts:
        yield _fault(tree, ("train", "accumulate"), f"the batch of {batch} cannot be cut into {parts} equal parts")


def nothing_is_idle(tree: Tree) -> Iterator[OptionFault]:
    if tree.get("val", "val_freq") is not None and not tree.get("datasets", "val"):
        yield _fault(tree, ("val", "val_freq"), "there is nothing to validate on: add datasets.val, or remove it")
    if tree.get("path", "param_key_g") not in (None, "auto") and tree.get("path", "pretrain_network_g") is None:
        yield _fault(tree, ("path", "param_key_g"), "there are no weights to choose from: add path.pretrain_network_g")
    if tree.get("path", "load") == "partial" and (
        tree.get("path", "pretrain_network_g") is None or tree.get("train") is None
    ):
        yield _fault(
            tree, ("path", "load"), "partial is for training from path.pretrain_network_g: add both, or remove it"
        )


def discriminator_is_used(tree: Tree) -> Iterator[OptionFault]:
    adversarial = tree.get("model", "type") == "GANModel"
    for path in (("network_d",), ("train", "optim_d")):
        given = tree.get(*path) is not None
        if given and not adversarial:
            yield _fault(tree, path, "only model.type GANModel has a discriminator: choose it, or remove this")
        if adversarial and tree.get("train") is not None and not given:
            yield _fault(tree, ("model", "type"), f"GANModel needs a discriminator: add {'.'.join(path)}")


def degradation_has_its_images(tree: Tree) -> Iterator[OptionFault]:
    if tree.get("degradation") is None:
        return
    name = tree.get("datasets", "train", "type")
    if tree.get("train") is None:
        yield _fault(tree, ("degradation",), "this makes LQ for training: add `train`, or remove it")
    elif isinstance(name, str) and name in DATASETS and "gt_only" not in DATASETS.signature(name):
        message = f"{name} brings LQ of its own: choose GTImages, or remove `degradation`"
        yield _fault(tree, ("datasets", "train", "type"), message)
    crop, size, scale = tree.get("degradation", "gt_size"), tree.get("datasets", "train", "gt_size"), tree.get("scale")
    sizes = (crop, size, scale)
    if all(isinstance(value, int) and value > 0 for value in sizes) and (crop % scale or crop > size):
        message = f"expected a multiple of the scale {scale}, datasets.train.gt_size {size} at most, got {crop}"
        yield _fault(tree, ("degradation", "gt_size"), message)
    for term in ("l1_gt_usm", "percep_gt_usm", "gan_gt_usm"):
        if tree.get("model", term) is True and tree.get("degradation", "usm") == "gt":
            message = "degradation.usm: gt sharpens GT for all losses already: say usm: lq, or leave this out"
            yield _fault(tree, ("model", term), message)
    pool, batch = tree.get("degradation", "pool"), tree.get("datasets", "train", "batch_size")
    if isinstance(pool, int) and isinstance(batch, int) and batch > 0 and pool % batch:
        message = f"expected a multiple of the batch of {batch}, so that it can be filled, got {pool}"
        yield _fault(tree, ("degradation", "pool"), message)


RULES: tuple[Callable[[Tree], Iterator[OptionFault]], ...] = (
    scale_fits_the_network,
    training_has_data,
    something_to_do,
    evaluation_has_metrics,
    crops_fit_the_scale,
    batches_split_evenly,
    nothing_is_idle,
    discriminator_is_used,
    degradation_has_its_images,
)
