"""One scorer for validation and benchmarks: forms, places of files, contents of results."""

import dataclasses
import json

import pytest
import torch
from torch import nn

from srzoo.data.fingerprint import fingerprint
from srzoo.engine.evaluate import evaluate
from srzoo.engine.run_folder import RunFolder
from srzoo.engine.scorer import Scorer
from srzoo.images import write_image
from srzoo.metrics.psnr import PSNR
from srzoo.registry import ARCHS, DATASETS
from tests.support import photograph


class Darker(nn.Module):
    """A form whose scores differ from the network's."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, lq):
        return 0.5 * self.net(lq)


@pytest.fixture
def scorer(tmp_path):
    for name in ("first", "second"):
        write_image(tmp_path / name / f"of_{name}.png", photograph(24, 32))
    return Scorer(
        datasets={
            name: DATASETS.build("GTImages", {"gt": tmp_path / name}, scale=2, phase="eval", gt_only=False)
            for name in ("first", "second")
        },
        metrics={"psnr": PSNR(scale=2)},
        form=Darker,
        network={"type": "Bicubic", "scale": 2},
        inference={"tile": None, "fused": False},
        scale=2,
        folder=RunFolder(tmp_path / "run"),
        device=torch.device("cpu"),
        save_img=True,
    )


class Distance:
    """A metric of which lower values are better."""

    higher_is_better = False

    def __call__(self, sr, gt):
        return (sr - gt).abs().mean((1, 2, 3))


def test_results_say_which_scores_are_better(scorer):
    net = ARCHS.build("Bicubic", {}, scale=2)
    list(dataclasses.replace(scorer, metrics={"far": Distance()}).score(net, None))
    content = json.loads(scorer.folder.results_of("first").read_text())
    assert content["protocols"]["far"]["metric"] == "Distance"
    assert content["protocols"]["far"]["higher_is_better"] is False


def test_each_dataset_is_scored_in_the_form_asked_for_and_written(scorer, tmp_path):
    net, shown = ARCHS.build("Bicubic", {}, scale=2), []
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"")
    found = {}
    for results in scorer.score(net, weights, step=7, show=lambda *given: shown.append(given[:2])):
        found[results.dataset] = results
        assert scorer.folder.results_of(results.dataset).is_file(), "written before it is returned"
    assert shown == [("first", 0), ("second", 0)]
    for name, dataset in scorer.datasets.items():
        alone = evaluate(Darker(net), dataset, scorer.metrics, name=name, device=scorer.device)
        assert found[name].images == alone.images
        content = json.loads(scorer.folder.results_of(name).read_text())
        assert content["images"] == alone.images
        assert content["step"] == 7
        assert content["network"] == {"type": "Bicubic", "scale": 2}
        assert content["weights"]["path"] == str(weights)
        facts = PSNR(scale=2).protocol.describe(2) | {"modcrop": 2, "lq_multiple": 1}
        facts |= {"metric": "PSNR", "higher_is_better": True}
        assert content["protocols"]["psnr"] == json.loads(json.dumps(facts))
        assert content["inference"] == {"tile": None, "fused": False}
        assert content["device"] == "cpu"
        assert set(content["codecs"]) == {"opencv", "pillow", "jpeg"}
        assert content["data_sha256"] == fingerprint(dataset)
        assert (scorer.folder.visualization / name / "7" / f"of_{name}.png").is_file()


def test_a_benchmark_has_no_step_in_its_paths(scorer):
    for results in scorer.score(ARCHS.build("Bicubic", {}, scale=2), None):
        content = json.loads(scorer.folder.results_of(results.dataset).read_text())
        assert (content["step"], content["weights"]) == (None, None)
    assert (scorer.folder.visualization / "first" / "of_first.png").is_file()


def test_a_form_that_does_not_fit_is_refused_before_anything_is_written(scorer):
    def refuse(net):
        raise ValueError(f"tiles do not fit {type(net).__name__}")

    with pytest.raises(ValueError, match="tiles do not fit Bicubic"):
        Scorer(**{**vars(scorer), "form": refuse}).score(ARCHS.build("Bicubic", {}, scale=2), None)
    assert not scorer.folder.path.exists()
