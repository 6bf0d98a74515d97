"""Channel gates from a statistic of each channel.

Zhang et al., "Image Super-Resolution Using Very Deep Residual Channel Attention Networks", ECCV 2018, arXiv:1807.02758,
equation 7.
"""

from torch import nn


def channel_gates(num_feat: int, reduction: int = 16) -> nn.Sequential:
    """1x1 to a `reduction`-th of the width, ReLU, 1x1 back, sigmoid: (B, num_feat, 1, 1) -> gates of the same size."""
    return nn.Sequential(
        nn.Conv2d(num_feat, num_feat // reduction, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(num_feat // reduction, num_feat, 1),
        nn.Sigmoid(),
    )
