"""First and last step of scripts/demo.sh: write the photographs, and report the scores with a picture."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from picture import labelled_row

from srzoo.images import read_image, write_image

TRAIN = ("astronaut.png", "motorcycle_left.png", "motorcycle_right.png", "rocket.jpg", "camera.png")
HELD_OUT = ("chelsea.png", "coffee.png")
PHOTOGRAPHS = Path("datasets/demo")
# Colour charts, for the networks that come with the package (options/train/packaged).
CHARTS = 2
RUNS = {"bicubic": Path("experiments/demo_bicubic"), "trained": Path("experiments/demo_trained")}
# Top left corner of the window that the picture shows of each held-out photograph [pixels].
WINDOWS = {"chelsea": (60, 110), "coffee": (180, 330)}
SIDE, ENLARGED = 160, 2


def photographs() -> None:
    """Write the photographs that come with scikit-image to datasets/demo/{train,held_out}, and charts beside them."""
    import skimage.data

    source = Path(skimage.data.__file__).parent
    for split, names in (("train", TRAIN), ("held_out", HELD_OUT)):
        for name in names:
            write_image(PHOTOGRAPHS / split / f"{Path(name).stem}.png", read_image(source / name).rgb)
    for seed in range(CHARTS):
        write_image(PHOTOGRAPHS / "charts" / f"chart_{seed}.png", chart(seed))
    sys.stdout.write(f"{len(TRAIN)} photographs to train on, {len(HELD_OUT)} held out: {PHOTOGRAPHS.resolve()}\n")


def chart(seed: int, side: int = 512) -> np.ndarray:
    """Draw squares of random colours, half of them with channels of 0 and 255 alone: (side, side, 3) uint8.

    Photographs have few saturated colours, which a network trained on them alone would not keep.
    """
    generator = np.random.default_rng(seed)
    image = np.zeros((side, side, 3), np.uint8)
    for size in (64, 32, 16):
        for _ in range(side * side // size**2):
            top, left = generator.integers(0, side - size, 2)
            pure = generator.integers(2)
            colour = 255 * generator.integers(0, 2, 3) if pure else generator.integers(0, 256, 3)
            image[top : top + size, left : left + size] = colour
    return image


def report() -> None:
    """Print the scores of both networks and the paths of all output, and write a picture that compares the networks."""
    scores = {name: json.loads((run / "results/held_out.json").read_text()) for name, run in RUNS.items()}
    protocol = scores["trained"]["protocols"]["psnr"]["name"]
    lines = [f"{'':10}{'PSNR':>9} {'SSIM':>9}   ({protocol}, {len(HELD_OUT)} held-out photographs)"]
    for name, content in scores.items():
        lines.append(f"{name:10}{content['mean']['psnr']:>9.4f} {content['mean']['ssim']:>9.5f}")
    gain = scores["trained"]["mean"]["psnr"] - scores["bicubic"]["mean"]["psnr"]
    lines.append(f"{'gain':10}{gain:>+9.4f} dB")
    picture = Path("experiments/demo/side_by_side.png")
    write_image(picture, side_by_side())
    paths = {
        "images": RUNS["trained"] / "visualization/held_out",
        "log": Path("experiments/demo/train.log"),
        "checkpoint": Path(scores["trained"]["weights"]["path"]),
        "results": RUNS["trained"] / "results/held_out.json",
        "side by side": picture,
        "report": Path("experiments/demo/report.html"),
    }
    lines += ["", *(f"{label + ':':14}{path.resolve()}" for label, path in paths.items())]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")


def side_by_side() -> np.ndarray:
    """Draw bicubic, sr and gt of each window with the image's PSNR, one photograph a row: (H, W, 3) uint8."""
    scores = {name: json.loads((run / "results/held_out.json").read_text())["images"] for name, run in RUNS.items()}
    rows = []
    for name, (top, left) in WINDOWS.items():
        paths = [run / f"visualization/held_out/{name}.png" for run in RUNS.values()]
        paths.append(PHOTOGRAPHS / f"held_out/{name}.png")
        crops = [read_image(path).rgb[top : top + SIDE, left : left + SIDE] for path in paths]
        psnr = {run: next(image["psnr"] for image in images if image["key"] == name) for run, images in scores.items()}
        labels = [f"{run}  {value:.2f} dB" for run, value in psnr.items()]
        rows.append(labelled_row(crops, [*labels, "ground truth"], ENLARGED))
    return np.vstack(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("photographs", "report"))
    {"photographs": photographs, "report": report}[parser.parse_args().step]()
