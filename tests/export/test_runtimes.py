"""Networks computed by ONNX Runtime and OpenVINO equal PyTorch's, whole and in tiles."""

import pytest
import torch

from srzoo.contract import contract_of, identity_of
from srzoo.export.runtimes import runtime_network
from srzoo.infer.upscale import Upscaler
from srzoo.registry import ARCHS
from tests.support import photograph

BACKENDS = ["openvino", "onnxruntime"]


def build(name, options):
    torch.manual_seed(0)
    return ARCHS.build(name, options, scale=2).eval()


def image(height, width):
    return torch.from_numpy(photograph(height, width)).permute(2, 0, 1)[None] / 255  # (1, 3, height, width)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_runtime_network_is_called_like_the_network(backend):
    pytest.importorskip(backend)
    net = build("RT4KSR", {"num_feats": 4, "num_blocks": 1})
    other = runtime_network(net, backend)
    assert identity_of(other) == identity_of(net)
    assert contract_of(other) == contract_of(net)
    assert (other.scale, other.num_in_ch) == (2, 3)
    for size in ((24, 28), (17, 33), (1, 1)):
        with torch.no_grad():
            torch.testing.assert_close(other(image(*size)), net(image(*size)), atol=1e-5, rtol=0)
    batch = torch.cat([image(20, 21), image(20, 21).flip(3)])
    torch.testing.assert_close(other(batch), net(batch).detach(), atol=1e-5, rtol=0)
    half = other(batch.half())
    assert half.dtype == torch.float16
    tiles = Upscaler(other, tile=10)
    torch.testing.assert_close(tiles(image(25, 31)), net(image(25, 31)).detach(), atol=1e-5, rtol=0)


def test_a_missing_runtime_or_device_is_named(monkeypatch):
    net = build("Bicubic", {})
    with pytest.raises(ValueError, match="expected the backend openvino or onnxruntime, got 'tensorrt'"):
        runtime_network(net, "tensorrt")  # pyright: ignore[reportArgumentType]
    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match="computes on cpu here, not 'abacus'"):
        runtime_network(net, "onnxruntime", "abacus")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"openvino is not installed: pip install \"srzoo\[export\]\""):
        runtime_network(net, "openvino")
