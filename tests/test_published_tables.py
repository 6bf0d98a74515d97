"""The tables of the IMDN paper come out of `test.py` with the authors' weights."""

import json

import pytest

from tests.support import ROOT, SHARED, needs_shared, run_test

# Set5 to four decimals (basicsr-y), the paper's cells for the other sets as printed.
SET5 = {2: (37.9960, 0.96049), 3: (34.3597, 0.92698), 4: (32.2096, 0.89476)}
SET5_IMDN_Y = {2: 37.9105, 3: 34.3233, 4: 32.1867}
PAPER = {
    "Set14": {2: (33.63, 0.9177), 3: (30.32, 0.8417), 4: (28.58, 0.7811)},
    "BSD100": {2: (32.19, 0.8996), 3: (29.09, 0.8046), 4: (27.56, 0.7353)},
}


@pytest.fixture
def user_folder(tmp_path, monkeypatch):
    """Make a working directory laid out as the option files expect."""
    (tmp_path / "datasets").symlink_to(SHARED / "data")
    (tmp_path / "weights").symlink_to(SHARED / "checkpoints")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def score(user_folder, name, *overrides):
    path = next((ROOT / "options" / "test").rglob(f"{name}.yml"))
    assert run_test(path, *overrides) == 0
    results = sorted((user_folder / "experiments").glob("*/results/*.json"))
    return {path.stem: json.loads(path.read_text())["mean"] for path in results}


@needs_shared
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_set5_comes_out(user_folder, scale):
    only_set5 = ("datasets.test.Set14=null", "datasets.test.BSD100=null")
    extra = "val.metrics.imdn={type: PSNR, protocol: imdn-y}"
    mean = score(user_folder, f"IMDN_x{scale}", *only_set5, extra)["Set5"]
    assert mean["psnr"] == pytest.approx(SET5[scale][0], abs=2e-3)
    assert mean["ssim"] == pytest.approx(SET5[scale][1], abs=2e-5)
    assert mean["imdn"] == pytest.approx(SET5_IMDN_Y[scale], abs=2e-3)


@needs_shared
@pytest.mark.slow(minutes=2)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_set14_and_bsd100_come_out_to_the_printed_digits(user_folder, scale):
    scores = score(user_folder, f"IMDN_x{scale}", "datasets.test.Set5=null")
    for dataset, cells in PAPER.items():
        psnr, ssim = cells[scale]
        assert f"{scores[dataset]['psnr']:.2f}" == f"{psnr:.2f}"
        assert f"{scores[dataset]['ssim']:.4f}" == f"{ssim:.4f}"


@needs_shared
def test_the_other_released_weights_score_as_their_authors_say(user_folder):
    only_set5 = ("datasets.test.Set14=null", "datasets.test.BSD100=null")
    assert score(user_folder, "IMDN_RTE_x2", *only_set5)["Set5"]["psnr"] == pytest.approx(35.41, abs=5e-3)
    mean = score(user_folder, "IMDNPlus_x4", *only_set5, "name=plus")["Set5"]
    scores = json.loads((user_folder / "experiments/plus/results/Set5.json").read_text())["mean"]
    assert f"{scores['psnr_imdn']:.2f}" == "32.11", mean


@needs_shared
def test_rt4ksr_scores_images_cut_to_even_lq_sizes(user_folder):
    names = ("Set14", "BSD100", "Urban100", "Manga109")
    only_set5 = tuple(f"datasets.test.{name}=null" for name in names)
    # As shipped, and with whole images.
    for overrides, multiple, expected in (((), 2, 32.238), (("datasets.test.Set5.lq_multiple=1",), 1, 32.231)):
        score(user_folder, "RT4KSR_x3", *only_set5, f"name=by_{multiple}", *overrides)
        results = json.loads((user_folder / f"experiments/by_{multiple}/results/Set5.json").read_text())
        assert results["mean"]["psnr_rt4ksr"] == pytest.approx(expected, abs=6e-4)
        assert results["protocols"]["psnr_rt4ksr"]["lq_multiple"] == multiple


@needs_shared
def test_a_wrong_input_range_is_garbage(user_folder):
    """Why the range must travel with the weights: IMDN_RTE fed with 0-1."""
    only_set5 = ("datasets.test.Set14=null", "datasets.test.BSD100=null")
    mean = score(user_folder, "IMDN_RTE_x2", *only_set5, "network_g.img_range=1")["Set5"]
    assert mean["psnr"] == pytest.approx(17.5, abs=0.05)


@needs_shared
@pytest.mark.slow
def test_the_crop_rule_is_part_of_the_protocol(user_folder):
    """Cropping GT to multiples of 12 instead of the scale moves Set5 x2 by about -0.03 dB."""
    only_made = ("datasets.test.Set5=null", "datasets.test.Set14=null", "datasets.test.BSD100=null")
    made = "datasets.test.Made={type: GTImages, gt: datasets/Set5/GT%s}"
    default = score(user_folder, "IMDN_x2", *only_made, made % "", "name=default")["Made"]["psnr"]
    score(user_folder, "IMDN_x2", *only_made, made % ", modcrop: 12", "name=twelve")
    twelve = json.loads((user_folder / "experiments/twelve/results/Made.json").read_text())
    assert default == pytest.approx(SET5[2][0], abs=2e-3)
    assert twelve["mean"]["psnr"] - default == pytest.approx(-0.03, abs=0.01)
    assert twelve["protocols"]["psnr"]["modcrop"] == 12
