"""Channel gates from a statistic of each channel.

Zhang et al., "Image Super-Resolution Using Very Deep Residual Channel Attention Networks", ECCV 2018, arXiv:1807.02758,
equation 7.
"""

from torch import nn


def channel_gates(num_feat: int, reduction: int = 16) -> nn.Sequential:
    """Return the layers from channel statistics to gates in [0, 1]: (B, num_feat, 1, 1) -> (B, num_feat, 1, 1).

    A 1x1 convolution to num_feat / reduction channels, ReLU, a 1x1 convolution back, and a sigmoid.
    """
    return nn.Sequential(
        nn.Conv2d(num_feat, num_feat // reduction, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(num_feat // reduction, num_feat, 1),
        nn.Sigmoid(),
    )
