"""Channel saliency maps: the authors' values, names of layers, ablation."""

import numpy as np
import pytest
import torch
from torch import nn

from srzoo.analysis.layers import feature_layers, recorded_layers
from srzoo.analysis.saliency import channel_ablation, channel_saliency, truncated_psnr, without_channels
from srzoo.registry import ARCHS
from srzoo.weights import load_weights
from tests.analysis.test_lam import case, picture
from tests.archs.test_all import build
from tests.support import needs_shared, reference_case, synthetic_weights

# Positions of the authors' program -> layers of SRResNet; it shares one activation.
LAYERS = {"first": "lrelu@1", **{f"b{number}": f"body.{number - 1}" for number in range(1, 17)}}
LAYERS |= {"hr": "lrelu@3", "last": "lrelu@4"}


def published():
    """Return network, LQ and GT of the reference case."""
    net = ARCHS.build("SRResNet", {}, scale=4).eval()
    load_weights(net, synthetic_weights(reference_case("reflash_MSRResNet_details_dropoutlast_channel07")[0]["keys"]))
    lq = picture("Set5/LRbicx4/headx4.png", slice(20, 36), slice(16, 36))
    return net, lq, picture("Set5/GT/head.png", slice(80, 144), slice(64, 144))


@needs_shared
def test_saliency_is_the_authors():
    (facts, arrays), (net, lq, _) = case("csm_msrresnet_head"), published()
    found, objective = channel_saliency(net, lq, list(LAYERS.values()))
    assert objective == pytest.approx(facts["objective"], rel=1e-5)
    for row, position in enumerate(facts["positions"]):
        saliency = found[LAYERS[position]]
        np.testing.assert_allclose(saliency.channels, arrays["saliency"][row], rtol=1e-3, err_msg=position)
        assert saliency.largest == pytest.approx(arrays["grad_absmax"][row], rel=1e-4)
    np.testing.assert_allclose(found["body.7"].maps[:4], arrays["map_b8_ch0to3"], atol=1e-4)
    np.testing.assert_allclose(found["lrelu@4"].maps[5], arrays["map_last_ch5"], atol=1e-4)


@needs_shared
@pytest.mark.parametrize("position", ["b3", "hr", "last"])
def test_ablation_is_the_authors(position):
    (_, arrays), (net, lq, gt) = case("csm_msrresnet_head"), published()
    channels = range(0, 64, 9)
    found = channel_ablation(net, lq, gt, LAYERS[position], compensate=True, channels=channels)
    np.testing.assert_allclose(found, arrays[f"ablation_psnr_{position}"][::9], atol=0.02)
    sr = without_channels(net, lq, LAYERS[position], [7], compensate=True)[0]
    np.testing.assert_allclose(sr, arrays[f"ablation_out_{position}_ch7"], atol=1e-4)


@pytest.mark.parametrize("name", list(ARCHS))
def test_every_layer_of_every_network_has_a_saliency(name):
    net, lq = build(name), torch.rand(1, 3, 16, 16)
    layers = feature_layers(net, lq)
    if name == "Bicubic":
        assert layers == []
        return
    found, objective = channel_saliency(net, lq, layers)
    assert objective > 0
    assert list(found) == layers
    for saliency in found.values():
        assert np.isfinite(saliency.channels).all()
    # Most layers reach the output; those of a branch that is not used have none.
    assert sum(saliency.largest > 0 for saliency in found.values()) > 0.5 * len(layers)


def test_a_removed_channel_is_gone_and_the_others_are_scaled_up():
    net, lq = build("IMDN_RTC"), torch.rand(1, 3, 8, 8)
    for compensate in (True, False):
        seen = {}
        handle = net.model[1].register_forward_pre_hook(lambda _, args, seen=seen: seen.update(features=args[0]))
        with recorded_layers(net, ["model.0"]) as outputs:
            net(lq)
        without_channels(net, lq, "model.0", [3, 5], compensate=compensate)
        handle.remove()
        features = seen["features"]
        assert not features[0, 3].any()
        assert not features[1, 5].any()
        assert features[1, 3].any()
        before = float(outputs["model.0"].detach().abs().sum())
        assert (float(features[0].abs().sum()) == pytest.approx(before, rel=1e-5)) == compensate


def test_equal_images_have_80_db_and_levels_are_truncated():
    image = torch.full((1, 3, 4, 4), 10.9 / 255)
    assert truncated_psnr(image, image)[0] == 80
    assert truncated_psnr(image, torch.full((1, 3, 4, 4), 10.1 / 255))[0] == 80
    assert truncated_psnr(image, torch.full((1, 3, 4, 4), 11.1 / 255))[0] == pytest.approx(48.13, abs=0.01)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("model.1.sub.O", r"has no layer 'model.1.sub.O'; did you mean model"),
        ("zzz", "its layers: model, model.0"),
        ("model.0@2", "no such call"),
        ("model.0@x", "expected NAME or NAME@CALL"),
        ("model.1.sub.0.act", "runs several times: name one of its calls, model.1.sub.0.act@1"),
    ],
)
def test_unknown_layers_are_named_with_their_neighbours(layer, message):
    with pytest.raises(LookupError, match=message):
        channel_saliency(build("IMDN_RTC"), torch.rand(1, 3, 8, 8), [layer])


def test_an_activation_in_place_does_not_change_the_record():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True))
    lq = torch.rand(1, 3, 4, 4)
    with recorded_layers(net, ["0"]) as outputs, torch.no_grad():
        net(lq)
    assert torch.equal(outputs["0"], net[0](lq))
    assert (outputs["0"] < 0).any()
