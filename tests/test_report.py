"""`srzoo report`: from the folders of runs to one file."""

import base64
import html
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from srzoo.cli import parse
from srzoo.command import execute
from srzoo.commands.reported_runs import ReportedRun, run_folders, unique_names
from srzoo.commands.reported_scores import panels_of
from srzoo.engine.log_reader import TrainingLog
from srzoo.images import decode_image, read_image, to_tensor, write_image
from srzoo.registry import METRICS
from tests.support import photograph, run_test, run_train, training_options, write_options

HOSTILE = "<img src=x onerror=alert(1)> & co"


def report(*words):
    arguments = parse(["report", *map(str, words)])
    return execute(arguments.run, arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a training in experiments/run and a test in experiments/bicubic, on the same images."""
    folder = tmp_path_factory.mktemp("a folder with spaces")
    data = {"held_out": {"type": "GTImages", "gt": str(folder / "val")}}
    write_image(folder / "val" / f"{HOSTILE}.png", photograph(40, 48))
    # The other images are those of the training's options.
    options = training_options(folder, train={"total_iter": 2}, datasets={"val": data})
    options["logger"]["print_freq"] = 1
    assert run_train(write_options(folder / "run.yml", options)) == 0
    bicubic = training_options(
        folder,
        name="bicubic",
        train=None,
        network_g={"type": "Bicubic", "num_modules": None},
        datasets={"train": None, "val": None, "test": data},
        val={"save_img": True},
    )
    assert run_test(write_options(folder / "bicubic.yml", bicubic)) == 0
    return folder


@pytest.fixture
def runs(folder, tmp_path, monkeypatch):
    """Return a copy of the runs' folders, and work beside them; images stay where they are."""
    shutil.copytree(folder / "experiments", tmp_path / "experiments")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "experiments"


def block(text, name):
    """Return the content of a block of data."""
    (content,) = re.findall(rf'<script [^>]*id="{name}">(.*?)</script>', text)
    return content


def picture(text, image, column, number=0):
    content = base64.b64decode(block(text, f"pixels-{number}-{image}-{column}"))
    return decode_image(content, Path("picture")).rgb


def test_one_page_about_a_test_and_a_training(folder, runs, tmp_path):
    assert report("experiments/bicubic", "experiments/run", "-o", "page.html") == 0
    text = (tmp_path / "page.html").read_text()
    data = json.loads(block(text, "set-0"))
    assert data["sources"] == ["bicubic (run)", "run", "GT"]
    keys = [image["key"] for image in data["images"]]
    assert sorted(keys) == sorted([HOSTILE, "held_out", "held_out_2"])
    assert HOSTILE not in text  # escaped everywhere
    results = json.loads((runs / "run/results/held_out.json").read_text())
    assert f"{results['mean']['psnr']:.4f}" in text
    assert "not distinguishable" in text
    assert "held_out: 3 images cannot give a p below 0.25" in text
    place = keys.index("held_out")
    saved = read_image(runs / "bicubic/visualization/held_out/held_out.png").rgb
    np.testing.assert_array_equal(picture(text, place, 0), saved)
    np.testing.assert_array_equal(picture(text, place, 2), read_image(folder / "val/held_out.png").rgb)
    # The training saved no pictures: its network was applied again, and gives the score that was recorded.
    metric = METRICS.build("PSNR", {}, scale=2)
    score = float(metric(*(to_tensor(picture(text, place, column))[None] for column in (1, 2))))
    recorded = next(image["psnr"] for image in results["images"] if image["key"] == "held_out")
    assert score == pytest.approx(recorded, abs=1e-9)
    assert data["images"][place]["scores"][1] == f"psnr {recorded:.2f}"
    assert "loss: pixel" in text
    assert "psnr on held_out" in text


def test_no_path_of_the_machine_is_on_the_page(folder, runs, tmp_path):
    files = {str(folder / f"val/x{number}.png"): {"sha256": f"abc{number}"} for number in range(300)}
    (runs / "run/manifest.json").write_text(json.dumps({"inputs": {"datasets.train": {"files": files}}}))
    assert report(runs / "run", runs / "bicubic", "-o", tmp_path / "sub folder" / "page.html") == 0
    text = (tmp_path / "sub folder" / "page.html").read_text()
    for path in (folder, tmp_path, Path.cwd(), Path.home(), Path(__file__).parents[1]):
        assert str(path) not in text
    assert folder.name not in text
    assert tmp_path.name not in text
    assert not re.search(r"[\s\"'=(>:]/(?:home|root|tmp|usr|work|opt|mnt|var)\b", re.sub(r"base64,[\w+/=]+", "", text))
    # The facts are there all the same.
    command = "srzoo report experiments/run experiments/bicubic -o page.html"
    for word in ("commit (training)", "basicsr-y", "abc199", "x0.png", "100 more", command):
        assert word in text


def test_a_study_is_the_runs_in_it(runs):
    (runs / "study" / "a").mkdir(parents=True)
    for name in ("run", "bicubic"):
        (runs / name).rename(runs / "study" / "a" / name)
    (runs / "study" / "notes").mkdir()
    found = run_folders([runs / "study", runs / "study" / "a" / "run"])
    assert [path.name for path in found] == ["bicubic", "run"]
    assert unique_names([Path("a/x"), Path("b/x"), Path("y")]) == ["a/x", "b/x", "y"]
    assert report("experiments/study", "--images", "0") == 0
    text = Path("report.html").read_text()
    assert "Report: study" in text
    assert "pixels-0" not in text


def test_a_validation_that_a_test_repeats_is_left_out(folder, runs):
    test = training_options(
        folder,
        name="again",
        train=None,
        path={"experiments": str(runs), "pretrain_network_g": str(runs / "run/models/net_g_2.safetensors")},
        datasets={"train": None, "val": None, "test": {"held_out": {"type": "GTImages", "gt": str(folder / "val")}}},
    )
    assert run_test(write_options(folder / "again.yml", test)) == 0
    assert report("experiments/run", "experiments/again") == 0
    text = Path("report.html").read_text()
    assert "as a test has scored their last weights: run." in text
    assert json.loads(block(text, "set-0"))["sources"] == ["bicubic", "again", "GT"]
    assert "psnr on held_out" in text  # the curve is that of the training


@pytest.mark.parametrize("validated", [True, False])
def test_in_a_study_a_test_has_the_name_of_its_training(folder, runs, validated):
    (runs / "study").mkdir()
    shutil.copytree(runs / "run", runs / "study" / "small_s0")
    weights = runs / "study/small_s0/models/net_g_2.safetensors"
    test = training_options(
        folder,
        name="small_s0",
        train=None,
        path={"experiments": str(runs / "study" / "test"), "pretrain_network_g": str(weights)},
        datasets={"train": None, "val": None, "test": {"other": {"type": "GTImages", "gt": str(folder / "val")}}},
    )
    assert run_test(write_options(folder / "small.yml", test)) == 0
    if not validated:
        shutil.rmtree(runs / "study/small_s0/results")
    assert report("experiments/study") == 0
    text = Path("report.html").read_text()
    assert "<title>Report: study</title>" in text
    assert ("as a test has scored their last weights: small_s0 (training)." in text) == validated
    assert " small_s0 (training): " in text  # in the legends of curves
    assert json.loads(block(text, "set-0"))["sources"] == ["bicubic", "small_s0", "GT"]
    assert "pixels-1-" not in text


def test_the_best_of_a_metric_may_be_its_lowest_score_without_results_too(tmp_path):
    (tmp_path / "options.yml").write_text("val: {metrics: {distance: {type: LPIPS}, psnr: {type: PSNR}}}")
    course = {1: 0.5, 2: 0.25, 3: 0.75}
    log = TrainingLog(scores={("set", "distance"): course, ("set", "psnr"): course})
    panels = panels_of([ReportedRun("run", tmp_path, None, log)], "srzoo report run")
    assert [panel.best("run") for panel in panels] == [(2, 0.25), (3, 0.75)]


def test_some_images_go_from_the_worst_to_the_best(runs):
    file = runs / "run/results/held_out.json"
    results = json.loads(file.read_text())
    for image, score in zip(results["images"], (31.0, 30.0, 32.0), strict=True):
        image["psnr"] = score
    file.write_text(json.dumps(results))
    assert report("experiments/run", "--images", "2") == 0
    text = Path("report.html").read_text()
    keys = [image["key"] for image in results["images"]]
    assert [image["key"] for image in json.loads(block(text, "set-0"))["images"]] == keys[1:]
    assert "2 of 3 images, evenly spaced from the worst to the best psnr of run" in text
    # LQ enlarged is a column where no run is bicubic.
    assert json.loads(block(text, "set-0"))["sources"] == ["bicubic", "run", "GT"]


@pytest.mark.usefixtures("runs")
def test_the_command_that_repeats_the_page_has_all_its_settings(tmp_path):
    lam = {"network": {"type": "IMDN", "scale": 2}, "images": {}}
    (tmp_path / "mine.json").write_text(json.dumps(lam))
    np.savez(tmp_path / "mine.npz")
    settings = ["--title", "a title", "--images", "0", "--max-size", "1024K", "--lam", "mine.json"]
    assert report("experiments/run", "-o", "first.html", *settings) == 0
    command = shlex.join(["srzoo", "report", "experiments/run", "-o", "first.html", *settings])
    assert command in html.unescape(Path("first.html").read_text())


def test_each_metric_has_its_protocol_in_the_head_of_scores(runs):
    # Scores under a second protocol that the first run lacks.
    file = runs / "run/results/held_out.json"
    results = json.loads(file.read_text())
    results["protocols"]["psnr_rgb"] = results["protocols"]["psnr"] | {"name": "basicsr-rgb"}
    results["mean"]["psnr_rgb"] = results["mean"]["psnr"]
    for image in results["images"]:
        image["psnr_rgb"] = image["psnr"]
    file.write_text(json.dumps(results))
    assert report("experiments/bicubic", "experiments/run", "--images", "0") == 0
    assert "held_out x2 psnr_rgb (basicsr-rgb)" in Path("report.html").read_text()


@pytest.mark.usefixtures("runs")
def test_the_page_stays_within_its_size():
    assert report("experiments/run", "--max-size", "100M") == 0
    whole = Path("report.html").stat().st_size
    assert report("experiments/run", "--max-size", f"{0.97 * whole / 1024:.0f}K", "--overwrite") == 0
    assert Path("report.html").stat().st_size < 0.97 * whole
    assert "pictures are cut to windows" in Path("report.html").read_text()


def test_attribution_maps_are_found_beside_runs_or_named(runs, tmp_path, capsys):
    numbers = {
        "network": {"type": "IMDN", "scale": 2},
        "weights": {"file": "x.pth"},
        "parameters": {"path": "gaussian_blur", "sigma": 1.2, "fold": 50},
        "images": {"held_out": {"diffusion_index": 12.5, "height": 32, "width": 36, "window": [20, 24, 16]}},
    }
    heat = np.linspace(0, 1, 32 * 36).reshape(32, 36)
    initial = {"network": {"type": "IMDN", "scale": 2, "num_feat": 32}, "weights": {"file": "initial"}}
    for stem, changed in ((runs / "run" / "lam", {}), (tmp_path / "mine", initial)):
        stem.with_suffix(".json").write_text(json.dumps(numbers | changed))
        np.savez(stem.with_suffix(".npz"), allow_pickle=False, **{"held_out/heat": heat})
    assert report("experiments/run", "--lam", "mine.json", "--images", "3") == 0
    text = Path("report.html").read_text()
    assert text.count("held_out, IMDN x2: diffusion index 12.500 (32 x 36 pixels)</title>") == 2
    command = "srzoo analyze lam held_out.png --window 20,24,16 --weights x.pth --path gaussian_blur --sigma 1.2"
    assert command in text
    assert "--window 20,24,16 --arch IMDN --scale 2 --set network_g.num_feat=32 --path gaussian_blur" in text
    assert '<rect x="12" y="10" width="8" height="8" class="mark" />' in text
    assert text.count('class="pixels lq"') == 2
    (tmp_path / "mine.npz").unlink()
    assert report("experiments/run", "--lam", "mine.json", "--overwrite") == 2
    assert "mine.npz does not exist" in capsys.readouterr().err


FAULTS = {
    "no folder": (lambda _: ["nowhere"], "nowhere is no folder"),
    "no run": (lambda runs: [(runs / "run" / "models")], "holds no run"),
    "suffix": (lambda _: ["experiments/run", "-o", "x.pdf"], "ending in .html"),
    "number": (lambda _: ["experiments/run", "--images", "-1"], "expected a number from 0"),
    "broken results": (
        lambda runs: (runs / "run/results/held_out.json").write_text("{") and ["experiments/run"], "it is no JSON",
    ),
    "other weights": (
        lambda runs: shutil.copy(runs / "run/models/best.safetensors", runs / "run/models/net_g_2.safetensors")
        and ["experiments/run"],
        "have changed since they were scored",
    ),
    "no weights": (
        lambda runs: (runs / "run/models/net_g_2.safetensors").unlink() or ["experiments/run"], "are missing",
    ),
    "other images": (
        lambda runs: (runs / "run/options.yml").write_text(
            (runs / "run/options.yml").read_text().replace("/val\n", "/train\n")
        )
        and ["experiments/run"],
        "are not those that run was scored on",
    ),
    "too small": (lambda _: ["experiments/run", "--max-size", "50K"], "choose fewer (--images)"),
    "broken record": (
        lambda runs: (runs / "run/provenance.json").write_text("") or ["experiments/run", "--images", "0"],
        "provenance.json holds no JSON",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named_and_leave_no_file(runs, name, capsys):
    words, message = FAULTS[name][0](runs), FAULTS[name][1]
    assert report(*words) == 2
    assert message in capsys.readouterr().err
    assert not Path("report.html").exists()


@pytest.mark.usefixtures("runs")
def test_a_page_is_replaced_only_when_asked(capsys):
    Path("report.html").write_text("mine")
    assert report("experiments/run", "--images", "0") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert Path("report.html").read_text() == "mine"
