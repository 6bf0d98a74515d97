"""Perceptual loss over VGG layers with random weights, because the trained ones are not part of the repository."""

from typing import Literal

import pytest
import torch

from srzoo.losses.perceptual import PerceptualLoss, gram, layer_names, vgg_features
from srzoo.tensor_files import CheckpointError


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Save a file with torchvision's keys, classifier included."""
    import torchvision.models

    torch.manual_seed(0)
    state = torchvision.models.vgg16(num_classes=2).features.state_dict()
    state = {f"features.{name}": value for name, value in state.items()} | {"classifier.0.weight": torch.zeros(2)}
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.save(state, path)
    return path


def images():
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(1, 3, 32, 32, generator=generator) for _ in range(2))


LAYERS = {"conv1_2": 0.5, "conv2_1": 2.0, "relu3_1": 1.0}


def test_layer_names_follow_torchvisions_order():
    import torchvision.models

    with torch.device("meta"):
        nets = {"vgg16": torchvision.models.vgg16(), "vgg19": torchvision.models.vgg19()}
    for name, net in nets.items():
        kinds = {"conv": torch.nn.Conv2d, "relu": torch.nn.ReLU, "pool": torch.nn.MaxPool2d}
        layers = list(zip(layer_names(name), net.features.children(), strict=True))
        assert all(isinstance(layer, kinds[layer_name[:4]]) for layer_name, layer in layers)


def test_the_value_is_the_weighted_distance_of_features_before_their_activation(weights):
    loss = PerceptualLoss(net="vgg16", layers=LAYERS, weights=weights, content_weight=0.5, style_weight=3.0)
    sr, gt = images()
    features = vgg_features("vgg16", weights)
    expected = 0.0
    activations = []
    for image in (sr, gt):
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        x = (image - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        found = {}
        for name, layer in features.items():
            x = layer(x)
            found[name] = x.clone()
        activations.append(found)
    for name, weight in LAYERS.items():
        ours, theirs = (found[name] for found in activations)
        expected += 0.5 * weight * (ours - theirs).abs().mean() + 3 * weight * (gram(ours) - gram(theirs)).abs().mean()
    torch.testing.assert_close(loss(sr, gt), expected)
    assert (activations[0]["conv1_2"] < 0).any(), "before the activation"
    assert loss(gt, gt).item() == 0


@pytest.mark.parametrize("criterion", ["l1", "l2", "fro"])
def test_gradients_reach_the_image_and_not_the_classifier(weights, criterion):
    loss = PerceptualLoss(net="vgg16", layers={"conv2_1": 1.0}, criterion=criterion, weights=weights)
    sr, gt = images()
    loss(sr.requires_grad_(), gt).backward()
    assert sr.grad is not None
    assert sr.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_criteria_are_means_or_the_frobenius_norm_and_normalisation_can_be_left_out(weights):
    sr, gt = images()
    convolution = vgg_features("vgg16", weights)["conv1_1"]
    difference = convolution(sr) - convolution(gt)
    cases: tuple[tuple[Literal["l1", "l2", "fro"], torch.Tensor], ...] = (
        ("l1", difference.abs().mean()),
        ("l2", difference.square().mean()),
        ("fro", difference.square().sum().sqrt()),
    )
    for criterion, expected in cases:
        loss = PerceptualLoss(
            net="vgg16", layers={"conv1_1": 1.0}, criterion=criterion, use_input_norm=False, weights=weights
        )
        torch.testing.assert_close(loss(sr, gt), expected)


def test_either_factor_may_be_zero(weights):
    sr, gt = images()

    def value(content_weight: float, style_weight: float) -> torch.Tensor:
        loss = PerceptualLoss(
            net="vgg16",
            layers={"conv2_1": 1.0},
            content_weight=content_weight,
            style_weight=style_weight,
            weights=weights,
        )
        return loss(sr, gt)

    content, style, both = value(1.0, 0.0), value(0.0, 1.0), value(2.0, 5.0)
    torch.testing.assert_close(both, 2 * content + 5 * style)
    assert content > 0
    assert style > 0


def test_the_classifier_is_built_once_per_process(weights):
    first, second = (PerceptualLoss(net="vgg16", layers={"conv2_1": 1.0}, weights=weights) for _ in range(2))
    assert first.features["conv2_1"] is second.features["conv2_1"]
    assert "conv2_2" not in first.features, "nothing beyond the last layer used is computed"


def test_gram_matrices_are_products_of_channels():
    x = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(gram(x)[1, 0, 2], (x[1, 0] * x[1, 2]).sum() / (3 * 4 * 5))


@pytest.mark.parametrize("prefix", ["", "features.", "module.features.", "vgg.net.features."])
def test_files_in_any_layout_give_the_same_features(weights, tmp_path, prefix):
    state = torch.load(weights, weights_only=True)
    renamed = {name.replace("features.", prefix): value for name, value in state.items() if "classifier" not in name}
    renamed[f"{prefix.removesuffix('features.')}classifier.0.weight"] = torch.zeros(2)
    path = tmp_path / "vgg.pth"
    torch.save({"epoch": 1, "model": {"state_dict": renamed}}, path)
    ours, given = (vgg_features("vgg16", file).state_dict() for file in (weights, path))
    assert all(torch.equal(value, given[name]) for name, value in ours.items())


@pytest.mark.filterwarnings("ignore:Sparse")
def test_damaged_weights_are_refused_by_name(weights, tmp_path):
    state = torch.load(weights, weights_only=True)
    holed = torch.where(torch.arange(64) == 5, float("nan"), state["features.2.bias"])
    cases = {
        r"values that are not finite: 2\.bias has 1 of 64": {"features.2.bias": holed},
        r"features\.2\.bias is a sparse tensor": {"features.2.bias": state["features.2.bias"].to_sparse()},
        r"1 of another shape: 2\.bias \(3,\) instead of \(64,\)": {"features.2.bias": torch.zeros(3)},
    }
    for number, (message, changes) in enumerate(cases.items()):
        torch.save({**state, **changes}, tmp_path / f"{number}.pth")
        with pytest.raises(CheckpointError, match=rf"{number}\.pth.*{message}"):
            vgg_features("vgg16", tmp_path / f"{number}.pth")


def test_wrong_options_and_files_are_refused(weights, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="vgg16 has no layer conv3_4; it has conv1_1, conv1_2"):
        PerceptualLoss(net="vgg16", layers={"conv3_4": 1.0}, weights=weights)
    with pytest.raises(ValueError, match="both 0"):
        PerceptualLoss(content_weight=0.0, weights=weights)
    with pytest.raises(FileNotFoundError, match=r"none\.pth does not exist"):
        PerceptualLoss(weights=tmp_path / "none.pth")
    with pytest.raises(ValueError, match="does not hold vgg19's weights"):
        PerceptualLoss(net="vgg19", weights=weights)

    import urllib.error

    import torchvision.models

    def unreachable(**_: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torchvision.models, "vgg19", unreachable)
    with pytest.raises(FileNotFoundError, match=r"trained weights of vgg19 cannot be downloaded .*weights: PATH"):
        PerceptualLoss()
