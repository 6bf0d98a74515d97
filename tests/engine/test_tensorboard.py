"""Validation images in TensorBoard."""

from pathlib import Path

import numpy as np
import torch

from srzoo.engine.tensorboard import side_by_side
from srzoo.images import decode_image, read_image, to_tensor
from srzoo.ops.resize import imresize
from tests.support import run_train, training_options, write_options


def panels(image, width):
    """Split a picture (H, W, C) into the images beside each other in it."""
    return [image[:, start : start + width] for start in range(0, image.shape[1], width + 4)]


def test_images_beside_each_other_are_lq_bicubic_sr_and_gt(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options = training_options(
        tmp_path,
        train={"total_iter": 1},
        logger={"use_tb_logger": True},
        val={"save_img": True, "num_tb_img": 1},
    )
    assert run_train(write_options(tmp_path / "x.yml", options)) == 0
    run = tmp_path / "experiments" / "run"
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    (tag,) = events.Tags()["images"]
    shown = decode_image(events.Images(tag)[-1].encoded_image_string, Path("event.png")).rgb.astype(int)
    assert shown.shape == (64, 4 * 72 + 3 * 4, 3)
    lq, bicubic, sr, gt = panels(shown, 72)
    truth = read_image(tmp_path / "val" / "held_out.png").rgb
    small = imresize(torch.from_numpy(truth).permute(2, 0, 1).contiguous(), 0.5)
    large = (imresize(small / 255, 2).clamp(0, 1) * 255).permute(1, 2, 0).numpy()  # (H, W, C)
    saved = read_image(run / "visualization" / "held_out" / "1" / "held_out.png").rgb
    expected = (small.permute(1, 2, 0).numpy().repeat(2, 0).repeat(2, 1), large, saved, truth)
    for part, wanted in zip((lq, bicubic, sr, gt), expected, strict=True):
        # TensorBoard cuts fractions off.
        assert np.abs(part - wanted.astype(float)).max() <= 1.01


def test_without_gt_three_images_are_shown():
    lq = to_tensor(np.full((4, 5, 1), 128, np.uint8))
    row = side_by_side(lq, torch.zeros(1, 8, 10), None)
    assert row.shape == (1, 8, 3 * 10 + 2 * 4)
    assert [float(part.mean()) for part in panels(row.permute(1, 2, 0), 10)][2] == 0
