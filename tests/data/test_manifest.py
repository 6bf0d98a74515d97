"""Manifests: the files of a run by name, size and content, compared wherever they are."""

import json
import shutil

import numpy as np
import pytest

from srzoo.cli import parse
from srzoo.command import execute
from srzoo.data.fingerprint import FileRecord, fingerprint, record_of, record_of_files, record_of_number
from srzoo.data.manifest import differences, read_manifest, write_manifest
from srzoo.data.paired import PairedImages
from srzoo.images import write_image
from tests.support import photograph, run_test, run_train, training_options, write_options


@pytest.fixture
def folder(tmp_path):
    """Write three pairs at x2, one in a sub-folder, to tmp_path/a."""
    for number, name in enumerate(("0", "1", "sub/2")):
        write_image(tmp_path / "a" / "gt" / f"{name}.png", photograph(24, 32, top=40 * number))
        write_image(tmp_path / "a" / "lq" / f"{name}.png", photograph(12, 16, top=40 * number))
    return tmp_path / "a"


def pairs(folder):
    return PairedImages(gt=folder / "gt", lq=folder / "lq", scale=2, phase="eval")


def manifest(*words):
    """Run `srzoo data manifest`; the exit code."""
    arguments = parse(["data", "manifest", *map(str, words)])
    return execute(arguments.run, arguments)


def test_a_manifest_reads_as_it_was_written(folder, tmp_path):
    files = record_of_files({"any\udcff\nname": folder / "gt" / "0.png"})
    written = {"datasets.train": record_of(pairs(folder)), "plugins.0": files, "mine": record_of_number(7)}
    write_manifest(tmp_path / "m.json", written)
    read = read_manifest(tmp_path / "m.json")
    assert {option: list(record) for option, record in read.items()} == {o: list(r) for o, r in written.items()}
    assert read["datasets.train"].digest == fingerprint(pairs(folder))
    assert differences(read, written) == {option: [] for option in written}
    text = (tmp_path / "m.json").read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["inputs"]["datasets.train"]["parts"] == ["gt", "lq"]
    assert [line for line in text.splitlines() if line.strip().startswith('"sub/2"')]  # a line for each sample


def test_added_missing_changed_and_moved_files_are_told_apart(folder, tmp_path):
    before = {"datasets.train": record_of(pairs(folder))}
    shutil.copytree(folder, tmp_path / "b")
    assert differences(before, {"datasets.train": record_of(pairs(tmp_path / "b"))}) == {"datasets.train": []}
    for kind in ("gt", "lq"):
        (tmp_path / "b" / kind / "0.png").rename(tmp_path / "b" / kind / "9.png")
    write_image(tmp_path / "b" / "lq" / "1.png", photograph(12, 16, top=3))
    after = {"datasets.train": record_of(pairs(tmp_path / "b")), "plugins.0": record_of_number(1)}
    assert differences(before, after) == {
        "datasets.train": ["2 missing: '0', '0 (LQ)'", "2 new: '9', '9 (LQ)'", "1 changed: '1 (LQ)'"],
        "plugins.0": ["only in the second"],
    }


def test_names_and_sizes_decide_where_contents_are_unknown(folder):
    whole, sizes = record_of(pairs(folder)), record_of(pairs(folder), limit=10)
    assert (whole.compared, sizes.compared) == ("contents", "names and sizes")
    assert whole.digest != sizes.digest
    assert differences({"a": whole}, {"a": sizes}) == {"a": []}
    assert sizes.digest == record_of(pairs(folder), limit=10).digest
    with (folder / "gt" / "1.png").open("ab") as file:
        file.write(b"x")
    assert differences({"a": whole}, {"a": record_of(pairs(folder), limit=10)}) == {"a": ["1 changed: '1'"]}


def test_a_changed_or_cut_manifest_is_refused(folder, tmp_path, capsys):
    file = tmp_path / "m.json"
    write_manifest(file, {"datasets.train": record_of(pairs(folder))})
    text = file.read_text()
    for broken, reason in (
        (text.replace('"sub/2"', '"sub/3"'), "do not fit its files"),
        (text[: len(text) // 2], "not a manifest of srzoo"),
        ("[]", "not a manifest of srzoo"),
        (text.replace('"manifest": 1', '"manifest": 2'), "expected a manifest of version 1, got 2"),
    ):
        file.write_text(broken)
        assert manifest(file) == 2
        assert reason in capsys.readouterr().err
    assert manifest(tmp_path / "none.json") == manifest(tmp_path) == 2
    assert "holds no manifest.json" in capsys.readouterr().err


def test_large_records_hold_no_object_for_each_file():
    number = 100_000
    record = FileRecord(range(number), ("file",), np.ones((number, 1), np.int64), np.zeros((number, 1, 32), np.uint8))  # pyright: ignore[reportArgumentType]
    assert sum(value.nbytes for value in vars(record).values() if isinstance(value, np.ndarray)) == 40 * number


def test_trainings_and_tests_leave_a_manifest_that_names_their_files(tmp_path, capsys):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, train={"total_iter": 2}))
    assert run_train(file) == 0
    run = tmp_path / "experiments" / "run"
    found = read_manifest(run / "manifest.json")
    assert list(found) == ["datasets.train", "datasets.val.held_out"]
    assert found["datasets.train"].names == ["00", "01", "02", "03", "04"]
    # The same function serves results.
    assert (
        found["datasets.val.held_out"].digest
        == json.loads((run / "results" / "held_out.json").read_text())["data_sha256"]
    )
    weights = run / "models" / "net_g_2.safetensors"
    test = {"held_out": {"type": "GTImages", "gt": str(tmp_path / "val")}}
    changes = {"train": None, "datasets": {"train": None, "val": None, "test": test}}
    options = training_options(tmp_path, **changes, name="bench", path={"pretrain_network_g": str(weights)})
    assert run_test(write_options(tmp_path / "test.yml", options)) == 0
    tested = read_manifest(tmp_path / "experiments" / "bench")
    assert list(tested) == ["datasets.test.held_out", "path.pretrain_network_g"]
    assert tested["datasets.test.held_out"].digest == found["datasets.val.held_out"].digest
    capsys.readouterr()
    assert manifest(run, "--only", "datasets.train") == 0
    assert capsys.readouterr().out.startswith("datasets.train: 5 of ")
    assert manifest(run, tmp_path / "experiments" / "bench") == 2
    assert "datasets.train: only in the first" in capsys.readouterr().err


def test_a_training_that_continues_with_other_files_keeps_both_manifests(tmp_path, capsys):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, datasets={"val": None}, val=None))
    assert run_train(file, "train.total_iter=2") == 0
    run = tmp_path / "experiments" / "run"
    before = (run / "manifest.json").read_bytes()
    assert run_train(file, "train.total_iter=4", resume="auto") == 0
    assert (run / "manifest.json").read_bytes() == before
    shutil.copytree(run, tmp_path / "first")
    (tmp_path / "train" / "01.png").unlink()
    assert run_train(file, "train.total_iter=6", resume="auto", accept_changes=True) == 0
    assert (run / "manifest_until_4.json").read_bytes() == before
    capsys.readouterr()
    assert manifest(tmp_path / "first", run) == 2
    assert "datasets.train: 1 missing: '01'" in capsys.readouterr().err
    assert manifest(tmp_path / "first", run / "manifest_until_4.json") == 0
    assert capsys.readouterr().out == "datasets.train: the same contents\n"
