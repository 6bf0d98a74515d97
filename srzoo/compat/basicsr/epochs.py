"""The number of updates that BasicSR's loop really makes, which its epochs limit.

An epoch is counted as N / B updates, rounded up (N images, B samples per update), and the loop runs one epoch more than
`total_iter` needs by this count. The loader drops the incomplete batch, so that an epoch has N / B updates, rounded
down. For small N the epochs end first.
"""

import math
from pathlib import Path

from srzoo.compat.basicsr.datasets import list_keys
from srzoo.compat.basicsr.reader import OptionReader, whole


def note_early_stop(train: OptionReader, data: OptionReader, num_gpus: int) -> None:
    """Add a remark if BasicSR would have stopped before `total_iter`; nothing is popped.

    The number of images is known if the list of the dataset, or else its folder, exists.

    Args:
        train: the section `train`.
        data: the training dataset.
        num_gpus: ranks of the training.
    """
    total, batch = whole(train.peek("total_iter", "niter")), data.peek("batch_size_per_gpu")
    ratio = data.peek("dataset_enlarge_ratio", default=1)
    num_images = _num_images(data)
    if num_images is None or not isinstance(total, int) or not isinstance(batch, int) or batch < 1 or total < 1:
        return
    if not isinstance(ratio, int | float) or ratio <= 0:
        return
    made = updates(total, num_images, batch, num_gpus, ratio)
    if made == 0:
        train.note(
            "total_iter",
            f"BasicSR would have made no update: its loader drops incomplete batches, and {num_images} images are "
            f"fewer than {batch * num_gpus}",
        )
    elif made < total:
        train.note(
            "total_iter",
            f"BasicSR would have stopped after {made:,} of {total:,} updates with these {num_images} images, because "
            f"its epochs count the incomplete batch that its loader drops; srzoo makes {total:,} (to repeat BasicSR's "
            f"training, write {made})",
        )


def updates(total_iter: int, num_images: int, batch_per_gpu: int, num_gpus: int = 1, ratio: float = 1) -> int:
    """Return the number of updates that BasicSR makes, `total_iter` at most.

    Args:
        total_iter: updates asked for.
        num_images: length of the training dataset.
        batch_per_gpu: samples per update and rank.
        num_gpus: ranks.
        ratio: uses of each image per epoch (`dataset_enlarge_ratio`).
    """
    counted = math.ceil(num_images * ratio / (batch_per_gpu * num_gpus))
    made = math.ceil(num_images * ratio / num_gpus) // batch_per_gpu
    # Epochs are numbered from 0 to the number of epochs, the last one included.
    return min(total_iter, (math.ceil(total_iter / counted) + 1) * made) if counted else 0


def _num_images(data: OptionReader) -> int | None:
    """Return the number of images by the rules of BasicSR's datasets; None if neither list nor folder can be read."""
    gt, listed = data.peek("dataroot_gt"), data.peek(*list_keys(data.peek("type")))
    if isinstance(gt, str) and gt.endswith(".lmdb"):
        listed = str(Path(gt) / "meta_info.txt")
    try:
        if isinstance(listed, str):
            return len(Path(listed).expanduser().read_text().splitlines())
        if not isinstance(gt, str):
            return None
        # Files of sub-folders and hidden files do not count.
        files = [path for path in Path(gt).expanduser().iterdir() if path.is_file() and not path.name.startswith(".")]
        return len(files)
    except (OSError, UnicodeError):
        return None
