"""Datasets of BasicSR's option files: kinds, the total batch size, and names."""

from tests.compat.old_options import TRAINING
from tests.support import merged


def test_imagenet_pretraining_enlarges_small_images(convert):
    data = {"type": "ImageNetPairedDataset", "dataroot_gt": "ImageNet", "dataroot_lq": None, "filename_tmpl": None}
    _, options, _ = convert(merged(TRAINING, {"datasets": {"train": data}}))
    assert options is not None
    assert options.datasets.train is not None
    assert options.datasets.train.type == "GTImages"
    assert options.datasets.train.args["enlarge"] == "each_side"
    assert options.datasets.train.args["round_lq"] is False


def test_old_spellings_of_the_batch_are_the_total(convert):
    data = {"batch_size": 16, "num_worker": 3, "batch_size_per_gpu": None, "num_worker_per_gpu": None}
    _, options, _ = convert(merged(TRAINING, {"datasets": {"train": data}}))
    assert options is not None
    assert options.datasets.train is not None
    assert (options.datasets.train.batch_size, options.datasets.train.num_workers) == (16, 3)
