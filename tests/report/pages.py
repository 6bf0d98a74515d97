"""Pages that the tests of reports look at."""

import numpy as np
import torch

from srzoo.images import encode_image, to_uint8
from srzoo.metrics.protocol import PROTOCOLS
from srzoo.ops.resize import imresize
from srzoo.report.curves import Panel
from srzoo.report.lam import Overlay
from srzoo.report.page import Report, ScoreTable
from srzoo.report.pictures import in_colours, pictured
from srzoo.report.provenance import RunRecord
from srzoo.report.viewer import PictureSet
from tests.support import photograph

# A name that would run code if it got into the page as it is.
HOSTILE = "</script><script>window.attacked=1</script>\"'<img src=x onerror=window.attacked=1>&amp;"
SCALE, SIZE = 2, (96, 120)


def columns(top=100):
    """Return bicubic, another version, and GT of a photograph: (H, W, 3) uint8 each."""
    gt = photograph(*SIZE, top=top)
    chw = torch.from_numpy(gt).permute(2, 0, 1).double() / 255  # (3, H, W)
    bicubic = imresize(imresize(chw, 1 / SCALE), SCALE)
    return {"bicubic": to_uint8(bicubic), "network": to_uint8(0.5 * (bicubic + chw)), "GT": gt}


def report(count=3):
    """Return the contents of a page with a bit of everything, and names that would attack it."""
    keys = [HOSTILE, *(f"image {number}" for number in range(1, count))]
    images = [pictured(key, columns(40 * number), "GT") for number, key in enumerate(keys)]
    captions = {key: {"network": f"psnr {30 + number}.00"} for number, key in enumerate(keys)}
    sources = ("bicubic", "network", "GT")
    protocol = PROTOCOLS["basicsr-y"].describe(SCALE)
    sets = [
        PictureSet("Set5 x2", sources, images, captions, protocol, "All images.", "srzoo report run"),
        PictureSet("Set14 x2", sources, images[1:2], {}, None, "All images.", "srzoo report run"),
    ]
    # Text order and number order differ; one is infinite, one is missing.
    scores = ["9.5", "10.25", "inf", "-"]
    rows = [[name, score] for name, score in zip([HOSTILE, "b", "c", "a"], scores, strict=True)]
    heat = encode_image(in_colours(np.linspace(0, 1, 48 * 60).reshape(48, 60)), ".png")
    lq = encode_image(photograph(48, 60), ".png")
    return Report(
        title=f"Report: {HOSTILE}",
        command="srzoo report run -o report.html",
        summaries=[ScoreTable(f"Mean {HOSTILE}", ["network", "psnr"], rows, [f"note {HOSTILE}"], "srzoo test")],
        per_image=[ScoreTable("Set5 x2", ["image", f"run {HOSTILE} psnr"], rows, [], "srzoo test")],
        panels=[Panel(f"psnr on {HOSTILE}", {HOSTILE: {1: 20.0, 2: 30.0}, "b": {1: 10.0, 2: 15.0}}, True, "srzoo")],
        sets=sets,
        overlays=[Overlay(HOSTILE, (48, 60), lq, heat, (10, 12, 8), 12.5, f"srzoo analyze lam {HOSTILE}")],
        records=[RunRecord(HOSTILE, [("commit", HOSTILE)], ["srzoo train"], {"Set5 psnr": protocol}, {"x": HOSTILE})],
    )
