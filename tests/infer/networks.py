"""Small networks for tests of how a network is applied."""

import torch
import torch.nn.functional as F
from torch import nn

from srzoo.contract import NetworkIdentity
from srzoo.registry import ARCHS
from tests.archs.test_all import SMALL, scales_of

# Tiny ones take the place of those of the shared tests, because they see many images here.
TINY = SMALL | {
    "SRResNet": {"num_feat": 4, "num_block": 2},
    "EDSR": {"num_feat": 4, "num_block": 2},
    "RRDBNet": {"num_feat": 4, "num_block": 1, "num_grow_ch": 2},
    "SRVGGNetCompact": {"num_feat": 4, "num_conv": 3},
    "RT4KSR": {"num_feats": 8, "num_blocks": 2},
    "DRCT": {"embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 4, "gc": 4},
    "D2CNet": {"backbone": "EDSR", "num_feat": 8, "num_group": 1, "num_block": 1, "levels": [2]},
}


def tiny(name, scale=None, **options):
    """Return a small network with weights large enough for its output to depend on far pixels."""
    torch.manual_seed(0)
    net = ARCHS.build(name, TINY.get(name, {}) | options, scale=scale or scales_of(name)[0]).eval()
    for parameter in net.parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter)
    return net


class Known(nn.Module):
    """Network of scale 2 with a contract: repeats pixels, and adds to them `shift` times the mean of the image."""

    identity = NetworkIdentity("Known", 2, {})
    scale, num_in_ch = 2, 3

    def __init__(self, *, shift=0.0, radius=None, multiple=1, min_size=1):
        super().__init__()
        self.shift, self.receptive_radius, self.multiple_of, self.min_size = shift, radius, multiple, min_size
        self.seen = []  # sizes of the images that it was called with

    def forward(self, lq):
        self.seen.append(tuple(lq.shape))
        assert min(lq.shape[-2:]) >= self.min_size
        return F.interpolate(lq, scale_factor=2, mode="nearest") + self.shift * lq.mean((1, 2, 3), keepdim=True)
