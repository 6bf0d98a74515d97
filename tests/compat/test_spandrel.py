"""Weights of srzoo's networks open in spandrel (docs/networks.md has the table) and give the same images."""

import pytest
import torch

from srzoo.contract import contract_of, published_state
from srzoo.registry import ARCHS
from srzoo.weights import load_weights

spandrel = pytest.importorskip("spandrel", reason="pip install srzoo[compat] for parity with spandrel")

TINY_DRCT = {"embed_dim": 60, "depths": [6, 6], "num_heads": [6, 6], "window_size": 8, "gc": 16, "img_size": 32}
KNOWN = [
    ("DRCT", 4, {}, "DRCT"),
    ("DRCT", 2, TINY_DRCT, "DRCT"),
    ("RCAN", 3, {"num_group": 2, "num_block": 3}, "RCAN"),
    ("RRDBNet", 1, {"num_block": 2}, "ESRGAN"),
    ("RRDBNet", 2, {"num_block": 2}, "ESRGAN"),
    ("RRDBNet", 4, {"num_block": 2}, "ESRGAN"),
    ("SRVGGNetCompact", 2, {}, "Compact"),
    ("SRVGGNetCompact", 4, {"num_conv": 32}, "Compact"),
]
UNKNOWN = ["D2CNet", "EDSR", "IMDN", "IMDNPlus", "IMDN_AS", "IMDN_RTC", "IMDN_RTE", "RT4KSR", "SRResNet"]


@pytest.mark.parametrize(("name", "scale", "options", "theirs"), KNOWN)
@torch.no_grad()
@pytest.mark.slow
def test_spandrel_opens_the_weights_and_gives_the_same_image(name, scale, options, theirs):
    torch.manual_seed(0)
    net = ARCHS.build(name, options, scale=scale).eval()
    state = published_state(net)
    descriptor = spandrel.ModelLoader().load_from_state_dict(dict(state))
    assert (descriptor.architecture.id, descriptor.scale) == (theirs, scale)
    lq = torch.rand(1, 3, 48, 32)
    torch.testing.assert_close(descriptor.model.eval()(lq.clone()), net(lq), atol=1e-5, rtol=0)
    # And back: what is written for others is read again.
    again = ARCHS.build(name, options, scale=scale).eval()
    load_weights(again, state)
    torch.testing.assert_close(again(lq), net(lq))


@pytest.mark.parametrize("name", UNKNOWN)
def test_spandrel_does_not_know_the_others(name):
    scale = (contract_of(ARCHS[name]).scales or (2,))[0]
    net = ARCHS.build(name, {}, scale=max(scale, 1))
    with pytest.raises(spandrel.UnsupportedModelError):
        spandrel.ModelLoader().load_from_state_dict(dict(net.state_dict()))


def test_the_table_names_every_network():
    assert {name for name, *_ in KNOWN} | set(UNKNOWN) == set(ARCHS) - {"Bicubic"}
