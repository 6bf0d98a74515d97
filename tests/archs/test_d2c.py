"""D2C-SR: the released tree and fusion against the published ones, other trees and backbones."""

import numpy as np
import pytest
import torch

from srzoo.registry import ARCHS
from srzoo.tensor_files import CheckpointError
from srzoo.weights import load_weights
from tests.support import SHARED, assert_published, needs_shared, parameter_count, reference_case, synthetic_weights

SMALL = {"num_feat": 16, "num_group": 1, "num_block": 1}


def build(scale=2, **options):
    torch.manual_seed(0)
    return ARCHS.build("D2CNet", options, scale=scale)


@needs_shared
def test_the_released_tree_has_the_published_keys_leaves_and_gradient():
    tree = build(4).tree
    published = {key: list(shape) for key, (_, shape) in reference_case("d2c_dnet_x4")[0]["keys"].items()}
    assert {key: list(value.shape) for key, value in tree.state_dict().items()} == published
    assert_published(tree, "d2c_dnet_x4")


@needs_shared
@torch.no_grad()
def test_the_fusion_is_the_published_one():
    fusion = build(4).fusion
    load_weights(fusion, synthetic_weights(reference_case("d2c_cnet")[0]["keys"]))
    leaves = torch.stack(
        [
            torch.from_numpy(np.random.default_rng(seed).random((1, 3, 32, 28), dtype=np.float32))
            for seed in range(50, 54)
        ],
        1,
    )
    shares = fusion(leaves)
    torch.testing.assert_close(shares.sum(1), torch.ones(1, 32, 28))
    with np.load(SHARED / "reference" / "d2c_cnet.npz") as expected:
        fused = (leaves * shares[:, :, None]).sum(1)
        np.testing.assert_allclose(fused.numpy(), expected["y"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("scale", "count"), [(2, 5_132_644), (3, 5_871_204), (4, 5_723_492)])
def test_parameter_counts_are_the_published_ones(scale, count):
    net = build(scale)
    assert parameter_count(net.tree) == count
    assert parameter_count(net.fusion) == 46_080


def test_training_gives_the_leaves_and_inference_the_fused_image():
    net, lq = build(**SMALL), torch.rand(2, 3, 9, 7)
    leaves = net.train()(lq)
    assert leaves.shape == (2, 4, 3, 18, 14)
    sr = net.eval()(lq)
    everything = net(lq, output="all")
    torch.testing.assert_close(everything.leaves, leaves)
    assert torch.equal(everything.sr, sr)
    torch.testing.assert_close((everything.leaves * everything.weights[:, :, None]).sum(1), sr)
    assert torch.equal(net.train()(lq, output="sr"), sr)
    assert torch.equal(net.eval()(lq, output="leaves"), everything.leaves)


def test_detached_leaves_keep_the_fused_images_gradient_from_the_tree():
    net, lq = build(**SMALL), torch.rand(1, 3, 8, 8)
    net(lq, output="sr", detach_leaves=True).sum().backward()
    assert all(parameter.grad is None for parameter in net.tree.parameters())
    assert all(parameter.grad is not None for parameter in net.fusion.parameters())
    net(lq, output="sr").sum().backward()
    assert all(parameter.grad is not None for parameter in net.tree.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("backbone", ["RCAN", "EDSR", "IMDN"])
@pytest.mark.parametrize(("levels", "leaves"), [([2, 2], 4), ([3], 3), ([1, 2, 3], 6)])
def test_any_tree_over_any_backbone_is_built_and_trained(backbone, levels, leaves):
    net, lq = build(3, backbone=backbone, levels=levels, **SMALL), torch.rand(1, 3, 6, 5)
    out = net(lq, output="all")
    assert out.leaves.shape == (1, leaves, 3, 18, 15)
    assert out.weights.shape == (1, leaves, 18, 15)
    out.sr.square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters() if parameter.requires_grad)
    # Siblings share all but their own body, skip convolutions and tail.
    assert net.tree.leaves == sorted(net.tree.leaves)


def test_a_backbone_of_ones_own_joins_by_registration():
    from srzoo.registry import BACKBONES

    class OwnBlock(torch.nn.Conv2d):
        def __init__(self, *, num_feat: int) -> None:
            super().__init__(num_feat, num_feat, 1)

    BACKBONES.register(OwnBlock)
    try:
        assert build(backbone="OwnBlock", **SMALL).eval()(torch.rand(1, 3, 4, 4)).shape == (1, 3, 8, 8)
    finally:
        del BACKBONES._members["OwnBlock"]


def test_an_edsr_tree_sees_as_far_as_it_declares():
    net = build(2, backbone="EDSR", **SMALL).eval()
    side = 2 * net.receptive_radius + 9
    lq = torch.rand(1, 3, side, side, requires_grad=True)
    centre = side // 2
    net(lq)[..., 2 * centre : 2 * centre + 2, 2 * centre : 2 * centre + 2].sum().backward()
    assert lq.grad is not None
    reach = int((lq.grad.abs().sum((0, 1)).nonzero() - centre).abs().max())
    assert net.receptive_radius - 3 <= reach <= net.receptive_radius


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "RCANN"}, "unknown backbone 'RCANN'; did you mean 'RCAN'"),
        ({"backbone": "IMDN", "num_feat": 40}, "num_feat must be a multiple of 16"),
        ({"backbone": "RCAN", "num_feat": 8}, "needs num_feat of at least 16"),
        ({"levels": []}, "levels must give 1 to 9 children"),
        ({"levels": [10]}, "levels must give 1 to 9 children"),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises((ValueError, LookupError), match=message):
        build(**options)


def test_weights_of_another_tree_are_refused_with_the_option_to_change():
    with pytest.raises(CheckpointError, match="`num_block`: the file has 3"):
        load_weights(build(**SMALL), build(**(SMALL | {"num_block": 2})).state_dict())
    with pytest.raises(CheckpointError, match="`levels`: the file has 3"):
        load_weights(build(**SMALL), build(levels=[3], **SMALL).state_dict())


def test_the_mean_colour_is_subtracted_and_added_again():
    tree = ARCHS.build("D2CNet", {"num_feat": 16, "num_group": 1, "num_block": 1}, scale=2).tree
    image = torch.rand(1, 3, 4, 4)
    mean = torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)
    torch.testing.assert_close(tree.sub_mean(image), image - mean)
    torch.testing.assert_close(tree.add_mean(tree.sub_mean(image)), image)
