"""Tiles chosen by memory: measured, halved when memory runs out, errors of other kinds kept."""

import logging
import math

import pytest
import torch
from torch import nn

from srzoo.infer import fitting, memory, precision
from srzoo.infer.upscale import Upscaler
from tests.infer.networks import Known

GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


class Hungry(Known):
    """Network that raises for more than `most` pixels."""

    def __init__(self, most, error, **facts):
        super().__init__(**facts)
        self.most, self.error = most, error

    def forward(self, lq):
        if lq[:, 0].numel() > self.most:
            self.seen.append(tuple(lq.shape))
            if self.error is None:
                return torch.empty(2**60)  # more than any machine has
            raise self.error
        return super().forward(lq)


@pytest.fixture(autouse=True)
def _warnings_are_given_again():
    precision.warn_once.cache_clear()


@pytest.mark.parametrize("error", [GPU, None, MemoryError(), RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")])
def test_tiles_are_halved_until_they_fit(error, caplog):
    net, lq = Hungry(1000, error, radius=3), torch.rand(1, 3, 90, 70)
    upscaler = Upscaler(net)
    with caplog.at_level(logging.WARNING, "srzoo"):
        sr = upscaler(lq)
    assert torch.equal(sr, Known()(lq))
    assert upscaler.describe()["tile"] == "auto: 21, 42"
    assert [record.message for record in caplog.records] == [
        "memory ran out in tiles of 84 pixels: tiles of 42 are used from now on",
        "memory ran out in tiles of 42 pixels: tiles of 21 are used from now on",
    ]
    # The next image starts with tiles that fit.
    net.seen.clear()
    assert torch.equal(upscaler(lq), sr)
    assert max(height * width for *_, height, width in net.seen) <= 1000


@pytest.mark.parametrize("rule", ["exact", "drct"])
@pytest.mark.parametrize("ensemble", [False, True])
def test_batches_and_grids_are_kept_while_tiles_shrink(rule, ensemble):
    net, lq = Hungry(2 * 32 * 40, GPU, radius=3, multiple=4), torch.rand(2, 3, 93, 71)
    sr = Upscaler(net, overlap=4, tile_rule=rule, ensemble=ensemble)(lq)
    torch.testing.assert_close(sr, Known()(lq), atol=1e-6, rtol=0)


@pytest.mark.parametrize("tile", ["auto", 32, 0])
def test_other_errors_and_chosen_tiles_fail_the_image(tile):
    error = GPU if tile != "auto" else RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    net = Hungry(500, error, radius=3)
    upscaler = Upscaler(net, tile=tile)
    with pytest.raises(RuntimeError) as caught:
        upscaler(torch.rand(1, 3, 60, 60))
    assert caught.value is error
    assert len(net.seen) == 1
    # The next image does not suffer from it.
    small = torch.rand(1, 3, 20, 20)
    assert torch.equal(upscaler(small), Known()(small))


def test_an_image_that_never_fits_fails():
    net = Hungry(4, GPU, radius=3)
    with pytest.raises(torch.OutOfMemoryError):
        Upscaler(net)(torch.rand(1, 3, 60, 60))


class Stack(nn.Sequential):
    """Eight convolutions of 16 channels; the first and last operate on 3."""

    receptive_radius, identity = 8, Known.identity

    def __init__(self):
        inner = [nn.Conv2d(16, 16, 3, 1, 1) for _ in range(6)]
        super().__init__(nn.Conv2d(3, 16, 3, 1, 1), *inner, nn.Conv2d(16, 12, 3, 1, 1), nn.PixelShuffle(2))


@torch.inference_mode()
def test_the_peak_is_the_largest_sum_of_living_tensors():
    net, lq = Stack(), torch.rand(1, 3, 32, 32)
    # Input and output of one of the inner convolutions, 4 bytes a value.
    assert memory.peak_memory(lambda: net(lq), torch.device("cpu")) == 2 * 16 * 32 * 32 * 4
    assert memory.peak_memory(lambda: lq, torch.device("cpu")) == 0


def test_the_largest_tile_that_fits_is_chosen(monkeypatch):
    net, seen = Stack(), []
    net.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[2:])))
    lq = torch.rand(1, 3, 300, 260)
    upscaler = Upscaler(net, tile="auto")
    # Half of the free memory holds 100x100 pixels at 2 x 16 channels of 4 bytes each.
    monkeypatch.setattr(fitting, "free_memory", lambda _: 2 * 100 * 100 * 128)
    sr = upscaler(lq)
    assert seen.pop(0) == (96, 96)
    assert max(map(max, seen)) <= 100
    assert max(map(max, seen)) > 90
    assert upscaler.describe()["tile"] == "auto: 84"
    monkeypatch.undo()
    torch.testing.assert_close(sr, Upscaler(net, tile=0)(lq), atol=1e-5, rtol=0)
    seen.clear()
    # There is room for all of it, and the measurement is kept.
    upscaler(lq)
    assert seen == [(300, 260)]


def test_free_memory_is_read_from_the_system(tmp_path, monkeypatch):
    assert 2**20 < memory.free_memory(torch.device("cpu")) < 2**50
    monkeypatch.setattr(memory, "_available_ram", lambda: 5 * 2**30)
    monkeypatch.setattr(memory, "_left_in_container", lambda: None)
    assert memory.free_memory(torch.device("cpu")) == 5 * 2**30
    monkeypatch.setattr(memory, "_left_in_container", lambda: 2**30)
    assert memory.free_memory(torch.device("cpu")) == 2**30
    monkeypatch.undo()
    assert math.isfinite(memory.free_memory(torch.device("cpu")))
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory._left_in_container() is None
    for name, text in (("max", "1000\n"), ("current", "700\n"), ("stat", "anon 5\ninactive_file 200\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory._left_in_container() == 500
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._left_in_container() is None
