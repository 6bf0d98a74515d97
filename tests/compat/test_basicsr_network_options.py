"""Networks of BasicSR's option files: the same network afterwards, or refused with the option."""

import pytest
import yaml

from srzoo.compat.basicsr import network_options
from srzoo.compat.basicsr.convert import convert as convert_options
from tests.compat.old_options import DRCT, TRAINING
from tests.support import merged

NETWORKS = {
    "DRCT": (DRCT, {"type": "DRCT", "depths": (6, 6), "window_size": 16}),
    "dropout": (
        {"type": "MSRResNet_details_dropoutlast_channel07", "num_feat": 64, "num_block": 16},
        {"type": "SRResNet", "num_block": 16},
    ),
    "details": ({"type": "MSRResNet_details", "num_block": 16}, {"type": "SRResNet", "num_block": 16}),
    "details, misspelt": ({"type": "MSRResNet_detailss", "num_feat": 64}, {"type": "SRResNet", "num_feat": 64}),
    "details, other depth": ({"type": "MSRResNet_details", "num_block": 8}, {"type": "SRResNet", "num_block": 16}),
    "RRDB dropout": ({"type": "RRDBNet_dropoutlast_channel05", "num_block": 23}, {"type": "RRDBNet", "num_block": 23}),
    "SRVGG": (
        {"type": "SRVGGNetCompact", "num_feat": 64, "num_conv": 32, "upscale": 4, "act_type": "prelu"},
        {"type": "SRVGGNetCompact", "num_conv": 32, "act": "prelu"},
    ),
    "RCAN": (
        {"type": "RCAN", "num_group": 10, "num_block": 20, "squeeze_factor": 16, "rgb_mean": [0.4488, 0.4371, 0.4040]},
        {"type": "RCAN", "num_group": 10},
    ),
    "EDSR": ({"type": "EDSR", "num_feat": 256, "num_block": 32, "res_scale": 0.1}, {"type": "EDSR", "res_scale": 0.1}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_keep_what_they_are(convert, name):
    old, expected = NETWORKS[name]
    _, options, said = convert(TRAINING | {"network_g": old})
    assert options is not None
    network = options.network_g
    assert {"type": network.type, **{key: network.args[key] for key in expected if key != "type"}} == expected
    if "dropout" in name:
        dropout = network.args["dropout"]
        assert (dropout.mode, dropout.position, dropout.prob) == ("channel", "last", 0.7 if "RRDB" not in name else 0.5)
    if name == "DRCT":
        for key in ("compress_ratio", "squeeze_factor", "conv_scale", "overlap_ratio"):
            assert f"network_g.{key}: no effect in the released code" in said


SWINIR = {
    "type": "SwinIR", "upscale": 4, "in_chans": 3, "img_size": 48, "window_size": 8, "img_range": 1.0,
    "depths": [6], "embed_dim": 60, "num_heads": [6], "mlp_ratio": 2, "upsampler": "pixelshuffledirect",
    "resi_connection": "1conv",
}  # fmt: skip


@pytest.mark.parametrize("installed", [False, True])
def test_networks_of_the_package_are_offered_under_their_bridged_name(convert, tmp_path, monkeypatch, installed):
    monkeypatch.setattr(network_options, "is_installed", lambda: installed)
    old = merged(TRAINING, {"model_type": "SwinIRModel"}) | {"network_g": SWINIR}
    if installed:
        converted = convert_options(old)
        assert not converted.unsupported
        written = converted.options["network_g"]
    else:
        code, _, said = convert(old)
        assert code == 2
        assert "network_g.type: SwinIR (written as basicsr/SwinIR; that package is not installed: pip install" in said
        written = yaml.safe_load((tmp_path / "new.yml").read_text())["network_g"]
    assert written == {**{key: value for key, value in SWINIR.items() if key != "upscale"}, "type": "basicsr/SwinIR"}


def test_networks_of_the_package_are_checked_for_the_scale(convert):
    code, _, said = convert(TRAINING | {"network_g": SWINIR | {"upscale": 2}})
    assert code == 2
    assert "network_g.upscale: 2, but the file's scale is 4" in said


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("HAT", "network_g.type: HAT (add `plugins: [hat_arch.py]`, that file of its authors, to the new file)"),
        ("MyNet", "network_g.type: MyNet (if a Python file of yours defines it, name that file under `plugins:`)"),
    ],
)
def test_other_networks_are_refused_with_the_way_to_use_them(convert, tmp_path, name, advice):
    network = {"type": name, "upscale": 4, "window_size": 16, "upsampler": "pixelshuffle"}
    code, _, said = convert(TRAINING | {"network_g": network})
    assert code == 2
    assert advice in said
    written = yaml.safe_load((tmp_path / "new.yml").read_text())["network_g"]
    assert written == {"type": name, "window_size": 16, "upsampler": "pixelshuffle"}
