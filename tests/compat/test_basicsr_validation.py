"""Validation in BasicSR's option files: protocols of metrics, tiles, and files with LQ images only."""

from srzoo.images import read_image, write_image
from tests.compat.old_options import DRCT, PAIRED, TRAINING
from tests.support import photograph, run_test


def metric(border, luma):
    return {"type": "calculate_psnr", "crop_border": border, "test_y_channel": luma}


def test_borders_are_kept_or_the_metric_is_left_out(convert):
    metrics = {
        "a": metric(0, True),
        "b": metric(0, False),
        "c": metric(4, False),
        "d": metric(2, True),
        "e": metric(3, True),
        "f": metric([2], True),
        "g": {"type": "calculate_niqe", "crop_border": 4},
    }
    _, options, said = convert(TRAINING | {"scale": 2, "network_g": {"type": "MSRResNet"}, "val": {"metrics": metrics}})
    assert options is not None
    protocols = {name: entry.args["protocol"] for name, entry in options.val.metrics.items()}
    assert protocols == {"a": "rt4ksr-fixed", "b": "rt4ksr-rgb", "c": "reflash-rgb", "d": "basicsr-y"}
    assert "val.metrics.e.crop_border: no protocol crops 3 pixels and compares luma at scale 2" in said
    assert "val.metrics.f.crop_border: no protocol crops [2] pixels" in said
    assert "val.metrics.g.type: calculate_niqe is not supported: this metric is left out" in said


def test_without_metrics_there_is_nothing_to_validate_on(convert):
    code, options, said = convert(TRAINING | {"val": {"val_freq": 5e3}})
    assert code == 0
    assert options is not None
    assert not options.datasets.val
    assert "val.metrics: there are none: the datasets of `val` are left out" in said
    assert "val.val_freq: not needed: there is nothing to validate on" in said


def test_lr_only_files_keep_their_tiles(convert):
    old = {
        "name": "LR", "model_type": "DRCTModel", "scale": 4, "num_gpu": 1, "tile": {"tile_size": 512, "tile_pad": 32},
        "datasets": {"test_1": {"name": "custom", "type": "SingleImageDataset", "dataroot_lq": "input"}},
        "network_g": DRCT, "path": {"pretrain_network_g": "x.pth", "param_key_g": "params_ema"},
        "val": {"save_img": True, "suffix": "x"},
    }  # fmt: skip
    _, options, said = convert(old)
    assert options is not None
    assert (options.val.tile, options.val.tile_overlap, options.val.save_img) == (512, 32, True)
    assert options.val.tile_rule == "drct"
    assert options.datasets.test["custom"].type == "LQImages"
    assert "val.suffix: " in said


def test_a_test_without_metrics_saves_the_outputs_of_lq_images(convert, tmp_path):
    for name in ("a", "b"):
        write_image(tmp_path / "LR" / f"{name}x2.png", photograph(20, 24))
    pairs = {**PAIRED, "dataroot_lq": str(tmp_path / "LR"), "dataroot_gt": "nowhere", "filename_tmpl": "{}x2"}
    old = {
        "name": "saved", "model_type": "SRModel", "scale": 2, "num_gpu": 1, "network_g": {"type": "MSRResNet"},
        "datasets": {"test_1": {"name": "Set5", **pairs}, "test_2": {"name": "B", **pairs, "meta_info_file": "x.txt"}},
        "path": {"pretrain_network_g": "net.pth"}, "val": {"suffix": None, "save_img": False},
    }  # fmt: skip
    code, options, said = convert(old)
    assert code == 0, said
    assert options is not None
    assert {name: entry.type for name, entry in options.datasets.test.items()} == {"Set5": "LQImages", "B": "LQImages"}
    assert options.val.save_img
    assert "datasets.test_1.type: LQ images only" in said
    assert "datasets.test_2.meta_info: not supported without GT" in said
    assert "val.save_img: set to true" in said
    # The converted file runs: here with a network that needs no weights.
    changes = ["network_g=null", "network_g.type=Bicubic", f"path.experiments={tmp_path}", "datasets.test.B=null"]
    changes += ["path.pretrain_network_g=null", "path.param_key_g=null"]
    assert run_test(tmp_path / "new.yml", *changes) == 0
    assert read_image(tmp_path / "saved" / "visualization" / "Set5" / "ax2.png").rgb.shape == (40, 48, 3)


def test_names_of_lq_images_are_kept_where_they_are_those_of_gt(convert):
    pairs = {**PAIRED, "meta_info_file": "x.txt"}
    old = {key: TRAINING[key] for key in ("name", "scale", "model_type", "network_g")}
    _, options, _ = convert(old | {"datasets": {"test_1": {"name": "Set5", **pairs}}, "val": {"save_img": True}})
    assert options is not None
    assert str(options.datasets.test["Set5"].args["meta_info"]) == "x.txt"
