"""Real-ESRGAN's option files: the degradation, and the switches of an adversarial training."""

import yaml

from srzoo.compat.basicsr.convert import convert as convert_options
from srzoo.compat.basicsr.reader import Section
from srzoo.options import load_options
from tests.compat.old_options import ADAM, REAL, TRAINING
from tests.support import ROOT, merged


def test_a_degradation_is_the_shipped_classical_one(convert, tmp_path):
    _, options, said = convert(REAL)
    assert options is not None
    assert options.degradation is not None
    shipped = tmp_path / "shipped.yml"
    shipped.write_text((tmp_path / "new.yml").read_text())
    text = yaml.safe_load(shipped.read_text())
    text["base"] = str(ROOT / "options" / "degradations" / "realesrgan_classical.yml")
    text["degradation"] = {"pool": 180}
    shipped.write_text(yaml.safe_dump(text))
    expected = load_options(shipped).options.degradation
    assert expected is not None
    assert options.degradation.stages == expected.stages
    assert (options.degradation.pool, options.degradation.usm, options.degradation.gt_size) == (180, "gt", 256)
    assert options.datasets.train is not None
    assert options.datasets.train.args["gt_size"] == 400
    assert options.datasets.train.args["enlarge"] == "reflect"
    assert "4 is for one GPU; multiply it by the number of GPUs that you use" in said


def test_an_adversarial_training_keeps_its_parts(convert):
    gan = {
        "model_type": "RealESRGANModel", "num_gpu": 4, "gt_usm": None, "l1_gt_usm": True, "percep_gt_usm": True,
        "gan_gt_usm": False, "network_d": {"type": "UNetDiscriminatorSN", "num_feat": 64, "skip_connection": True},
        "path": {"pretrain_network_g": "net.pth", "param_key_g": "params_ema"},
        "train": {
            "optim_d": ADAM,
            "perceptual_opt": {
                "type": "PerceptualLoss", "layer_weights": {"conv1_2": 0.1, "conv5_4": 1}, "vgg_type": "vgg19",
                "use_input_norm": True, "perceptual_weight": 1.0, "style_weight": 0, "range_norm": False,
                "criterion": "l1",
            },
            "gan_opt": {"type": "GANLoss", "gan_type": "vanilla", "real_label_val": 1.0, "loss_weight": 0.1},
            "net_d_iters": 1,
        },
    }  # fmt: skip
    _, options, _ = convert(merged(REAL, gan))
    assert options is not None
    assert options.train is not None
    assert options.degradation is not None
    assert options.model.args == {
        "l1_gt_usm": True, "percep_gt_usm": True, "gan_gt_usm": False, "net_d_iters": 1, "net_d_init_iters": 0,
    }  # fmt: skip
    assert (options.degradation.usm, options.degradation.pool) == ("lq", 720)
    losses = options.train.losses
    assert list(losses) == ["pixel", "perceptual", "gan"]
    assert losses["gan"].weight == 0.1
    assert losses["perceptual"].args["layers"] == {"conv1_2": 0.1, "conv5_4": 1}


def test_paired_data_keep_the_sharpening_and_need_no_degradation(convert):
    """Real-ESRGAN's file for own pairs, and the same with the switches of its degradation left in."""
    pairs = {"type": "RealESRGANPairedDataset", "dataroot_gt": "DF2K", "dataroot_lq": "DF2K", "meta_info": "pairs.txt"}
    pairs |= {"meta_info_file": None, "filename_tmpl": None}
    usm = {"l1_gt_usm": True, "percep_gt_usm": True, "gan_gt_usm": False}
    gan = {
        "model_type": "RealESRGANModel", "gt_usm": None, **usm, "high_order_degradation": False,
        "network_d": {"type": "UNetDiscriminatorSN"}, "datasets": {"train": pairs},
        "train": {"optim_d": ADAM, "gan_opt": {"type": "GANLoss", "gan_type": "vanilla", "loss_weight": 0.1}},
    }  # fmt: skip
    for old in (merged(TRAINING, gan), merged(REAL, gan), merged(REAL, gan | {"high_order_degradation": None})):
        code, options, said = convert(old, "--overwrite")
        assert code == 0, said
        assert options is not None
        data = options.datasets.train
        assert data is not None
        assert (data.type, data.args["gt_size"]) == ("PairedImages", old["datasets"]["train"]["gt_size"])
        assert [str(data.args[key]) for key in ("gt", "lq", "pairs")] == ["DF2K", "DF2K", "pairs.txt"]
        assert options.degradation is None
        assert {term: options.model.args[term] for term in usm} == usm
        assert "not supported" not in said
    assert "queue_size: no effect: LQ images are not made from GT" in said
    # The plain model sharpens only GT that it degrades.
    mse = merged(TRAINING, {"model_type": "RealESRNetModel", "gt_usm": True, "datasets": {"train": pairs}})
    _, options, said = convert(mse, "--overwrite")
    assert options is not None
    assert options.model.type == "SRModel"
    assert "gt_usm: no effect in BasicSR, which sharpens only GT that it makes LQ from" in said


def test_switches_without_a_value_are_on_and_those_of_other_models_are_not_read(convert):
    gan = {
        "model_type": "RealESRGANModel", "network_d": {"type": "UNetDiscriminatorSN"}, "percep_gt_usm": False,
        "train": {"optim_d": ADAM, "gan_opt": {"type": "GANLoss", "gan_type": "vanilla", "loss_weight": 0.1}},
    }  # fmt: skip
    old = merged(TRAINING, gan) | {"l1_gt_usm": None}
    _, options, _ = convert(old)
    assert options is not None
    assert (options.model.args["l1_gt_usm"], options.model.args["percep_gt_usm"]) == (True, False)
    _, options, said = convert(old | {"model_type": "SRGANModel", "l1_gt_usm": True}, "--overwrite")
    assert options is not None
    assert not options.model.args["l1_gt_usm"]
    assert "l1_gt_usm: not supported" in said


def test_weights_of_the_discriminator_are_kept():
    old = merged(REAL, {"model_type": "RealESRGANModel", "network_d": {"type": "UNetDiscriminatorSN"}})
    for key in ("pretrain_network_d", "pretrain_model_d"):
        path: Section = {key: "d.pth", "param_key_d": "params", "strict_load_d": True}
        converted = convert_options(merged(old, {"path": path}))
        assert converted.options["path"] == {"pretrain_network_d": "d.pth"}
        assert not [note for note in converted.notes if note.path[0] == "path"]
    converted = convert_options(merged(old, {"path": {"pretrain_network_d": "d.pth", "strict_load_d": False}}))
    assert "path.strict_load_d" in [".".join(note.path) for note in converted.notes]
    plain = convert_options(merged(TRAINING, {"path": {"pretrain_network_d": "d.pth"}}))
    assert "path" not in plain.options
    assert [note.reason for note in plain.notes if note.path == ("path", "pretrain_network_d")] == [
        "not needed: no discriminator is trained"
    ]


def test_relativistic_losses_are_reported(convert):
    net_d = {"type": "VGGStyleDiscriminator", "num_feat": 64, "input_size": 128}
    gan = {"model_type": "ESRGANModel", "network_d": net_d}
    gan["train"] = {"optim_d": ADAM, "gan_opt": {"type": "GANLoss", "gan_type": "vanilla", "loss_weight": 5e-3}}
    code, options, said = convert(merged(TRAINING, gan))
    assert code == 0
    assert options is not None
    assert options.network_d is not None
    assert options.network_d.args["input_size"] == 128
    assert "model_type: GANModel is not relativistic" in said
