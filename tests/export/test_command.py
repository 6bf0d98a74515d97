"""`srzoo export` as a command: files whole or absent, exit codes, contradictions."""

import pytest
import torch

from srzoo.cli import parse
from srzoo.command import execute
from srzoo.export import parity
from srzoo.registry import ARCHS
from srzoo.weights import save_weights


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    net = ARCHS.build("RT4KSR", {"num_feats": 4, "num_blocks": 1}, scale=2)
    save_weights(tmp_path / "net.safetensors", net, {})
    return tmp_path / "net.safetensors"


def export(weights, *words):
    arguments = parse(["export", "--weights", str(weights), *map(str, words)])
    return execute(arguments.run, arguments)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_program_is_written_with_its_comparison(weights, capsys):
    out = weights.with_name("net.pt2")
    assert export(weights, "--to", "exported", "-o", out, "--input", "30x21") == 0
    said = capsys.readouterr().out
    assert "compared with RT4KSR in PyTorch on photographs of scikit-image" in said
    assert said.count("30x21: largest difference") == 3
    assert torch.export.load(out).module()(torch.rand(1, 3, 21, 30)).shape == (1, 3, 42, 60)
    assert export(weights, "--to", "exported", "-o", out) == 2
    assert "exists: choose another name" in capsys.readouterr().err


def test_ncnn_writes_two_files_and_replaces_neither_by_accident(weights, capsys):
    pytest.importorskip("ncnn")
    pytest.importorskip("pnnx")
    out = weights.with_name("small.param")
    assert export(weights, "--to", "ncnn", "-o", out, "--fp16") == 0
    assert files(weights.parent) == ["net.safetensors", "small.bin", "small.param"]
    assert "multiples of 2" in capsys.readouterr().out
    out.unlink()
    assert export(weights, "--to", "ncnn", "-o", out) == 2
    assert "small.bin exists" in capsys.readouterr().err


def test_an_export_that_differs_leaves_no_file(weights, monkeypatch, capsys):
    monkeypatch.setattr(parity, "TOLERANCE", -1.0)
    assert export(weights, "--to", "exported", "-o", weights.with_name("net.pt2"), "--input", "30x20") == 2
    assert "not written" in capsys.readouterr().err
    assert files(weights.parent) == ["net.safetensors"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "onnx", "-o", "x.pt"], "expected an output name ending in .onnx"),
        (["--to", "onnx", "-o", "x.onnx", "--dynamic", "--input", "3x4"], "--input fixes the size"),
        (["--to", "tflite", "-o", "x.tflite", "--dynamic"], "a TFLite file takes images of one size"),
        (["--to", "onnx", "-o", "x.onnx", "--fp16", "--int8"], "give --fp16 or --int8"),
        (["--to", "onnx", "-o", "x.onnx", "--int8"], "--calibrate DIR"),
        (["--to", "onnx", "-o", "x.onnx", "--calibrate", "."], "--calibrate has no use without --int8"),
    ],
)
def test_contradictions_are_refused_before_the_network_is_loaded(tmp_path, words, message, capsys):
    assert export(tmp_path / "missing.pth", *words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("size", ["720", "0x4", "4x", "axb"])
def test_a_wrong_size_is_refused(size, capsys):
    with pytest.raises(SystemExit):
        parse(["export", "--weights", "x", "--to", "onnx", "-o", "x.onnx", "--input", size])
    assert "expected WIDTHxHEIGHT" in capsys.readouterr().err
