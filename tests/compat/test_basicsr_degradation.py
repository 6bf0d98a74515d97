"""Real-ESRGAN's option files: the degradation, and the switches of an adversarial training."""

import yaml

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
        "path": {"pretrain_network_g": "net.pth", "param_key_g": "params_ema", "pretrain_network_d": "d.pth"},
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
    _, options, said = convert(merged(REAL, gan))
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
    assert "path.pretrain_network_d: not supported: the discriminator starts from random weights" in said


def test_relativistic_losses_are_reported(convert):
    net_d = {"type": "VGGStyleDiscriminator", "num_feat": 64, "input_size": 192}
    gan = {"model_type": "ESRGANModel", "network_d": net_d}
    gan["train"] = {"optim_d": ADAM, "gan_opt": {"type": "GANLoss", "gan_type": "vanilla", "loss_weight": 5e-3}}
    code, options, said = convert(merged(TRAINING, gan))
    assert code == 0
    assert options is not None
    assert options.network_d is not None
    assert options.network_d.args["input_size"] == 192
    assert "model_type: GANModel is not relativistic" in said
