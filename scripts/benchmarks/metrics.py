"""PSNR and SSIM against BasicSR's, from 8-bit images to scores; medians of interleaved runs.

python scripts/benchmarks/metrics.py [--threads 1]

BasicSR's functions come from the installed package `basicsr`, through the bridge of srzoo/compat/basicsr.
"""

import argparse
import statistics
import sys
import time

import cv2
import numpy as np
import torch

from srzoo.compat.basicsr.networks import import_basicsr
from srzoo.images import to_tensor
from srzoo.metrics.protocol import shared_preparation
from srzoo.metrics.psnr import PSNR
from srzoo.metrics.ssim import SSIM

RUNS = 9
SIZES = {"1024x768": (768, 1024), "510x339": (339, 510), "2040x1356": (1356, 2040)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch and OpenCV (default 1)")
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    peer, psnr, ssim = import_basicsr("metrics.psnr_ssim"), PSNR(scale=4), SSIM(scale=4)
    sys.stdout.write(f"torch {torch.__version__}, {threads} thread(s); basicsr-y at x4\n")
    for name, (height, width) in SIZES.items():
        rng = np.random.default_rng(0)
        gt = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (0, 0), 2)
        sr = np.clip(gt.astype(int) + rng.integers(-9, 10, gt.shape), 0, 255).astype(np.uint8)
        bgr = sr[..., ::-1].copy(), gt[..., ::-1].copy()
        images = to_tensor(sr)[None], to_tensor(gt)[None]

        def ours(images: tuple[torch.Tensor, torch.Tensor] = images) -> tuple[float, float]:
            with torch.inference_mode(), shared_preparation():  # as srzoo.engine.evaluate calls them
                return psnr(*images).item(), ssim(*images).item()

        def theirs(bgr: tuple[np.ndarray, np.ndarray] = bgr) -> tuple[float, float]:
            return (
                peer.calculate_psnr(*bgr, crop_border=4, test_y_channel=True),
                peer.calculate_ssim(*bgr, crop_border=4, test_y_channel=True),
            )

        times: dict[str, list[float]] = {"srzoo": [], "BasicSR": []}
        scores = {}
        for _ in range(RUNS):
            for label, measure in (("srzoo", ours), ("BasicSR", theirs)):
                start = time.perf_counter()
                scores[label] = measure()
                times[label].append(1000 * (time.perf_counter() - start))
        fast, slow = (statistics.median(times[label]) for label in ("srzoo", "BasicSR"))
        difference = max(abs(a - b) for a, b in zip(*scores.values(), strict=True))
        sys.stdout.write(
            f"{name:>10}: srzoo {fast:6.1f} ms, BasicSR {slow:6.1f} ms, ratio {slow / fast:.2f}; largest difference of "
            f"a score {difference:.1e}\n"
        )


if __name__ == "__main__":
    main()
