"""What only a GPU can show; skipped without one."""

import json

import pytest
import torch

from srzoo.ops.resize import imresize
from srzoo.registry import ARCHS
from tests.support import run_test, run_train, training_options, write_options

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")]


def test_resize_on_the_gpu_equals_the_cpu():
    image = torch.rand(2, 3, 61, 47)
    torch.testing.assert_close(imresize(image.cuda(), 0.5).cpu(), imresize(image, 0.5), atol=1e-5, rtol=0)
    levels = (image * 255).to(torch.uint8)
    assert torch.equal(imresize(levels.cuda(), 1 / 3).cpu(), imresize(levels, 1 / 3))


@pytest.mark.parametrize("name", list(ARCHS))
@torch.no_grad()
def test_networks_on_the_gpu_equal_the_cpu(name, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.manual_seed(0)
    net = ARCHS.build(name, {}, scale=(getattr(ARCHS[name], "scales", None) or (2,))[0]).eval()
    lq = torch.rand(2, 3, 24, 32)
    expected = net(lq)
    torch.testing.assert_close(net.cuda()(lq.cuda()).cpu(), expected, atol=1e-4, rtol=1e-4)


def test_a_run_trains_resumes_and_scores_on_the_gpu(tmp_path):
    changes = {"datasets": {"train": {"num_workers": 2}}, "train": {"channels_last": True}}
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))
    assert run_train(file, "train.total_iter=2") == 0
    assert run_train(file, resume="auto") == 0
    trained = tmp_path / "experiments" / "run" / "models" / "net_g_4.safetensors"
    test = {"held_out": {"type": "GTImages", "gt": str(tmp_path / "val")}}
    bench = training_options(
        tmp_path,
        name="bench",
        train=None,
        path={"pretrain_network_g": str(trained)},
        datasets={"train": None, "val": None, "test": test},
    )
    assert run_test(write_options(tmp_path / "bench.yml", bench)) == 0
    during, after = (
        json.loads((tmp_path / "experiments" / name / "results" / "held_out.json").read_text())
        for name in ("run", "bench")
    )
    assert after["mean"]["psnr"] == pytest.approx(during["mean"]["psnr"], abs=1e-3)
