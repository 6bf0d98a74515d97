"""Files shared by devices: errors, order, stopping."""

import errno
import os
import threading
import time

import numpy as np
import pytest
import torch

import srzoo.infer.files as files_module
from srzoo.images import read_image, to_tensor, write_image
from srzoo.infer.files import BandPipe, StoppedError, upscale_all, upscale_files
from srzoo.infer.gather import gather
from srzoo.infer.jobs import plan
from srzoo.infer.tile import TileSide
from srzoo.infer.upscale import Upscaler
from srzoo.progress import Meter
from srzoo.registry import ARCHS
from tests.support import photograph


@pytest.fixture
def jobs(tmp_path):
    for number in range(6):
        write_image(tmp_path / "in" / f"{number}.png", photograph(20, 24, top=20 * number))
    inputs = gather([str(tmp_path / "in")]).files
    targets = [tmp_path / "out" / file.path.name for file in inputs]
    return plan(inputs, targets, kind="png", magnification=2, max_pixels=10_000).jobs


def upscalers(count=1, tile: TileSide = "auto"):
    torch.manual_seed(0)
    net = ARCHS.build("SRVGGNetCompact", {"num_feat": 8, "num_conv": 1}, scale=2).eval()
    return [Upscaler(net, tile=tile) for _ in range(count)]


def meter(total=6):
    return Meter("test", total, threading.Lock())


def expected(job, net):
    with torch.no_grad():
        sr = net(to_tensor(read_image(job.source).rgb)[None])[0]
    return (sr.clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("streamed_pixels", [0, 10_000])
def test_every_file_is_written_once_by_any_number_of_devices(jobs, devices, streamed_pixels):
    each = upscalers(devices, tile=8)
    done = list(upscale_files(jobs, each, streamed_pixels=streamed_pixels))
    assert sorted(finished.job.source for finished in done) == [job.source for job in jobs]
    assert all(finished.error is None for finished in done)
    for job in jobs:
        np.testing.assert_allclose(read_image(job.target).rgb, expected(job, each[0].net), atol=1)


def test_both_devices_work(jobs):
    each, seen = upscalers(2), []
    barrier = threading.Barrier(2, timeout=20)

    def hook(*_):
        seen.append(threading.get_ident())
        if len(seen) <= 2:
            barrier.wait()  # passes when the other thread is in its network too

    handle = each[0].net.register_forward_pre_hook(hook)
    list(upscale_files(jobs, each))
    handle.remove()
    assert len(set(seen)) == 2


@pytest.mark.parametrize("streamed_pixels", [0, 10_000])
def test_an_error_in_a_tile_fails_its_image_alone(jobs, streamed_pixels):
    each, calls = upscalers(tile=8), []

    def hook(*_):
        calls.append(1)
        if len(calls) == 8:
            raise RuntimeError("tile 8 is broken")

    each[0].net.register_forward_pre_hook(hook)
    results = list(upscale_files(jobs, each, streamed_pixels=streamed_pixels))
    failed = [done for done in results if done.error is not None]
    assert [str(done.error) for done in failed] == ["tile 8 is broken"]
    assert sorted(path.name for path in jobs[0].target.parent.iterdir()) == sorted(
        job.target.name for job in jobs if job is not failed[0].job
    )


def test_faults_are_listed_and_unexpected_ones_logged(jobs, caplog, monkeypatch):
    monkeypatch.setattr(files_module.logger, "propagate", True)
    jobs[1].source.write_bytes(jobs[1].source.read_bytes()[:100])
    each = upscalers()
    inner = each[0].forward
    each[0].forward = lambda lq: inner(lq) if lq.mean() != to_tensor(read_image(jobs[3].source).rgb).mean() else {}["x"]
    written, faults = upscale_all(jobs, each, meter())
    assert len(written) == 4
    assert {fault.file: fault.reason.split(" ")[0] for fault in faults} == {
        jobs[1].source: "truncated",
        jobs[3].source: "KeyError:",
    }
    assert "KeyError" in caplog.text
    assert "truncated" not in caplog.text


def test_a_full_disk_ends_the_run(jobs, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    before = set(threading.enumerate())  # other tests may have left threads
    with pytest.raises(OSError, match=r"No space left on device.*0 of 6 are written"):
        upscale_all(jobs, upscalers(2), meter())
    assert not list(jobs[0].target.parent.iterdir())
    assert not [thread for thread in set(threading.enumerate()) - before if "ThreadPool" in thread.name]


def test_a_stopped_run_leaves_whole_files_only(jobs):
    each, inside = upscalers(2, tile=8), threading.Event()

    def slow(*_):
        inside.set()
        time.sleep(0.02)

    each[0].net.register_forward_pre_hook(slow)
    running = upscale_files(jobs, each, streamed_pixels=0)
    first = next(running)
    running.close()
    left = list(first.job.target.parent.iterdir())
    assert first.job.target in left
    assert len(left) < len(jobs)
    for path in left:  # no temporary file either
        assert read_image(path).rgb.shape == (40, 48, 3)


def test_a_pipe_hands_on_bands_errors_and_the_end():
    pipe = BandPipe(threading.Event())
    band = np.zeros((1, 1, 3), np.uint8)
    pipe.put(band)
    pipe.put(None)
    assert [id(each) for each in pipe] == [id(band)]
    pipe.put(ValueError("tile"))
    with pytest.raises(StoppedError) as stopped:
        list(pipe)
    assert isinstance(stopped.value.__cause__, ValueError)
    pipe.close()
    with pytest.raises(StoppedError):
        pipe.put(band)


def test_images_are_read_ahead_but_not_all(jobs, monkeypatch):
    opened = []
    inner = files_module.open_picture

    def open_picture(path, *arguments, **options):
        opened.append(path)
        return inner(path, *arguments, **options)

    monkeypatch.setattr(files_module, "open_picture", open_picture)
    each = upscalers()
    counts = []

    def hook(*_):
        deadline = time.monotonic() + 10
        while len(opened) < min(len(counts) + 2, 6) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)  # for more, if there were any
        counts.append(len(opened))

    each[0].net.register_forward_pre_hook(hook)
    list(upscale_files(jobs, each))
    assert counts == [2, 3, 4, 5, 6, 6]  # one ahead of the one that is computed
