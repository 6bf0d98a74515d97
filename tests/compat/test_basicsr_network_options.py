"""Networks of BasicSR's option files: the same network afterwards, or refused with the option."""

import pytest

from tests.compat.old_options import DRCT, TRAINING

NETWORKS = {
    "DRCT": (DRCT, {"type": "DRCT", "depths": (6, 6), "window_size": 16}),
    "dropout": (
        {"type": "MSRResNet_details_dropoutlast_channel07", "num_feat": 64, "num_block": 16},
        {"type": "SRResNet", "num_block": 16},
    ),
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
