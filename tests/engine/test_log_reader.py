"""The course of a training as its log tells it."""

from srzoo.engine.log import progress_line, score_line
from srzoo.engine.log_reader import read_log


def write_log(file, *lines):
    file.write_text("".join(f"2026-11-27 00:19:0{number % 10},123 INFO {line}\n" for number, line in enumerate(lines)))
    return file


def line(step, **terms):
    return progress_line(step, 3000, terms, 1e-3 / step, 3.5, 0.25)


def test_lines_of_the_log_are_read_back(tmp_path):
    scores = {"psnr": 31.25, "ssim": 0.875}
    log = read_log(
        write_log(
            tmp_path / "train.log",
            "datasets.val.Set5: 5 images",
            line(50, pixel=0.5, **{"gan/fake": -0.125}),
            line(100, pixel=0.25),
            score_line(100, "my set: a", scores) + "  (best psnr so far)",
            score_line(100, "Set5", scores) + "  (best psnr 31.2500 after 100)",
            "saved /data/100.state (2 MB) in 0.1 s",
        )
    )
    assert log.losses == {"pixel": {50: 0.5, 100: 0.25}, "gan/fake": {50: -0.125}}
    assert log.lr == {50: 2e-5, 100: 1e-5}
    course = {(name, metric): {100: value} for name in ("my set: a", "Set5") for metric, value in scores.items()}
    assert log.scores == course


def test_a_run_that_went_back_replaces_what_it_repeats(tmp_path):
    lines = [line(step, pixel=1.0) for step in (50, 100, 150, 200)] + [line(150, pixel=0.5)]
    log = read_log(write_log(tmp_path / "train.log", *lines))
    assert log.losses["pixel"] == {50: 1.0, 100: 1.0, 150: 0.5}


def test_values_that_are_not_finite_are_gaps(tmp_path):
    log = read_log(write_log(tmp_path / "train.log", line(1, pixel=float("nan")), line(2, pixel=1.0)))
    assert log.losses["pixel"] == {2: 1.0}


def test_no_log_is_an_empty_course(tmp_path):
    assert read_log(tmp_path / "train.log").losses == {}
