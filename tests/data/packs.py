"""What the tests of packs share: the command, images of several kinds, comparison of samples."""

import numpy as np
import torch
from PIL import Image

from srzoo.cli import parse
from srzoo.command import execute
from srzoo.images import write_image
from srzoo.streams import Purpose, stream
from tests.support import photograph, write_photographs


def packed(*words):
    """Run `srzoo data pack`; the exit code."""
    arguments = parse(["data", "pack", "--workers", "1", *map(str, words)])
    return execute(arguments.run, arguments)


def write_folder(gt):
    """Write images of several kinds, one in a sub-folder: RGB, grey, 16 bits, alpha, JPEG, a turned one, an array."""
    write_photographs(gt, 2, 48, 64)
    write_image(gt / "sub" / "grey.png", photograph(48, 64)[:, :, :1])
    write_image(gt / "deep.png", photograph(48, 64).astype(np.uint16) * 257 + 3)
    write_image(gt / "alpha.png", np.dstack([photograph(48, 64), photograph(48, 64)[..., :1]]))
    write_image(gt / "00.jpg", photograph(48, 64))
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(photograph(64, 48)).save(gt / "turned.jpg", exif=exif)
    np.save(gt / "array.npy", photograph(50, 70))
    return gt


def draws(dataset, count=2):
    return [
        dataset.draw(index, stream(3, Purpose.SAMPLE, number, index))
        for index in range(len(dataset))
        for number in range(count)
    ]


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a["key"] == b["key"]
        for name in a.keys() - {"key"}:
            torch.testing.assert_close(a[name], b[name], rtol=0, atol=0)
