"""What only a GPU can show; skipped without one."""

import json

import pytest
import torch

from srzoo.batch import Batch
from srzoo.contract import contract_of
from srzoo.data.transfer import DeviceBatches
from srzoo.ops.resize import imresize
from srzoo.options import load_options
from srzoo.registry import ARCHS
from srzoo.training import build_degradation
from tests.support import ROOT, run_test, run_train, training_options, write_options

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")]


def test_resize_on_the_gpu_equals_the_cpu():
    image = torch.rand(2, 3, 61, 47)
    torch.testing.assert_close(imresize(image.cuda(), 0.5).cpu(), imresize(image, 0.5), atol=1e-5, rtol=0)
    levels = (image * 255).to(torch.uint8)
    assert torch.equal(imresize(levels.cuda(), 1 / 3).cpu(), imresize(levels, 1 / 3))


def test_levels_become_the_numbers_of_the_cpu_in_order():
    batches = [
        {
            "gt": torch.arange(256, dtype=torch.uint8).roll(shift).reshape(4, 8, 8, 1),
            "flips": torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]], dtype=torch.uint8),
            "key": [str(shift)] * 4,
        }
        for shift in range(20)
    ]
    here, there = (list(DeviceBatches(batches, torch.device(name))) for name in ("cpu", "cuda"))
    assert len(here) == len(there) == 20
    for expected, batch in zip(here, there, strict=True):
        assert batch["key"] == expected["key"]
        assert torch.equal(batch["gt"].cpu(), expected["gt"])


@pytest.mark.parametrize("name", list(ARCHS))
@torch.no_grad()
def test_networks_on_the_gpu_equal_the_cpu(name, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.manual_seed(0)
    net = ARCHS.build(name, {}, scale=(contract_of(ARCHS[name]).scales or (2,))[0]).eval()
    lq = torch.rand(2, 3, 24, 32)
    expected = net(lq)
    torch.testing.assert_close(net.cuda()(lq.cuda()).cpu(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["bicubic", "realesrgan", "realesrgan_classical", "bsrgan"])
def test_degradations_run_on_the_gpu_and_repeat_themselves(name, tmp_path):
    options = training_options(tmp_path, scale=4, base=str(ROOT / "options" / "degradations" / f"{name}.yml"))
    options["network_g"] = {"type": "SRResNet", "num_feat": 4, "num_block": 1}
    options["datasets"]["train"] |= {"gt_size": 64, "batch_size": 4}
    loaded = load_options(write_options(tmp_path / "x.yml", options)).options
    gt = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    made = []
    for device in ("cpu", "cuda", "cuda"):
        degradation = build_degradation(loaded, None)
        assert degradation is not None
        batch: Batch = {"lq": gt, "gt": gt.to(device), "key": [""] * 4}  # lq is replaced
        made.append(degradation(batch, 3, 0)["lq"])
        assert made[-1].device.type == device
    assert torch.equal(made[1], made[2])
    if name == "bicubic":  # without noise, whose fields are drawn on the device
        torch.testing.assert_close(made[1].cpu(), made[0], atol=1.01 / 255, rtol=0)


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


def tiny_drct(**options):
    torch.manual_seed(0)
    tiny = {"embed_dim": 60, "depths": [6, 6], "num_heads": [6, 6], "window_size": 8, "gc": 16, "img_size": 32}
    return ARCHS.build("DRCT", tiny | options, scale=2)


def test_gradients_of_drct_on_the_gpu_equal_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    net, lq = tiny_drct(drop_path_rate=0.0), torch.rand(2, 3, 16, 24)
    grads = []
    for device in ("cpu", "cuda"):
        moved = tiny_drct(drop_path_rate=0.0).to(device)
        moved.load_state_dict(net.state_dict())
        moved(lq.to(device)).square().mean().backward()
        grads.append([parameter.grad.cpu() for parameter in moved.parameters() if parameter.grad is not None])
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(theirs, ours, atol=1e-4 * float(ours.abs().max()) + 1e-7, rtol=0)


@torch.no_grad()
def test_drct_compiles_without_graph_breaks():
    net, lq = tiny_drct().eval().cuda(), torch.rand(1, 3, 16, 24, device="cuda")
    compiled = torch.compile(net, fullgraph=True)
    torch.testing.assert_close(compiled(lq), net(lq), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_bfloat16_autocast_on_the_gpu_is_close():
    net, lq = tiny_drct().eval().cuda(), torch.rand(1, 3, 32, 24, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        half = net(lq)
    assert (half.float() - net(lq)).abs().max() < 0.02
