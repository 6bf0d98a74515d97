"""Scoring: every image once, exact numbers, clear errors."""

import json

import pytest
import torch
from torch.utils.data import Dataset

from srzoo.engine.evaluate import Results, evaluate
from srzoo.engine.log import progress_line
from srzoo.engine.tables import score_table
from srzoo.metrics.psnr import PSNR
from srzoo.registry import ARCHS


class Images(Dataset):
    def __init__(self, sizes):
        self.sizes = sizes

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        height, width = self.sizes[index]
        lq = torch.rand(3, height, width, generator=generator)
        return {"lq": lq, "gt": torch.rand(3, 2 * height, 2 * width, generator=generator), "key": f"image{index}"}


def test_each_image_is_scored_once_whatever_its_size():
    dataset = Images([(8, 9), (20, 7), (13, 13)])
    net = ARCHS.build("Bicubic", {}, scale=2).train()
    metric = PSNR(scale=2)
    shown = []
    results = evaluate(
        net, dataset, {"psnr": metric}, name="x", device=torch.device("cpu"), show=lambda *given: shown.append(given[0])
    )
    assert [image["key"] for image in results.images] == ["image0", "image1", "image2"]
    for index, image in enumerate(results.images):
        item = dataset[index]
        assert image["psnr"] == metric(net(item["lq"][None]), item["gt"][None]).item()
    assert shown == [0, 1, 2]
    assert net.training


def test_a_network_of_another_scale_is_refused():
    with pytest.raises(ValueError, match="does `scale` fit the network and the data"):
        evaluate(ARCHS.build("Bicubic", {}, scale=3), Images([(8, 8)]), {}, name="x", device=torch.device("cpu"))


def test_the_network_is_in_evaluation_mode_meanwhile():
    net = torch.nn.Sequential(ARCHS.build("Bicubic", {}, scale=2), torch.nn.Dropout(0.5)).train()
    dataset, metric = Images([(8, 9)]), PSNR(scale=2)
    (image,) = evaluate(net, dataset, {"psnr": metric}, name="x", device=torch.device("cpu")).images
    item = dataset[0]
    assert image["psnr"] == metric(net[0](item["lq"][None]), item["gt"][None]).item()
    assert net.training


def test_the_mean_is_over_all_images():
    results = Results("x", [{"key": "a", "psnr": 30.0}, {"key": "b", "psnr": 20.0}, {"key": "c", "psnr": 28.0}])
    assert results.mean() == {"psnr": 26.0}


class Spoilt(torch.nn.Module):
    """Enlarge by repetition; one value of the output is not finite."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, lq):
        sr = lq.repeat_interleave(2, 2).repeat_interleave(2, 3)
        sr[..., 3, 2] = self.value
        return sr


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_outputs_that_are_not_finite_are_refused_with_the_name_of_the_image(value):
    with pytest.raises(ValueError, match="x: image0: the network's output has values that are not finite"):
        evaluate(Spoilt(value), Images([(8, 8)]), {"psnr": PSNR(scale=2)}, name="x", device=torch.device("cpu"))


def test_scores_that_are_no_numbers_are_refused_with_the_name_of_the_image():
    with pytest.raises(ValueError, match="x: image0: broken is not a number"):
        evaluate(
            ARCHS.build("Bicubic", {}, scale=2),
            Images([(8, 8)]),
            {"broken": lambda sr, gt: (sr - gt).sum() * float("nan")},
            name="x",
            device=torch.device("cpu"),
        )


def test_result_files_are_strict_json_even_for_equal_images(tmp_path):
    results = Results("x", [{"key": "a", "psnr": float("inf")}, {"key": "b", "psnr": 30.0}])
    results.write(tmp_path / "x.json", {"type": "N"}, None, {}, {})
    content = json.loads((tmp_path / "x.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert content["images"][0]["psnr"] == "inf"
    assert content["mean"]["psnr"] == "inf"


def test_lines_for_people():
    line = progress_line(50, 200, {"pixel": 0.0123}, 2e-4, 5.0, 0.25)
    assert line == "[ 50/200] pixel 1.2300e-02  lr 2.00e-04  5.00 steps/s  ETA 0:00:30  data 25%"
    table = score_table("Net x2", {"Set5": {"psnr": 37.99602, "ssim": 0.960491}}, {"psnr": PSNR(scale=2), "ssim": 3})
    assert table.splitlines()[0].split() == ["Net", "x2", "psnr", "(basicsr-y)", "ssim", "(int)"]
    assert table.splitlines()[1].split() == ["Set5", "37.9960", "0.96049"]
