"""Every random choice is a function of (seed, step, sample)."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset

from srzoo.data.gt_images import GTImages, Source
from srzoo.data.loading import DrawnSamples, SampleKey, StepSampler, training_loader
from srzoo.data.paired import PairedImages
from srzoo.images import to_uint8, write_image
from srzoo.streams import Purpose, stream
from tests.support import photograph, write_photographs

SEED = 3


@pytest.fixture
def dataset(tmp_path):
    write_photographs(tmp_path / "gt", 5)
    return GTImages(scale=2, phase="train", gt=tmp_path / "gt", gt_size=32, use_hflip=True, use_rot=True)


def batches(dataset, *, workers=0, start=0, total=4, batch_size=4, **ranks):
    sampler = StepSampler(len(dataset), batch_size, seed=SEED, start=start, total=total, **ranks)
    return list(training_loader(dataset, sampler, num_workers=workers, pin_memory=False))


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a["key"] == b["key"]
        assert torch.equal(a["lq"], b["lq"])
        assert torch.equal(a["gt"], b["gt"])


def test_batches_do_not_depend_on_the_number_of_workers(dataset):
    plain = batches(dataset)
    assert_same(plain, batches(dataset, workers=1))
    assert_same(plain, batches(dataset, workers=4))


def test_batches_do_not_depend_on_the_number_of_ranks_or_micro_batches(dataset):
    plain = batches(dataset)
    for world_size, accumulate in ((2, 1), (1, 2), (2, 2), (4, 1)):
        parts = [
            batches(dataset, rank=rank, world_size=world_size, accumulate=accumulate) for rank in range(world_size)
        ]
        for step, whole in enumerate(plain):
            own = [part[step * accumulate + micro] for part in parts for micro in range(accumulate)]
            assert torch.equal(torch.cat([piece["lq"] for piece in own]), whole["lq"])


def test_starting_late_gives_the_same_later_batches(dataset):
    assert_same(batches(dataset)[2:], batches(dataset, start=2))


def test_loading_does_not_disturb_the_process_random_numbers(dataset):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    batches(dataset, workers=1, total=1)
    assert torch.equal(torch.rand(3), expected)


@settings(max_examples=40, deadline=None)
@given(num_images=st.integers(1, 13), batch_size=st.integers(1, 9), seed=st.integers(0, 2**40))
def test_every_image_is_seen_once_an_epoch(num_images, batch_size, seed):
    sampler = StepSampler(num_images, batch_size, seed=seed, start=0, total=3 * num_images)
    seen = [key.image for batch in sampler for key in batch]
    for epoch in range(len(seen) // num_images):
        assert sorted(seen[epoch * num_images : (epoch + 1) * num_images]) == list(range(num_images))
    assert len(sampler) == 3 * num_images


def test_epochs_are_in_different_orders():
    sampler = StepSampler(50, 50, seed=0, start=0, total=3)
    first, second, third = ([key.image for key in batch] for batch in sampler)
    assert first != second != third


def test_uneven_batches_are_refused():
    with pytest.raises(ValueError, match="batch_size 6 is not divisible by 4 ranks x 1 micro-batch; choose"):
        StepSampler(10, 6, seed=0, start=0, total=1, world_size=4)


def test_a_crop_is_the_crop_of_the_whole_reduced_image(tmp_path):
    """Reducing only the surroundings of a crop gives the whole image's LQ bit for bit, at the borders too."""
    write_image(tmp_path / "gt" / "a.png", photograph(61, 75))
    for scale in (2, 3, 4):
        size = 4 * scale
        dataset = GTImages(scale=scale, phase="train", gt=tmp_path / "gt", gt_size=size)
        whole = GTImages(scale=scale, phase="eval", gt=tmp_path / "gt")[0]
        rows, columns = whole["lq"].shape[1] - 4, whole["lq"].shape[2] - 4
        for y in range(rows + 1):
            for x in (0, 1, columns // 2, columns - 1, columns):
                item = dataset.draw(0, Fixed([y, x]))  # pyright: ignore[reportArgumentType]
                assert torch.equal(item["lq"], whole["lq"][:, y : y + 4, x : x + 4])
                gt = whole["gt"][:, y * scale : y * scale + size, x * scale : x * scale + size]
                assert torch.equal(item["gt"], gt)


class Fixed:
    """A generator that hands out given window positions and no flips."""

    def __init__(self, numbers):
        self.numbers = list(numbers)

    def integers(self, _, size=None):
        return np.zeros(size, dtype=np.int64) if size is not None else self.numbers.pop(0)


def test_pairs_stay_aligned_through_crops_and_flips(tmp_path):
    gt = photograph(64, 80)
    write_image(tmp_path / "gt" / "a.png", gt)
    write_image(tmp_path / "lq" / "a.png", np.ascontiguousarray(gt[::2, ::2]))
    dataset = PairedImages(
        scale=2, phase="train", gt=tmp_path / "gt", lq=tmp_path / "lq", gt_size=24, use_hflip=True, use_rot=True
    )
    seen = set()
    for number in range(60):
        item = dataset.draw(0, stream(SEED, Purpose.SAMPLE, number))
        lq, crop = to_uint8(item["lq"]), to_uint8(item["gt"])
        # LQ holds every second GT pixel: which of each 2x2 group tells the orientation.
        offsets = [(y, x) for y in (0, 1) for x in (0, 1) if np.array_equal(crop[y::2, x::2], lq)]
        assert offsets
        seen.add(offsets[0])
    assert len(seen) == 4


def test_orientations_are_as_asked_for(tmp_path):
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, 2)
    write_image(tmp_path / "gt" / "a.png", image)
    orientations = {
        (hflip, rot): {
            to_uint8(dataset.draw(0, stream(0, Purpose.SAMPLE, n))["gt"])[..., 0].tobytes() for n in range(80)
        }
        for hflip in (False, True)
        for rot in (False, True)
        for dataset in [GTImages(scale=1, phase="train", gt=tmp_path / "gt", gt_size=4, use_hflip=hflip, use_rot=rot)]
    }
    assert [len(found) for found in orientations.values()] == [1, 4, 2, 8]
    assert orientations[False, False] == {image[..., 0].tobytes()}


class Plain(Dataset):
    """A user's dataset, which draws from the global generators."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        value = torch.tensor([random.random(), np.random.rand(), torch.rand(()).item()])
        return {"lq": value, "gt": value, "key": str(index)}


def test_plain_datasets_are_reproducible_too():
    assert_same(batches(Plain()), batches(Plain(), workers=2))


def test_plain_datasets_draw_other_numbers_for_each_sample_from_each_generator():
    samples: Any = DrawnSamples(Plain(), SEED)
    values = torch.stack([samples[SampleKey(0, step, slot)]["lq"] for step in (0, 1) for slot in (0, 1)])
    for generator in values.T:
        assert len(set(generator.tolist())) == 4


def test_crops_differ_between_steps_slots_and_seeds(dataset):
    samples: dict[int, Any] = {seed: DrawnSamples(dataset, seed) for seed in (3, 4)}
    places = ((3, 0, 0), (3, 1, 0), (3, 0, 1), (4, 0, 0))
    draws = [samples[seed][SampleKey(0, step, slot)]["gt"] for seed, step, slot in places]
    assert all(not torch.equal(draws[0], other) for other in draws[1:])


def test_orders_differ_between_seeds():
    first, second = (
        [key.image for batch in StepSampler(50, 50, seed=seed, start=0, total=1) for key in batch] for seed in (0, 1)
    )
    assert first != second


def test_uneven_micro_batches_are_refused():
    with pytest.raises(ValueError, match="batch_size 6 is not divisible by 2 ranks x 2 micro-batches; choose"):
        StepSampler(10, 6, seed=0, start=0, total=1, world_size=2, accumulate=2)


def gradient_image(folder, side):
    """Write an image whose pixel values give their position: row * side + column."""
    image = np.arange(side * side, dtype=np.uint8).reshape(side, side, 1).repeat(3, 2)
    write_image(folder / "a.png", image)
    return image[..., 0]


def test_every_window_of_an_image_is_drawn(tmp_path):
    image = gradient_image(tmp_path / "gt", 5)
    dataset = GTImages(scale=1, phase="train", gt=tmp_path / "gt", gt_size=3)
    corners = {int(to_uint8(dataset.draw(0, stream(0, Purpose.SAMPLE, n))["gt"])[0, 0, 0]) for n in range(200)}
    assert corners == set(image[:3, :3].flatten().tolist())


def test_hflip_mirrors_left_and_right(tmp_path):
    image = gradient_image(tmp_path / "gt", 4)
    dataset = GTImages(scale=1, phase="train", gt=tmp_path / "gt", gt_size=4, use_hflip=True)
    seen = {to_uint8(dataset.draw(0, stream(0, Purpose.SAMPLE, n))["gt"])[..., 0].tobytes() for n in range(40)}
    assert seen == {image.tobytes(), image[:, ::-1].tobytes()}


def test_lq_is_left_to_the_degradation(tmp_path):
    write_photographs(tmp_path / "gt", 1)
    arguments = {"scale": 2, "phase": "train", "gt": tmp_path / "gt", "gt_size": 32}
    without, both = (
        GTImages(**arguments, gt_only=gt_only).draw(0, np.random.default_rng(0)) for gt_only in (True, False)
    )
    assert set(without) == {"gt", "key"}
    assert torch.equal(without["gt"], both["gt"])


def test_a_cached_image_is_read_once(tmp_path):
    (path,) = write_photographs(tmp_path / "gt", 1)
    cached, plain = (GTImages(scale=2, phase="eval", gt=tmp_path / "gt", cache=cache) for cache in (True, False))
    first = cached[0]["gt"]
    path.unlink()
    assert torch.equal(cached[0]["gt"], first)
    with pytest.raises(FileNotFoundError):
        plain[0]


def test_cached_images_are_the_same(tmp_path):
    write_photographs(tmp_path / "gt", 2)
    options = {"scale": 2, "phase": "train", "gt": tmp_path / "gt", "gt_size": 32}
    assert_same(batches(GTImages(**options)), batches(GTImages(**options, cache=True)))


def test_raw_arrays_give_the_same_crops_as_images(tmp_path):
    for path in write_photographs(tmp_path / "gt", 2):
        from srzoo.images import read_image

        (tmp_path / "raw").mkdir(exist_ok=True)
        np.save(tmp_path / "raw" / f"{path.stem}.npy", read_image(path).rgb)
    options = {"scale": 2, "phase": "train", "gt_size": 32}
    assert_same(batches(GTImages(**options, gt=tmp_path / "gt")), batches(GTImages(**options, gt=tmp_path / "raw")))


def test_16_bit_images_reduce_like_8_bit_ones(tmp_path):
    image = photograph(40, 48)
    write_image(tmp_path / "eight" / "a.png", image)
    write_image(tmp_path / "sixteen" / "a.png", image.astype(np.uint16) * 257)
    eight, sixteen = (GTImages(scale=2, phase="eval", gt=tmp_path / name)[0] for name in ("eight", "sixteen"))
    torch.testing.assert_close(sixteen["gt"], eight["gt"])
    assert (sixteen["lq"] - eight["lq"]).abs().max() < 1.01 / 255


def test_small_training_images_are_enlarged_to_hold_a_crop(tmp_path):
    ramp = np.broadcast_to(5 * np.arange(50, dtype=np.uint8)[None, :, None], (20, 50, 3))
    write_image(tmp_path / "gt" / "small.png", np.ascontiguousarray(ramp))
    arguments = {"scale": 2, "phase": "train", "gt": tmp_path / "gt", "gt_size": 32}
    assert any(fault for faults in GTImages(**arguments).check(full=False) for fault in faults)
    dataset = GTImages(**arguments, enlarge=True)
    assert not any(fault for faults in dataset.check(full=True) for fault in faults)
    item = dataset.draw(0, np.random.default_rng(0))
    assert item["gt"].shape == (3, 32, 32)
    assert item["lq"].shape == (3, 16, 16)
    # Enlarged by 32 / 20: the ramp of 5 levels per pixel is as much flatter.
    assert float(item["gt"].diff(dim=2)[..., 4:-4].mean()) * 255 == pytest.approx(5 * 20 / 32, rel=0.05)
    with pytest.raises(ValueError, match="enlarge belongs to training"):
        GTImages(scale=2, phase="eval", gt=tmp_path / "gt", enlarge=True)


def test_several_sources_are_limited_and_weighted(tmp_path):
    for name, count in (("a", 4), ("b", 3)):
        write_photographs(tmp_path / name, count, 40, 40)
    sources = {"a": Source(gt=tmp_path / "a", limit=2, weight=3), "b": Source(gt=tmp_path / "b")}
    dataset = GTImages(scale=2, phase="train", sources=sources, gt_size=32)
    keys = [dataset.draw(index, np.random.default_rng(0))["key"] for index in range(len(dataset))]
    assert keys == ["a/00"] * 3 + ["a/01"] * 3 + ["b/00", "b/01", "b/02"]
    assert not any(fault for faults in dataset.check(full=False) for fault in faults)
    for gt, several in ((None, None), (tmp_path / "a", sources), (None, {})):
        with pytest.raises(ValueError, match="needs either `gt`"):
            GTImages(scale=2, phase="train", gt_size=32, gt=gt, sources=several)


def test_a_fraction_of_a_weight_is_drawn_anew_in_each_epoch(tmp_path):
    for name, count in (("a", 4), ("b", 2)):
        write_photographs(tmp_path / name, count, 40, 40)
    sources = {"a": Source(gt=tmp_path / "a", weight=1.25), "b": Source(gt=tmp_path / "b", weight=0.5)}
    dataset = GTImages(scale=2, phase="train", sources=sources, gt_size=32, cache=True)
    epochs = 300
    sampler = StepSampler(len(dataset), 1, seed=0, start=0, total=epochs * len(dataset))
    samples: Any = DrawnSamples(dataset, 0)
    keys = [samples[key]["key"] for (key,) in sampler]
    # Every image of "a" in each epoch and one of them once more; one of "b". 40 is more than four standard deviations.
    counts = Counter(keys)
    assert sum(counts.values()) == epochs * (4 + 1 + 1)
    assert all(counts[f"a/0{index}"] >= epochs for index in range(4))
    assert all(abs(counts[f"a/0{index}"] - 1.25 * epochs) < 40 for index in range(4))
    assert all(abs(counts[f"b/0{index}"] - 0.5 * epochs) < 40 for index in range(2))
    assert keys == [samples[key]["key"] for (key,) in sampler]
    too_little = {"a": Source(gt=tmp_path / "a", weight=0.1), "b": sources["b"]}
    (fault,) = next(iter(GTImages(scale=2, phase="train", sources=too_little, gt_size=32).check(full=False)))
    assert fault.reason == "weight 0.1 of 4 images gives no sample per epoch: raise it"
