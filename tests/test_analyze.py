"""The `srzoo analyze` commands, each from a command line to its files."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from srzoo.cli import parse
from srzoo.command import execute
from srzoo.commands.analysis import memory_size
from srzoo.images import decode_image, read_image, write_image
from tests.support import photograph, write_options, write_photographs

pytest.importorskip("matplotlib")

NETWORK = {"name": "small", "scale": 2, "network_g": {"type": "IMDN_RTC", "num_modules": 2}}


def command(*words):
    arguments = parse(["analyze", *map(str, words)])
    return execute(arguments.run, arguments)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Return an option file with name, scale and network_g alone, beside a folder of LQ images; work there."""
    monkeypatch.chdir(tmp_path)
    write_photographs(tmp_path / "lq", 2, 24, 28)
    return write_options(tmp_path / "small.yml", NETWORK)


def numbers(name):
    with open(f"{name}.json", encoding="utf-8") as file:  # noqa: PTH123
        return json.load(file)


def test_lam_writes_pictures_numbers_and_arrays(small, capsys):
    assert command("lam", "lq/00.png", "-opt", small, "--window", "8,10,6", "--fold", "4", "-o", "map.svg") == 0
    assert "the network has its initial ones" in capsys.readouterr().out
    found = numbers("map")
    assert found["network"] == {"type": "IMDN_RTC", "scale": 2, "num_in_ch": 3, "num_feat": 12, "num_modules": 2}
    assert found["weights"]["file"] == "initial"
    assert found["images"]["00"]["window"] == [8, 10, 6]
    assert (found["images"]["00"]["height"], found["images"]["00"]["width"]) == (24, 28)
    with np.load("map.npz") as arrays:
        assert arrays["00/saliency"].shape == (24, 28)
    assert (small.parent / "map.png").read_bytes()[:4] == b"\x89PNG"
    assert b"<svg" in (small.parent / "map.svg").read_bytes()[:600]


def test_files_of_an_earlier_analysis_are_kept(small, capsys):
    words = ("erf", "lq/00.png", "-opt", small, "--side", "9")
    assert command(*words) == 0
    assert command(*words) == 2
    assert "exists: choose another name with -o, or replace it with --overwrite" in capsys.readouterr().err
    assert command(*words, "--overwrite", "--format", "pdf") == 0
    assert (small.parent / "erf.pdf").read_bytes()[:4] == b"%PDF"


def test_lam_refuses_to_compare_indices_of_unlike_sizes(small, capsys):
    assert command("lam", "lq/00.png", "-opt", small, "--fold", "2") == 0
    words = ("lam", "lq/00.png", "--arch", "Bicubic", "--scale", "2", "--fold", "2", "--baseline", "lam.json")
    assert command(*words, "-o", "same") == 0
    assert "against lam.json" in capsys.readouterr().out
    write_image(small.parent / "lq/00.png", photograph(20, 28))
    assert command(*words, "-o", "other") == 2
    assert "24x28 and 20x28 pixels cannot be compared" in capsys.readouterr().err
    assert not (small.parent / "other.json").exists()


def test_erf_writes_the_three_radii(small):
    assert command("erf", "lq", "-opt", small, "--side", "21", "-o", "field") == 0
    found = numbers("field")
    assert found["receptive_radius"] == 10
    assert found["radius_90"] <= found["radius_99"] <= found["support_radius"] <= 10
    assert found["parameters"] == {"side": 21, "num_images": 2}


def test_without_input_the_test_datasets_of_the_option_file_are_used(small):
    test = {"photographs": {"type": "GTImages", "gt": str(small.parent / "lq")}}
    options = {**NETWORK, "datasets": {"test": test}, "val": {"metrics": {"psnr": {"type": "PSNR"}}}}
    file = write_options(small.parent / "test.yml", options)
    assert command("erf", "-opt", file, "-o", "field") == 0
    assert numbers("field")["parameters"] == {"side": 12, "num_images": 2}


def test_wrong_arguments_say_so(small, capsys):
    for words, message in (
        (("erf", "lq"), "no network: name one with --weights FILE"),
        (("erf", "-opt", small), "no images: name files or folders, or an option file with datasets.test"),
        (("erf", "nowhere.png", "-opt", small), "nowhere.png"),
        (("lam", "lq/00.png", "-opt", small, "--window", "44,0,16"), "does not lie in the SR image of 48x56 pixels"),
        (("lam", "lq/00.png", "-opt", small, "--cmap", "jett"), "expected a colour map of matplotlib"),
        (("erf", "lq", "-opt", small, "--device", "abacus"), "--device abacus"),
        (("lam", "lq/00.png", "-opt", small, "--max-memory", "64K"), "of --max-memory: allow more"),
    ):
        assert command(*words) == 2
        assert message in capsys.readouterr().err


def test_sizes_of_memory_have_units():
    assert [memory_size(text) for text in ("1K", "800M", "1.5G", "2GiB")] == [1024, 800 * 2**20, 3 * 2**29, 2**31]
    with pytest.raises(Exception, match="such as 800M or 4G"):
        memory_size("12")


def test_without_matplotlib_the_extra_is_named(small, monkeypatch, capsys):
    monkeypatch.setattr("srzoo.analysis.figures.find_spec", lambda _: None)
    assert command("erf", "lq", "-opt", small) == 2
    assert 'pip install "srzoo[report]"' in capsys.readouterr().err


def test_a_plugin_is_analysed_too(small):
    (small.parent / "plugin.py").write_text(
        "import torch\nfrom srzoo.registry import ARCHS\n\n\n@ARCHS.register\nclass Doubled(torch.nn.Module):\n"
        "    def __init__(self, *, scale: int) -> None:\n        super().__init__()\n"
        "        self.up = torch.nn.Upsample(scale_factor=scale)\n\n"
        "    def forward(self, lq):\n        return self.up(lq)\n"
    )
    options = {"name": "plugin", "scale": 2, "plugins": ["plugin.py"], "network_g": {"type": "Doubled"}}
    file = write_options(small.parent / "plugin.yml", options)
    assert command("erf", "lq", "-opt", file) == 0
    assert numbers("erf")["radius_99"] == 0


@pytest.mark.slow
def test_saliency_of_layers_and_ablation_against_gt(small):
    write_image(small.parent / "gt.png", photograph(48, 56))
    words = ("lq/00.png", "--gt", "gt.png", "-opt", small, "--ablate", "--layer")
    assert command("saliency", *words, "model.0", "-o", "one") == 0
    found = numbers("one")["layers"]["model.0"]
    assert len(found["saliency"]) == len(found["ablation_psnr_plain"]) == len(found["ablation_psnr_compensated"]) == 12
    assert numbers("one")["parameters"]["ablation_reference"] == "gt"
    # One of twelve channels changes little.
    assert abs(numbers("one")["psnr_whole"] - max(found["ablation_psnr_plain"])) < 3
    assert (
        command("saliency", "lq/00.png", "-opt", small, "--layer", "model.0", "model.1.sub.0.act@3", "-o", "both") == 0
    )
    assert list(numbers("both")["layers"]) == ["model.0", "model.1.sub.0.act@3"]
    assert (small.parent / "both_model.1.sub.0.act@3.png").is_file()


def test_degradations_are_compared_between_two_networks(small, monkeypatch, capsys):
    from srzoo.options import load_options
    from srzoo.weights import save_weights

    net = load_options(small, purpose="network").options.network_g.build(scale=2)
    save_weights(small.parent / "one.safetensors", net, {})
    save_weights(small.parent / "two.safetensors", net, {})
    write_photographs(small.parent / "noise", 2, 20, 28)
    words = ("lq", "noise", "--layer", "model.0", "--reduction", "spatial_mean", "--weights", "one.safetensors")
    assert command("degradation", *words, "--versus", "two.safetensors", "--pca", "2") == 0
    found = numbers("degradation")
    chi = {name: values["calinski_harabasz"] for name, values in found["layers"]["model.0"].items()}
    assert chi.keys() == {"one.safetensors", "two.safetensors"}
    assert len(set(chi.values())) == 1
    printed = capsys.readouterr().out
    assert "larger images are cut to 20x28" in printed
    assert "(spatial_mean, PCA to 2, n = 4, K = 2)" in printed
    assert (found["parameters"]["n"], found["parameters"]["K"]) == (4, 2)
    write_image(small.parent / "other/00.png", photograph(24, 28))
    write_image(small.parent / "other/02.png", photograph(24, 28))
    for folders in (("lq", "other"), ("lq", "noise", "other")):
        assert command("degradation", *folders, *words[2:], "-o", "none") == 2
        assert "other has no 01, as lq has (1 such)" in capsys.readouterr().err
    monkeypatch.setattr("srzoo.analysis.degradation.find_spec", lambda _: None)
    assert command("degradation", *words, "-o", "plain") == 0
    assert "picture by PCA alone" in capsys.readouterr().out
    with np.load("plain.npz") as arrays:
        assert not any(name.endswith("tsne") for name in arrays)


def test_features_of_layers_and_refinement(small, capsys):
    assert command("features", "lq", "-opt", small, "--layer", "model.0", "model.1", "--refinement") == 0
    found = numbers("features")["layers"]
    assert len(found["model.1"]["std"]) == 12
    with np.load("features.npz") as arrays:
        assert arrays["model.0"].shape == (12, 24, 28)
        assert arrays["model.1.sub.1/refinement"].shape == (4, 24, 28)
    assert (small.parent / "features_refinement.png").is_file()
    words = ("features", "lq", "--arch", "Bicubic", "--scale", "2", "-o", "none", "--layer", "all")
    assert command(*words) == 2
    assert "has no layer whose output is an image of features" in capsys.readouterr().err


@pytest.mark.slow
def test_errors_against_gt_alone_and_against_pairs(small, capsys):
    write_photographs(small.parent / "gt", 2, 48, 56)
    assert command("errors", "--gt", "gt", "-opt", small, "--crop", "16", "--count", "1") == 0
    found = numbers("errors")
    assert set(found["images"]) == {"00", "01"}
    worst, best = found["worst_crops"], found["best_crops"]
    assert len(worst) == len(best) == 10
    assert worst[0]["rms_error"] > worst[-1]["rms_error"] > best[0]["rms_error"]
    assert best[0]["rms_error"] < best[-1]["rms_error"] < worst[0]["rms_error"]
    assert worst[0]["image"] in found["images"]
    assert len(found["psnr_by"]["local_frequency"]["psnr"]) == 10
    assert found["worst_to_best"][0] in found["images"]
    assert (small.parent / "errors_curves.png").is_file()
    assert command("errors", "lq", "--gt", "gt", "-opt", small, "-o", "pairs") == 0
    assert numbers("pairs")["images"].keys() == found["images"].keys()
    assert command("errors", "lq", "-opt", small, "-o", "none") == 2
    assert "errors need GT images: name them with --gt" in capsys.readouterr().err


@pytest.mark.slow
def test_similarity_of_an_option_file_and_weights(small, capsys):
    from srzoo.options import load_options
    from srzoo.weights import save_weights

    torch.manual_seed(0)
    save_weights(
        small.parent / "w.safetensors", load_options(small, purpose="network").options.network_g.build(scale=2), {}
    )
    words = ("similarity", small, "w.safetensors", "--images", "lq", "--layer", "model.0", "model.1")
    assert command(*words) == 0
    found = numbers("similarity")
    assert np.shape(found["cka"]) == (2, 2)
    assert found["layers_b"] == ["model.0", "model.1"]
    assert command("similarity", small, "w.safetensors", "--images", "lq", "-o", "some") == 0
    assert 20 < len(numbers("some")["layers_a"]) <= 40
    assert command("similarity", small, "w.safetensors", "--images", "lq", "--layer", "modle.0", "-o", "none") == 2
    assert "did you mean model.0" in capsys.readouterr().err


def test_images_of_one_name_stay_apart(small, capsys):
    write_photographs(small.parent / "other", 2, 20, 24)
    assert command("lam", "lq", "other", "-opt", small, "--fold", "2") == 0
    sizes = {key: (each["height"], each["width"]) for key, each in numbers("lam")["images"].items()}
    assert sizes == {"lq/00": (24, 28), "lq/01": (24, 28), "other/00": (20, 24), "other/01": (20, 24)}
    assert (small.parent / "lam_other_00.png").is_file()
    test = {name: {"type": "GTImages", "gt": str(small.parent / name)} for name in ("lq", "other")}
    options = {**NETWORK, "datasets": {"test": test}, "val": {"metrics": {"psnr": {"type": "PSNR"}}}}
    file = write_options(small.parent / "test.yml", options)
    assert command("lam", "-opt", file, "--fold", "2", "--window", "0,0,4", "-o", "sets") == 0
    assert numbers("sets")["images"].keys() == sizes.keys()
    capsys.readouterr()
    for words in (("lq/00.png", "lq/00.png"), ("lq", "lq/01.png")):
        assert command("lam", *words, "-opt", small, "-o", "none") == 2
        assert "expected images with different names, got lq/0" in capsys.readouterr().err


def test_gt_that_does_not_belong_to_the_inputs_is_refused(small, capsys):
    write_photographs(small.parent / "gt", 2, 48, 56)
    write_photographs(small.parent / "three", 3, 48, 56)
    write_photographs(small.parent / "larger", 2, 52, 56)
    write_photographs(small.parent / "smaller", 2, 46, 56)
    write_image(small.parent / "odd/00.png", photograph(49, 57))
    for gt, message in (
        ("three", "three/02.png: has no partner"),
        ("larger", "lq/00.png: wrong scale ratio"),
        ("smaller", "lq/00.png: wrong scale ratio"),
    ):
        assert command("errors", "lq", "--gt", gt, "-opt", small, "-o", "none") == 2
        assert message in capsys.readouterr().err
    for gt in ("larger", "smaller"):
        assert command("errors", "lq/00.png", "--gt", f"{gt}/00.png", "-opt", small, "-o", "none") == 2
        assert "but x2 of lq/00.png has 48x56" in capsys.readouterr().err
    # Without the row and the column that were cut off before the reduction.
    assert command("errors", "lq/00.png", "--gt", "odd/00.png", "-opt", small, "--crop", "16") == 0


def test_pictures_have_the_shape_of_what_they_show(small):
    from srzoo.commands.analyze_similarity import _figure

    width, height = _figure(np.zeros((60, 3)), ["a"] * 60, ["b"] * 3, ["A", "B"]).get_size_inches()
    assert height > 2 * width
    # Twelve channels are two rows of up to eight.
    assert command("features", "lq/00.png", "-opt", small, "--layer", "model.0", "-o", "sheet") == 0
    height, width = read_image(small.parent / "sheet.png").rgb.shape[:2]
    assert height < width / 2


def test_outlines_are_seen_on_images_of_their_colour():
    from srzoo.analysis.figures import mark_square, new_panels, show_image

    orange = np.broadcast_to(np.array([0xD5, 0x5E, 0x00]) / 255, (32, 32, 3))
    figure, (panel,) = new_panels(1, 1)
    show_image(panel, orange, "")
    mark_square(panel, 12, 12, 8)
    with io.BytesIO() as file:
        figure.savefig(file, format="png")
        shown = decode_image(file.getvalue(), Path("figure.png")).rgb
    # Away from the margin of the figure; orange has no blue.
    middle = shown[shown.shape[0] // 4 : -shown.shape[0] // 4, shown.shape[1] // 4 : -shown.shape[1] // 4]
    assert middle[..., 2].max() > 128


@pytest.mark.parametrize("numbers_of_gt", [(5, 6), (0, 5)])
def test_lq_without_gt_of_its_name_is_named_and_nothing_written(small, capsys, numbers_of_gt):
    for number, path in zip(numbers_of_gt, write_photographs(small.parent / "parted", 2, 48, 56), strict=True):
        path.rename(path.with_name(f"gt_{number}.png" if number else "00.png"))
    assert command("errors", "lq", "--gt", "parted", "-opt", small, "-o", "parted_errors") == 2
    said = capsys.readouterr().err
    assert "fault(s) in the data" in said
    assert "01.png" in said
    assert not list(small.parent.glob("parted_errors*"))
