"""Weights in every published layout, whole or not at all; nothing runs code from a file."""

import argparse
import errno
import io
import json
import pickle
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch

import srzoo
from srzoo import weights as weights_module
from srzoo.registry import ARCHS
from srzoo.state import load_state, save_state
from srzoo.tensor_files import CheckpointError, read_torch
from srzoo.weights import load_network, load_weights, read_weights, refuse_other_network, save_weights
from tests.support import SHARED, needs_shared


def network(seed=0, **options):
    torch.manual_seed(seed)
    return ARCHS.build("IMDN_RTC", {"num_modules": 1, **options}, scale=2)


def save(path, net):
    save_weights(path, net, {"step": "7", "weights": "ema", "options_sha256": "abc"})


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("wrap", "key"),
    [
        (lambda d: d, ""),
        (lambda d: {"params": d}, "params"),
        (lambda d: {"params": {k: v * 0 for k, v in d.items()}, "params_ema": d}, "params_ema"),
        (lambda d: {"state_dict": d, "epoch": 3}, "state_dict"),
        (lambda d: {f"module.{k}": v for k, v in d.items()}, ""),
        (lambda d: {"state_dict": {f"module.{k}": v for k, v in d.items()}}, "state_dict"),
        (lambda d: {"step": 3, "options": "", "model": {"net_g": {}, "net_g_ema": d}}, "net_g_ema"),
    ],
)
def test_published_layouts_load(tmp_path, wrap, key):
    net, other = network(0), network(1)
    torch.save(wrap(net.state_dict()), tmp_path / "w.pth")
    weights = load_weights(other, tmp_path / "w.pth")
    assert weights.key == key
    assert same(net, other)


def test_the_moving_average_is_preferred_and_another_entry_can_be_asked_for(tmp_path):
    plain, average, other = network(0), network(1), network(2)
    torch.save({"params": plain.state_dict(), "params_ema": average.state_dict()}, tmp_path / "w.pth")
    assert load_weights(other, tmp_path / "w.pth").others == ("params",)
    assert same(average, other)
    load_weights(other, tmp_path / "w.pth", key="params")
    assert same(plain, other)
    with pytest.raises(CheckpointError, match="no entry 'nope'; it has params_ema, params"):
        load_weights(other, tmp_path / "w.pth", key="nope")


def test_a_network_is_rebuilt_from_its_file_alone(tmp_path):
    net = network()
    save(tmp_path / "w.safetensors", net)
    again = srzoo.load_network(tmp_path / "w.safetensors")
    assert same(net, again)
    assert not again.training
    with safetensors.safe_open(tmp_path / "w.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata["arch"] == "IMDN_RTC"
    assert json.loads(metadata["arch_options"]) == {"num_in_ch": 3, "num_feat": 12, "num_modules": 1}
    assert (metadata["scale"], metadata["step"], metadata["weights"]) == ("2", "7", "ema")
    assert metadata["srzoo"] == srzoo.__version__
    assert metadata["options_sha256"] == "abc"


def test_the_input_range_travels_with_the_weights(tmp_path):
    net = ARCHS.build("IMDN_RTE", {"img_range": 255.0}, scale=2)
    save(tmp_path / "w.safetensors", net)
    assert load_network(tmp_path / "w.safetensors").img_range == 255.0


def test_partial_matches_are_refused_with_the_likely_option(tmp_path):
    four = ARCHS.build("IMDN", {"num_modules": 4}, scale=2)
    torch.save(four.state_dict(), tmp_path / "four.pth")
    six = ARCHS.build("IMDN", {}, scale=2)
    before = {key: value.clone() for key, value in six.state_dict().items()}
    with pytest.raises(CheckpointError, match="nothing was loaded") as error:
        load_weights(six, tmp_path / "four.pth")
    text = str(error.value)
    assert "28 missing" not in text.splitlines()[0]
    assert "missing: IMDB5.c1.weight" in text
    assert "`num_modules`: the file has 4 IMDB*, the network 6 IMDB*" in text
    assert all(torch.equal(before[key], value) for key, value in six.state_dict().items())


def test_another_scale_and_another_network_are_recognised(tmp_path):
    torch.save(ARCHS.build("IMDN", {}, scale=4).state_dict(), tmp_path / "x4.pth")
    with pytest.raises(
        CheckpointError, match=r"`scale`: the file has 48 channels in upsampler.0.weight, the network 12"
    ):
        load_weights(ARCHS.build("IMDN", {}, scale=2), tmp_path / "x4.pth")
    with pytest.raises(CheckpointError, match=r"the file holds IMDN weights \(network_g.type\)"):
        load_weights(ARCHS.build("IMDN_RTC", {}, scale=4), tmp_path / "x4.pth")


@pytest.mark.parametrize(
    ("name", "there", "here", "option"),
    [
        ("IMDN_RTC", ({}, 4), ({}, 2), "scale"),
        ("IMDN_RTC", ({"num_modules": 3}, 2), ({}, 2), "num_modules"),
        ("IMDN_RTC", ({"num_feat": 16}, 2), ({}, 2), "num_feat"),
        ("IMDN_RTE", ({"num_feat": 24}, 2), ({}, 2), "num_feat"),
        ("IMDNPlus", ({"num_modules": 2}, 4), ({}, 4), "num_modules"),
        ("IMDNPlus", ({}, 2), ({}, 4), "scale"),
        ("IMDN", ({"num_feat": 48}, 2), ({}, 2), "num_feat"),
    ],
)
def test_the_likely_option_is_named_and_no_other(name, there, here, option):
    file = ARCHS.build(name, there[0], scale=there[1]).state_dict()
    with pytest.raises(CheckpointError) as error:
        load_weights(ARCHS.build(name, here[0], scale=here[1]), file)
    causes = [line.split("`")[1] for line in str(error.value).splitlines() if "likely cause" in line]
    assert causes == [option]


def test_loading_says_which_entry_it_took(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(weights_module.logger, "propagate", True)
    torch.save({"params": network(0).state_dict(), "params_ema": network(1).state_dict()}, tmp_path / "w.pth")
    with caplog.at_level("INFO", logger="srzoo"):
        load_weights(network(2), str(tmp_path / "w.pth"))
    assert "took params_ema, not params" in caplog.text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_neither_loaded_nor_saved(tmp_path, value):
    net, other = network(0), network(1)
    before = {key: tensor.clone() for key, tensor in other.state_dict().items()}
    net.state_dict()["model.0.weight"][2, 1, 0, 0] = value
    torch.save(net.state_dict(), tmp_path / "w.pth")
    for load in (lambda path: load_weights(other, path), lambda path: load_weights(other, path, partial=True)):
        with pytest.raises(CheckpointError, match=r"w\.pth: values that are not finite: model\.0\.weight has 1 of 324"):
            load(tmp_path / "w.pth")
    assert all(torch.equal(tensor, before[key]) for key, tensor in other.state_dict().items())
    with pytest.raises(CheckpointError, match="values that are not finite"):
        load_network(tmp_path / "w.pth")
    said = r"was not written, because of values that are not finite: (net_g\.)?model\.0\.weight has 1 of 324"
    with pytest.raises(ValueError, match=said):
        save(tmp_path / "out.safetensors", net)
    state = {"model": {"net_g": net.state_dict()}, "data": {}, "step": 1, "options": ""}
    with pytest.raises(ValueError, match=said):
        save_state(tmp_path / "1.state", state)
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]
    torch.save(state, tmp_path / "2.state")
    with pytest.raises(CheckpointError, match=r"2\.state: values that are not finite: net_g\.model\.0\.weight"):
        load_state(tmp_path / "2.state")


class NumberOfObjects:
    """Pickles as a NumPy scalar that holds an object."""

    def __reduce__(self):
        return np.float64(0).__reduce__()[0], (np.dtype("O"), b"x")


class Dangerous:
    pass


def scripted(path):
    torch.jit.script(torch.nn.Conv2d(3, 3, 1)).save(path)


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("note.txt", "x")


def tarred(path):
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())


FOREIGN = {
    "a class": lambda path: torch.save({"a": Dangerous()}, path),
    "a class, old format": lambda path: torch.save({"a": Dangerous()}, path, _use_new_zipfile_serialization=False),
    "a network": lambda path: torch.save(torch.nn.Conv2d(3, 3, 1), path),
    "an array": lambda path: torch.save({"a": np.zeros(3)}, path),
    "a newer pickle": lambda path: path.write_bytes(pickle.dumps({"a": 1}, protocol=5)),
    "an older pickle": lambda path: path.write_bytes(pickle.dumps({"a": {1, 2}}, protocol=2)),
    "TorchScript": scripted,
    "a zip archive": zipped,
    "the format of 2017": tarred,
    "a list": lambda path: torch.save([torch.zeros(3)], path),
    "text": lambda path: path.write_text("hello"),
    "nothing": lambda path: path.write_bytes(b""),
    "a cut file": lambda path: path.write_bytes(pickle.dumps({"a": 1}, protocol=2)[:5]),
}


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "a pointer of Git LFS: fetch the file itself"),
        (b"\n<!DOCTYPE html><html>", "a web page: download the file again"),
        (b"\x1f\x8b\x08\x00", "a gzip archive: unpack it first"),
    ],
)
def test_files_taken_for_weights_are_called_by_their_kind(tmp_path, start, kind):
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(start + bytes(200))
        with pytest.raises(CheckpointError, match=f"{name}: not a weights file but {kind}"):
            read_weights(tmp_path / name)
    (tmp_path / "w.yml").write_text("name: x\n")
    with pytest.raises(CheckpointError, match=r"w\.yml: not a weights file but an option file: name it with -opt"):
        read_weights(tmp_path / "w.yml")
    zipped(tmp_path / "w.zip")
    with pytest.raises(CheckpointError, match=r"not a weights file but an archive of note\.txt: unpack it first"):
        read_weights(tmp_path / "w.zip")


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.filterwarnings("ignore")
def test_no_message_advises_to_read_a_file_unsafely(tmp_path, kind):
    for name in ("w.pth", "w.safetensors"):
        FOREIGN[kind](tmp_path / name)
        with pytest.raises(CheckpointError) as error:
            load_weights(network(), tmp_path / name)
        text = str(error.value)
        assert name in text
        assert len(text.splitlines()) == 1
        assert ("holds code" in text) == (kind == "TorchScript")
        assert ("would run code" in text) == (kind in ("a class", "a class, old format", "a network", "an array"))
        assert not any(advice in text for advice in ("weights_only", "add_safe_globals", "trust", "PyTorch 2.6"))


def test_the_content_decides_which_format_a_file_has(tmp_path):
    net, other = network(0), network(1)
    save(tmp_path / "w.safetensors", net)
    (tmp_path / "w.safetensors").rename(tmp_path / "w.pth")
    load_weights(other, tmp_path / "w.pth")
    assert same(net, other)
    torch.save(network(2).state_dict(), tmp_path / "x.safetensors")
    load_weights(other, tmp_path / "x.safetensors")
    assert same(network(2), other)


def test_arguments_and_scores_beside_the_weights_do_no_harm(tmp_path):
    arguments = argparse.Namespace(lr=1e-4, out=Path("runs/a"), milestones=[1, 2], best=np.float64(31.5))
    scores = {"psnr": np.float32(31.5), "epoch": np.int64(7), "improved": np.bool_(True)}
    torch.save({"state_dict": network(1).state_dict(), "args": arguments, **scores}, tmp_path / "w.pth")
    net = network(0)
    load_weights(net, tmp_path / "w.pth")
    assert same(net, network(1))
    content = read_torch(tmp_path / "w.pth")
    assert content["args"] == arguments
    assert [content[name] for name in scores] == [31.5, 7, True]
    assert all(type(content[name]) in (float, int, bool) for name in scores)


@pytest.mark.parametrize("inside", ["a Namespace", "a NumPy number"])
def test_harmless_classes_open_no_way_to_others(tmp_path, inside):
    hidden = argparse.Namespace(x=Dangerous()) if inside == "a Namespace" else NumberOfObjects()
    torch.save({"params": network().state_dict(), "x": hidden}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"refused, because|not a PyTorch weights file"):
        read_weights(tmp_path / "w.pth")


def test_files_that_would_run_code_are_refused(tmp_path):
    torch.save({"params": Dangerous()}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="refused, because reading it would run code"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.pth", b"hello world\n", "not a PyTorch weights file"),
        ("empty.pth", b"", "not a PyTorch weights file"),
        ("text.safetensors", b"hello world\n", "not a safetensors file"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_weights(tmp_path / name)


@pytest.mark.parametrize(
    "content", [b"a: 1\n", b"name: x\nscale: 4\n", b"0", b"}]", b"hello", b"\x89PNG\r\n\x1a\n" * 9]
)
def test_any_file_that_is_no_weights_file_is_told_what_was_expected(tmp_path, content):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(CheckpointError) as raised:
        read_weights(tmp_path / "x.bin")
    text = str(raised.value).removeprefix(f"{tmp_path / 'x.bin'}: not a PyTorch weights file, or a damaged one")
    assert text == "; expected a safetensors file or one that torch.save wrote"


def test_a_truncated_file_is_refused(tmp_path):
    torch.save(network().state_dict(), tmp_path / "w.pth")
    (tmp_path / "w.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match="not a PyTorch weights file, or a damaged one"):
        read_weights(tmp_path / "w.pth")


def test_files_without_weights_are_refused(tmp_path):
    torch.save({"epoch": 3, "note": "x"}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"holds no weights: .* found epoch, note"):
        read_weights(tmp_path / "w.pth")
    with pytest.raises(FileNotFoundError):
        read_weights(tmp_path / "missing.pth")
    torch.save({"conv.weight": torch.zeros(3, 3, 3, 3)}, tmp_path / "bare.pth")
    with pytest.raises(CheckpointError, match=r"does not say which network .* no network of srzoo has its keys"):
        load_network(tmp_path / "bare.pth")
    with pytest.raises(CheckpointError, match="is not a training state"):
        load_state(tmp_path / "bare.pth")


def test_a_full_disk_leaves_the_old_weights(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    save(path, network(0))
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("srzoo.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space left on device; the earlier file is intact"):
        save(path, network(1))
    with pytest.raises(OSError, match="No space left"):
        save_state(tmp_path / "1.state", {"model": {}, "step": 1})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_really_full_is_an_os_error(tmp_path):
    """PyTorch's writer hides the reason when a file cannot grow; a limit on file sizes shows what then comes out."""
    code = (
        "import resource, signal, sys, torch; from pathlib import Path; from srzoo.state import save_state; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000));\n"
        "try: save_state(Path(sys.argv[1]), {'model': torch.rand(100000), 'step': 1, 'options': ''})\n"
        "except OSError as error: sys.exit(str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "1.state")], capture_output=True, text=True, check=False
    )
    assert "could not write" in done.stderr
    assert "1.state: File too large" in done.stderr
    assert not list(tmp_path.iterdir())


@needs_shared
def test_released_files_load():
    for name, scale, file in [
        ("IMDN", 2, "IMDN_x2.pth"),
        ("IMDN", 3, "IMDN_x3.pth"),
        ("IMDN", 4, "IMDN_x4.pth"),
        ("IMDN_AS", 1, "IMDN_AS.pth"),
        ("IMDN_RTC", 2, "model_RTC.pth"),
        ("IMDN_RTE", 2, "model_RTE.pth"),
        ("IMDNPlus", 4, "IMDN_plus_x4.pth"),
    ]:
        load_weights(ARCHS.build(name, {}, scale=scale), SHARED / "checkpoints" / file)


def test_weights_fit_a_network_that_differs_in_free_options_alone(tmp_path):
    plain = {"num_feat": 8, "num_block": 2}
    dropping = ARCHS.build("SRResNet", plain | {"dropout": {"prob": 0.5}}, scale=2)
    identity = ARCHS.build("SRResNet", plain, scale=2).identity
    refuse_other_network(dropping, tmp_path / "a.safetensors", identity)
    deeper = ARCHS.build("SRResNet", plain | {"num_block": 3}, scale=2)
    with pytest.raises(ValueError, match=r"a.safetensors was trained as another network \(network_g\): .*num_block"):
        refuse_other_network(deeper, tmp_path / "a.safetensors", identity)
