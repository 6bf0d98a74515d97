"""Size of a report and the time that a browser takes to open it: medians of loads in headless chromium.

python scripts/benchmarks/report.py [--images 100] [--max-size 64] [--file report.html]

Without --file a page is made: windows of 481x321 pixels of photographs, enlarged x4 bicubically and by two stand-ins
for networks, beside GT. The clock starts with the navigation and stops when tables and thumbnails are drawn
("shown"), when the file is read to its end ("loaded"), and when an image has been decoded, with its crops ("opened").
The processor's time of all of the browser's processes is given too, because a busy machine adds waiting to the clock.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from srzoo.images import to_uint8
from srzoo.ops.resize import imresize
from srzoo.report.page import Report, ScoreTable, page
from srzoo.report.pictures import Pictured, fitted, pictured
from srzoo.report.viewer import PictureSet

LOADS = 5
SIDE, SCALE = (321, 481), 4
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


def main() -> None:
    """Make a page, open it several times, and print sizes and medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=100, help="on the page (default: 100)")
    parser.add_argument("--max-size", type=float, default=64, help="of the pictures (default: 64) [MB]")
    parser.add_argument("--file", type=Path, help="open this page instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file: Path = arguments.file or Path(folder, "report.html")
        if arguments.file is None:
            start = time.perf_counter()
            file.write_text(made(arguments.images, arguments.max_size), encoding="utf-8")
            sys.stdout.write(f"{arguments.images} images made in {time.perf_counter() - start:.1f} s\n")
        clock, processor = zip(*(opened(file) for _ in range(LOADS)), strict=True)
        sys.stdout.write(f"{file.stat().st_size / 1e6:.1f} MB; shown, loaded and first image opened after\n")
        for kind, times in (("clock", clock), ("processor", processor)):
            medians = [statistics.median(column) for column in zip(*times, strict=True)]
            sys.stdout.write(f"{kind:>10}: {', '.join(f'{seconds:.2f} s' for seconds in medians)}\n")


def made(count: int, max_size: float) -> str:
    """Return a page with pictures, and the scores of each image."""
    images = [_image(number) for number in range(count)]
    images = fitted(images, "GT", round(max_size * 1e6))
    rows = [[image.key, "30.1234", "31.2345"] for image in images]
    scores = ScoreTable("photographs", ["image", "first psnr", "second psnr"], rows, (), "srzoo test")
    sets = [PictureSet("photographs x4", list(images[0].pixels), images, {}, None, "", "srzoo report")]
    return page(Report("Benchmark", "srzoo report", [], [scores], [], sets, [], []))


def _image(number: int) -> Pictured:
    photograph = getattr(skimage.data, PHOTOGRAPHS[number % len(PHOTOGRAPHS)])()
    # Another window of one of the photographs, repeated where it ends.
    top, left = 7 * number % photograph.shape[0], 5 * number % photograph.shape[1]
    photograph = np.tile(photograph, (3, 3, 1))[top : top + SIDE[0], left : left + SIDE[1]]
    gt = torch.from_numpy(photograph.copy()).permute(2, 0, 1).double() / 255  # (3, H, W)
    bicubic = imresize(imresize(gt, 1 / SCALE), size=SIDE)
    columns = {"bicubic": bicubic, "first": 0.7 * bicubic + 0.3 * gt, "second": 0.4 * bicubic + 0.6 * gt, "GT": gt}
    return pictured(f"image {number:03}", {name: to_uint8(image) for name, image in columns.items()}, "GT")


def opened(file: Path) -> tuple[list[float], list[float]]:
    """Open a page in a new browser; return clock and processor time until it is shown, loaded, and an image is opened.

    Both in seconds.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # A sandbox needs rights that containers lack; the page is ours.
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 1000})
        times = [(time.perf_counter(), processor_time())]
        tab.goto(file.resolve().as_uri(), wait_until="commit")
        tab.wait_for_selector(".thumbs button:last-child img")
        tab.wait_for_function("() => document.querySelector('.thumbs img').complete")
        times.append((time.perf_counter(), processor_time()))
        tab.wait_for_load_state("load")
        times.append((time.perf_counter(), processor_time()))
        tab.locator(".thumbs button").last.click()
        tab.wait_for_selector("section.set[data-ready]")
        times.append((time.perf_counter(), processor_time()))
        browser.close()
    clock, processor = ([each - column[0] for each in column[1:]] for column in zip(*times, strict=True))
    return clock, processor


def processor_time() -> float:
    """Return the processor's time of all processes that come from this one, without this one itself [s]."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may have spaces. Behind it: state, parent, ..., ticks in user and system mode.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        number = int(stat.parent.name)
        parents[number], ticks[number] = int(fields[1]), int(fields[11]) + int(fields[12])
    family = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(ticks[child] for child in family - {os.getpid()}) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
