"""Batches of levels: a quarter of the bytes, the same numbers."""

from typing import Any

import numpy as np
import pytest
import torch

from srzoo.data import levels
from srzoo.data.gt_images import GTImages
from srzoo.data.levels import Crop, collate_crops, finished
from srzoo.data.loading import DrawnSamples, SampleKey, StepSampler, training_loader
from srzoo.images import to_tensor, write_image
from tests.support import photograph, write_photographs


def crops(*dtypes):
    generator = np.random.default_rng(0)
    return [
        Crop(
            {name: generator.integers(0, 256, (side, side, 3)).astype(kind) for name, side in (("lq", 6), ("gt", 12))},
            np.array([number & 1, number & 2, number & 4], bool),
            str(number),
        )
        for number, kind in enumerate(dtypes)
    ]


def by_hand(image, flips):
    horizontal, vertical, transpose = flips
    image = image[:, ::-1] if horizontal else image
    image = image[::-1] if vertical else image
    return to_tensor(image.transpose(1, 0, 2) if transpose else image)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("dtypes", [[np.uint8] * 8, [np.uint16] * 8, [np.uint8, np.uint16] * 4])
def test_conversion_and_all_orientations_equal_those_of_single_images(dtypes, together, monkeypatch):
    if together:  # as on a GPU
        monkeypatch.setattr(levels, "_converted", levels.converted_together)
    drawn = crops(*dtypes)
    batch: dict[str, Any] = collate_crops(drawn)
    assert batch["gt"].dtype == (torch.uint8 if set(dtypes) == {np.uint8} else torch.float32)
    batch = dict(finished(batch))
    assert set(batch) == {"lq", "gt", "key"}
    for number, crop in enumerate(drawn):
        for name, image in crop.images.items():
            assert torch.equal(batch[name][number], by_hand(image, crop.flips))
            assert batch[name].is_contiguous()


def test_every_level_is_rounded_alike():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    batch: dict[str, Any] = collate_crops([Crop({"gt": image}, np.zeros(3, bool), "")])
    converted: Any = finished(batch)
    assert torch.equal(converted["gt"][0], to_tensor(image))
    assert torch.equal(levels.converted_together(batch["gt"], [(False, False, False)])[0], to_tensor(image))


def test_loaders_pass_levels_and_give_the_samples_of_draw(tmp_path):
    write_photographs(tmp_path / "gt", 3)
    write_image(tmp_path / "gt" / "deep.png", photograph().astype(np.uint16) * 257)
    dataset = GTImages(scale=2, phase="train", gt=tmp_path / "gt", gt_size=32, use_hflip=True, use_rot=True)
    sampler = StepSampler(len(dataset), 2, seed=3, start=0, total=4)
    batches: Any = list(training_loader(dataset, sampler, num_workers=1, pin_memory=False, skip_faulty=True))
    samples: Any = DrawnSamples(dataset, 3)
    for keys, batch in zip(sampler, batches, strict=True):
        assert batch["skipped"] == ["", ""]
        for number, key in enumerate(keys):
            sample = samples[key]
            assert sample["key"] == batch["key"][number]
            assert torch.equal(sample["lq"], batch["lq"][number])
            assert torch.equal(sample["gt"], batch["gt"][number])
    raw = DrawnSamples(dataset, 3, levels=True)[SampleKey(0, 0, 0)]
    assert isinstance(raw, Crop)
    assert raw.images["gt"].base is None  # not the whole image


def test_a_subclass_with_samples_of_another_kind_is_asked_for_them(tmp_path):
    class Brighter(GTImages):
        def draw(self, index, generator):
            sample = super().draw(index, generator)
            sample["gt"] += 1
            return sample

    write_photographs(tmp_path / "gt", 2)
    dataset = Brighter(scale=2, phase="train", gt=tmp_path / "gt", gt_size=32)
    sampler = StepSampler(2, 2, seed=3, start=0, total=1)
    (batch,) = training_loader(dataset, sampler, num_workers=0, pin_memory=False)
    assert batch["gt"].min() >= 1
