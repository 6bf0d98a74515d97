"""Discriminators against the published one, a published count, and wrong sizes."""

import pytest
import torch

from srzoo.registry import DISCRIMINATORS
from tests.support import assert_published, needs_shared, parameter_count, reference_case


@needs_shared
def test_the_u_net_discriminator_is_the_published_one():
    net = DISCRIMINATORS.build("UNetDiscriminatorSN", {}).eval()
    index, _ = reference_case("unet_disc_sn")
    assert parameter_count(net) == index["params"]
    assert set(net.state_dict()) == set(index["keys"])
    assert_published(net, "unet_disc_sn")


def test_the_vgg_style_discriminator_has_the_published_count():
    # ESRGAN's discriminator for crops of 128: 14,499,401 parameters.
    assert parameter_count(DISCRIMINATORS.build("VGGStyleDiscriminator", {})) == 14_499_401


@pytest.mark.parametrize("size", [128, 256])
def test_the_vgg_style_discriminator_judges_whole_crops(size):
    net = DISCRIMINATORS.build("VGGStyleDiscriminator", {"num_feat": 8, "input_size": size})
    logits = net(torch.rand(2, 3, size, size))
    assert logits.shape == (2, 1)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_the_u_net_discriminator_judges_every_pixel():
    for skip in (True, False):
        net = DISCRIMINATORS.build("UNetDiscriminatorSN", {"num_feat": 8, "skip_connection": skip})
        assert net(torch.rand(2, 3, 24, 40)).shape == (2, 1, 24, 40)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="8 must divide both sides, got 20x24"):
        DISCRIMINATORS.build("UNetDiscriminatorSN", {"num_feat": 8})(torch.rand(1, 3, 20, 24))
    with pytest.raises(ValueError, match="built for crops of 128x128"):
        DISCRIMINATORS.build("VGGStyleDiscriminator", {"num_feat": 8})(torch.rand(1, 3, 64, 64))
    with pytest.raises(ValueError, match="input_size must be 128 or 256, got 64"):
        DISCRIMINATORS.build("VGGStyleDiscriminator", {"input_size": 64})
