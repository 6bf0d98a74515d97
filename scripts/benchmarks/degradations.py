"""Second-order degradation of a batch: srzoo against the same stages image by image with NumPy and OpenCV.

Both apply options/degradations/realesrgan.yml to 16 crops of 400x400 at x4. The plain form draws kernels, factors and
noise for each image and uses cv2.filter2D, cv2.resize, NumPy's generators and a JPEG codec. On a GPU, the time of a
training step of SRResNet and DRCT on such a batch is printed too.

    python scripts/benchmarks/degradations.py
"""

import functools
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch
from torch import Tensor

from srzoo.archs.drct import DRCT
from srzoo.archs.srresnet import SRResNet
from srzoo.batch import Batch
from srzoo.options import load_options
from srzoo.training import build_degradation

# An option file whose training data is degraded this way, at x4.
OPTIONS = Path(__file__).resolve().parents[2] / "options" / "train" / "bsds400" / "SRResNet_x4.yml"
BATCH, SIDE, SCALE, RUNS = 16, 400, 4, 15
KINDS = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso")
KIND_PROBS = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
MODES = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


def plain(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Degrade one image: (H, W, 3) float32 in [0, 1] -> (H / 4, W / 4, 3)."""
    height, width = image.shape[:2]
    lq = (height // SCALE, width // SCALE)
    image = cv2.filter2D(image, -1, kernel(rng, (0.2, 3.0)), borderType=cv2.BORDER_REFLECT_101)
    image = resized(image, (height, width), rng, (0.2, 0.7, 0.1), (0.15, 1.5))
    image = noisy(image, rng, (1, 30), (0.05, 3.0))
    image = compressed(image, rng)
    if rng.random() < 0.8:
        image = cv2.filter2D(image, -1, kernel(rng, (0.2, 1.5)), borderType=cv2.BORDER_REFLECT_101)
    image = resized(image, lq, rng, (0.3, 0.4, 0.3), (0.3, 1.2))
    image = noisy(image, rng, (1, 25), (0.05, 2.5))
    compress_first = rng.random() < 0.5
    if compress_first:
        image = compressed(image, rng)
    image = resized(image, lq, rng, (0, 0, 1), (1, 1))
    if rng.random() < 0.8:
        last = sinc(int(rng.integers(3, 11)) * 2 + 1, rng.uniform(math.pi / 3, math.pi))
        image = cv2.filter2D(image, -1, last, borderType=cv2.BORDER_REFLECT_101)
    if not compress_first:
        image = compressed(image, rng)
    return np.clip(np.rint(image * 255), 0, 255) / 255


def by_hand(images: np.ndarray, run: int) -> list[np.ndarray]:
    """Degrade images one by one, with different random numbers for each run and image."""
    return [plain(image, np.random.default_rng((run, number))) for number, image in enumerate(images)]


def kernel(rng: np.random.Generator, sigma_range: tuple[float, float]) -> np.ndarray:
    """Draw a blur kernel (k, k) float32, k from 7 to 21."""
    side = int(rng.integers(3, 11)) * 2 + 1
    if rng.random() < 0.1:
        return sinc(side, rng.uniform(math.pi / 3 if side < 13 else math.pi / 5, math.pi))
    kind = KINDS[rng.choice(6, p=KIND_PROBS)]
    first = rng.uniform(*sigma_range)
    second, theta = (
        (first, 0.0)
        if kind.endswith("iso") and "aniso" not in kind
        else (
            rng.uniform(*sigma_range),
            rng.uniform(-math.pi, math.pi),
        )
    )
    y, x = np.mgrid[-(side // 2) : side // 2 + 1, -(side // 2) : side // 2 + 1]
    along = (x * math.cos(theta) + y * math.sin(theta)) / first
    across = (y * math.cos(theta) - x * math.sin(theta)) / second
    distance = along**2 + across**2
    if kind.startswith("generalized"):
        beta = rng.uniform(0.5, 1) if rng.random() < 0.5 else rng.uniform(1, 4)
        values = np.exp(-(distance**beta) / 2)
    elif kind.startswith("plateau"):
        values = 1 / (1 + distance ** (1 if rng.random() < 0.5 else rng.uniform(1, 2)))
    else:
        values = np.exp(-distance / 2)
    return (values / values.sum()).astype(np.float32)


def sinc(side: int, cutoff: float) -> np.ndarray:
    """Sample a circular low-pass filter (side, side) float32; cutoff in radians per pixel."""
    y, x = np.mgrid[-(side // 2) : side // 2 + 1, -(side // 2) : side // 2 + 1]
    radius = np.hypot(x, y)
    radius[side // 2, side // 2] = 1e-6
    bessel = torch.special.bessel_j1(torch.from_numpy(cutoff * radius)).numpy()
    values = cutoff * bessel / (2 * math.pi * radius)
    return (values / values.sum()).astype(np.float32)


def resized(
    image: np.ndarray,
    relative_to: tuple[int, int],
    rng: np.random.Generator,
    directions: tuple[float, float, float],
    factors: tuple[float, float],
) -> np.ndarray:
    """Resize relative to a size (height, width) by a random factor; directions are up, down, keep."""
    direction = rng.choice(3, p=directions)
    factor = rng.uniform(1, factors[1]) if direction == 0 else rng.uniform(factors[0], 1) if direction == 1 else 1.0
    height, width = (int(side * factor) for side in relative_to)
    mode = MODES[rng.integers(3)]
    if mode == cv2.INTER_AREA and height > image.shape[0]:
        mode = cv2.INTER_NEAREST  # as PyTorch's "area" does; OpenCV's would be bilinear
    return np.clip(cv2.resize(image, (width, height), interpolation=mode), 0, 1)


def noisy(
    image: np.ndarray, rng: np.random.Generator, sigmas: tuple[float, float], scales: tuple[float, float]
) -> np.ndarray:
    """Add Gaussian (sigma in 8-bit levels) or Poisson noise, grey with probability 0.4."""
    grey = rng.random() < 0.4
    if rng.random() < 0.5:
        shape = (*image.shape[:2], 1 if grey else 3)
        noise = rng.normal(0, rng.uniform(*sigmas) / 255, shape).astype(np.float32)
    else:
        counted = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] if grey else image
        counted = np.clip(np.rint(counted * 255), 0, 255) / 255
        # The published rate: a power of two from the number of distinct levels.
        peak = 2 ** math.ceil(math.log2(len(np.unique(counted))))
        noise = ((rng.poisson(counted * peak) / peak - counted) * rng.uniform(*scales)).astype(np.float32)
    return np.clip(image + noise, 0, 1)


def compressed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Compress by JPEG at a random quality and decode again."""
    levels = np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(30, 95))])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1].astype(np.float32) / 255


def crops() -> np.ndarray:
    """Cut 16 windows from photographs: (16, 400, 400, 3) float32 in [0, 1]."""
    images = (skimage.data.astronaut(), skimage.data.coffee()[:, :512], skimage.data.chelsea()[:300, :451])
    images = [cv2.resize(image, (512, 512), interpolation=cv2.INTER_CUBIC) for image in images]
    windows = [images[n % 3][7 * n : 7 * n + SIDE, 5 * n : 5 * n + SIDE] for n in range(BATCH)]
    return np.stack(windows).astype(np.float32) / 255


def medians(forms: dict[str, Callable[[int], object]]) -> dict[str, float]:
    """Return the milliseconds of each form, runs interleaved."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    for run in range(RUNS + 2):
        for name, form in forms.items():
            started = time.perf_counter()
            form(run)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if run >= 2:  # after the warm-up
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}


def training_step(net: torch.nn.Module, lq: Tensor, gt: Tensor, run: int) -> None:
    """Run forward, L1 and backward; `run` is unused."""
    del run
    (net(lq) - gt).abs().mean().backward()


def main() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = crops()
    gt = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device)  # (B, 3, H, W)
    batch: Batch = {"lq": gt, "gt": gt, "key": [""] * BATCH}  # the degradation replaces lq
    degradation = build_degradation(load_options(OPTIONS).options, None)
    assert degradation is not None
    forms: dict[str, Callable[[int], object]] = {
        "NumPy and OpenCV": lambda run: [
            plain(image, np.random.default_rng((run, n))) for n, image in enumerate(images)
        ],
        "srzoo": lambda run: degradation(batch, run, 0),
    }
    # Both must degrade equally strongly: compare the mean distance from plain downsampling over 20 batches.
    reference = torch.nn.functional.interpolate(batch["gt"], size=SIDE // SCALE, mode="area").cpu()
    ours = [degradation(batch, run, 0)["lq"].cpu() for run in range(20)]
    theirs = [torch.from_numpy(np.stack(by_hand(images, run))).permute(0, 3, 1, 2) for run in range(20)]
    errors = [statistics.mean((lq - reference).abs().mean().item() for lq in lqs) for lqs in (ours, theirs)]
    sys.stdout.write(
        f"torch {torch.__version__}, {device.type}, {torch.get_num_threads()} threads; {BATCH} crops of {SIDE}x{SIDE}\n"
        f"mean difference from plain downsampling: {errors[0]:.4f} (srzoo), {errors[1]:.4f} (NumPy and OpenCV)\n"
    )
    found = medians(forms)
    for name, milliseconds in found.items():
        sys.stdout.write(f"{name:18}{milliseconds:8.1f} ms {1000 * BATCH / milliseconds:8.1f} images/s\n")
    sys.stdout.write(f"ratio {found['NumPy and OpenCV'] / found['srzoo']:.2f}\n")
    if device.type == "cuda":
        gt = batch["gt"][..., :256, :256]
        for name, net in (("SRResNet", SRResNet(scale=SCALE)), ("DRCT", DRCT(scale=SCALE))):
            net = net.to(device).train()
            lq = degradation({**batch, "gt": gt}, 0, 0)["lq"]
            step = medians({"step": functools.partial(training_step, net, lq, gt)})["step"]
            sys.stdout.write(f"training step of {name}, 16 LQ crops of 64x64: {step:.1f} ms\n")


if __name__ == "__main__":
    main()
