"""Exports of every format equal their networks; what a format cannot hold is refused by name."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from srzoo.export import formats, parity
from srzoo.export.artifact import Artifact
from srzoo.export.deployed import deployed
from srzoo.export.formats import Request, artifact_of, refuse_impossible
from srzoo.export.onnx import onnx_model
from srzoo.export.runtimes import onnxruntime_function, openvino_function
from srzoo.export.tflite import without_factors
from srzoo.registry import ARCHS
from tests.archs.test_plain_form import SMALLER
from tests.archs.test_plain_form import build as build_small

# Whole and odd sides, smaller than a window and than one pixel's neighbourhood.
SIZES = [(16, 16), (37, 45), (33, 61), (96, 128), (7, 5), (1, 1)]
REQUEST = Request("onnx", None, "fp32", (), {"weights": "x.pth", "weights_sha256": "0" * 64})


def build(name="RT4KSR", **options):
    torch.manual_seed(0)
    small = {"RT4KSR": {"num_feats": 4, "num_blocks": 1}, "IMDN": {"num_feat": 16, "num_modules": 1}}
    return deployed(ARCHS.build(name, small.get(name, {}) | options, scale=2))


def request(**changes):
    return dataclasses.replace(REQUEST, **changes)


def results(net, wanted):
    refuse_impossible(net, wanted)
    artifact = artifact_of(net, wanted)
    return artifact, parity.check(net, artifact, parity.check_photographs(None, 3)[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", list(ARCHS))
def test_every_network_is_right_in_onnx_at_sizes_never_traced(name):
    pytest.importorskip("onnxscript")
    net = deployed(build_small(name, SMALLER.get(name, {})))
    model = onnx_model(net)
    computes = [
        function(model)
        for package, function in (("onnxruntime", onnxruntime_function), ("openvino", openvino_function))
        if pytest.importorskip(package)
    ]
    for height, width in SIZES:
        lq = torch.rand(2, 3, height, width)
        with torch.no_grad():
            expected = net(lq)
        for compute in computes:
            torch.testing.assert_close(torch.from_numpy(compute(lq.numpy())), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ARCHS) - {"Bicubic", "DRCT"}))
def test_every_convolutional_network_is_right_in_ncnn(name):
    pytest.importorskip("ncnn")
    net = deployed(build_small(name, SMALLER.get(name, {})))
    # The tree of D2CNet has its size in the graph.
    wanted = request(format="ncnn", size=(24, 32) if name == "D2CNet" else None)
    _, compared = results(net, wanted)
    parity.refuse_difference(compared, "fp32")


def test_an_onnx_file_takes_odd_sizes_and_says_what_it_is():
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    net = build()
    artifact, compared = results(net, request())
    assert [result.size for result in compared] == [(48, 64), (61, 45), (37, 83)]
    assert max(result.largest for result in compared) < 1e-5
    model = onnx.load_from_string(artifact.files[".onnx"])
    facts = {item.key: item.value for item in model.metadata_props}
    expected = {"arch": "RT4KSR", "scale": "2", "value_range": "0 1", "channel_order": "RGB", "size_multiple": "1"}
    assert expected.items() <= facts.items()
    assert facts["weights_sha256"] == "0" * 64
    assert b".py" not in artifact.files[".onnx"]  # no places in the source files of this machine
    # The merged form: one convolution per block.
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 4


def test_float16_is_close_and_half_as_large_and_a_fixed_size_stays_fixed():
    pytest.importorskip("onnxruntime")
    net = build(num_feats=16)
    artifact, compared = results(net, request(precision="fp16", size=(20, 30)))
    parity.refuse_difference(compared, "fp16")
    assert artifact.compute(np.zeros((1, 3, 20, 30), np.float32)).dtype == np.float32
    with pytest.raises(Exception, match="dimensions"):
        artifact.compute(np.zeros((1, 3, 21, 30), np.float32))


def test_int8_quantises_convolutions_and_reports_the_drop():
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    net = build("SRVGGNetCompact", num_feat=8, num_conv=2)
    images = [image[None, :, :64, :64].numpy() for image in parity.check_photographs(None, 3)[0]]
    artifact, compared = results(net, request(precision="int8", calibration=images))
    parity.refuse_difference(compared, "int8")
    assert all(result.drop is not None and 1e-6 < abs(result.drop) < 5 for result in compared)
    nodes = onnx.load_from_string(artifact.files[".onnx"]).graph.node
    # The first and the last of four convolutions keep float32.
    assert sum(node.op_type == "Conv" for node in nodes) == 4
    assert sum(node.op_type == "DequantizeLinear" and "weight" in node.input[0] for node in nodes) == 2


def test_a_program_of_torch_export_is_loaded_and_holds_its_metadata(tmp_path):
    net = build("IMDN")
    artifact, compared = results(net, request(format="exported"))
    assert max(result.largest for result in compared) < 1e-6
    file = tmp_path / "net.pt2"
    file.write_bytes(artifact.files[".pt2"])
    extra = {"srzoo.json": ""}
    torch.export.load(file, extra_files=extra)
    assert json.loads(extra["srzoo.json"])["arch"] == "IMDN"


def test_ncnn_computes_attention_and_refuses_sizes_that_it_would_cut():
    pytest.importorskip("ncnn")
    pytest.importorskip("pnnx")
    _, compared = results(build("IMDN"), request(format="ncnn"))
    parity.refuse_difference(compared, "fp32")
    artifact, compared = results(build(), request(format="ncnn"))
    parity.refuse_difference(compared, "fp32")
    assert artifact.multiple == 2
    assert {result.size for result in compared} == {(48, 64), (60, 44), (36, 82)}
    with pytest.raises(ValueError, match="multiples of 2, got 31x20"):
        artifact.compute(np.zeros((1, 3, 20, 31), np.float32))
    last = artifact.files[".param"].decode().splitlines()[-1]
    assert json.loads(last.removeprefix("# "))["size_multiple"] == "2"


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("DRCT", {"format": "ncnn"}, "DRCT cannot be exported to ncnn: window attention"),
        ("DRCT", {"format": "tflite", "size": (64, 64)}, "DRCT cannot be exported to tflite: window attention"),
        ("Bicubic", {"format": "ncnn"}, "Bicubic cannot be exported to ncnn: it mirrors the border by index"),
        (
            "RT4KSR",
            {"format": "ncnn", "size": (20, 31)},
            "RT4KSR in ncnn takes sides that are multiples of 2, got 31x20",
        ),
        ("RT4KSR", {"format": "ncnn", "precision": "int8"}, "ncnn is written in fp32, fp16, not in int8"),
        ("RT4KSR", {"format": "tflite"}, "a TFLite file takes images of one size"),
    ],
)
def test_the_impossible_is_refused_by_name_before_any_work(name, changes, message):
    net = build(name, **(SMALLER["DRCT"] if name == "DRCT" else {}))
    with pytest.raises(ValueError, match=message):
        refuse_impossible(net, request(**changes))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["IMDN_RTC", "RT4KSR", "EDSR"])
def test_networks_are_right_in_tflite(name):
    pytest.importorskip("litert_torch")
    net = deployed(build_small(name, SMALLER.get(name, {})))
    artifact, found = results(net, request(format="tflite", size=(25, 31)))
    assert all(result.size == (25, 31) for result in found)
    parity.refuse_difference(found, "fp32")
    last = artifact.files[".tflite"].splitlines()[-1]
    assert json.loads(last.removeprefix(b"# "))["arch"] == name


def test_a_sum_with_a_factor_becomes_a_product_and_a_sum():
    net, lq = build("EDSR", num_feat=8, num_block=1, res_scale=0.1), torch.rand(1, 3, 9, 7)
    plain = without_factors(net, lq)
    assert not any("alpha" in node.kwargs for node in plain.graph.nodes)
    torch.testing.assert_close(plain(lq), net(lq), rtol=0, atol=1e-6)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r'litert_torch is not installed: pip install "srzoo\[tflite\]"'):
        refuse_impossible(build(), request(format="tflite", size=(20, 30)))
    with pytest.raises(
        ValueError, match=r'onnx, onnxscript, onnxruntime is not installed: pip install "srzoo\[export\]"'
    ):
        refuse_impossible(build(), request())


def artifact_with(compute, **changes):
    return Artifact({}, compute, changes.get("size"), 1, 1)


def test_an_export_that_differs_or_truncates_or_fails_is_refused():
    net, photographs = build("Bicubic"), parity.check_photographs(None, 3)[0]

    def compute(lq):
        return net(torch.from_numpy(lq)).numpy()

    parity.refuse_difference(parity.check(net, artifact_with(compute), photographs), "fp32")
    shifted = parity.check(net, artifact_with(lambda lq: compute(lq) + 0.002), photographs)
    with pytest.raises(ValueError, match=r"differs from the network by 2\.0e-03, more than 1e-03: not written"):
        parity.refuse_difference(shifted, "fp32")
    parity.refuse_difference(shifted, "fp16")
    undefined = parity.check(net, artifact_with(lambda lq: compute(lq) * np.nan), photographs)
    for precision in ("fp32", "fp16", "int8"):
        with pytest.raises(ValueError, match="not written"):
            parity.refuse_difference(undefined, precision)
    with pytest.raises(ValueError, match="the export fails on an image of 45x61: odd"):
        parity.check(net, artifact_with(lambda lq: compute(lq) if lq.shape[2] % 2 == 0 else fail("odd")), photographs)
    with pytest.raises(ValueError, match=r"of an image of 64x48 the export returns .* instead of"):
        parity.check(net, artifact_with(lambda lq: compute(lq)[..., :-1]), photographs)


def fail(message):
    raise RuntimeError(message)


def test_images_to_check_with_are_named_honestly(monkeypatch, tmp_path):
    assert parity.check_photographs(None, 3)[1] == "photographs of scikit-image"
    with pytest.raises(FileNotFoundError):
        parity.check_photographs(tmp_path / "none", 3)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    images, name = parity.check_photographs(None, 1)
    assert name.startswith("synthetic images")
    assert images[0].shape == (1, 512, 512)
    assert float(images[0].std()) > 0.1


def test_formats_have_packages_and_precisions():
    assert set(formats.PRECISIONS) == set(formats.PACKAGES)
