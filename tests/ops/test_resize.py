"""Bicubic resampling against the reference pack, the classic LR files, PyTorch's kernel and the definition."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from srzoo.images import read_image
from srzoo.ops.resize import imresize
from tests.support import SHARED, needs_shared, photograph


def chw(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


@needs_shared
def test_it_agrees_with_basicsr():
    with np.load(SHARED / "reference" / "imresize.npz") as arrays:
        x = chw(arrays["x"])
        factors = {
            "0.5000": 0.5,
            "0.3333": 1 / 3,
            "0.2500": 0.25,
            "2.0000": 2,
            "3.0000": 3,
            "4.0000": 4,
            "0.3700": 0.37,
        }
        for name, factor in factors.items():
            torch.testing.assert_close(imresize(x, factor), chw(arrays[f"s{name}"]), atol=1e-5, rtol=0)


@needs_shared
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("dataset", ["Set5", "Set14", "BSD100"])
def test_it_reproduces_the_classic_lr_files_bit_for_bit(dataset, scale):
    folder = SHARED / "data" / dataset
    files = sorted((folder / "GT").glob("*.png"))
    assert files
    for file in files:
        gt = chw(read_image(file).rgb)
        gt = gt[:, : gt.shape[1] // scale * scale, : gt.shape[2] // scale * scale]
        expected = chw(read_image(folder / f"LRbicx{scale}" / f"{file.stem}x{scale}.png").rgb)
        assert torch.equal(imresize(gt, 1 / scale), expected), file.name


@needs_shared
def test_one_step_rounding_differs_from_matlabs_two():
    # The pack's one-step files show that rounding after each pass is what makes the LR files come out.
    with np.load(SHARED / "reference" / "imresize.npz") as arrays:
        one_step = chw(arrays["butterfly_down2"][..., ::-1])  # OpenCV's channel order
    gt = chw(read_image(SHARED / "data" / "Set5" / "GT" / "butterfly.png").rgb)
    rounded = (imresize(gt.double() / 255, 0.5) * 255).round().clamp(0, 255)
    # The pack was computed in float32, so that a value half-way between two levels may fall on either side.
    assert (rounded != one_step).double().mean() < 1e-4
    assert (imresize(gt, 0.5) != one_step).double().mean() > 0.1


def per_row(image: torch.Tensor, size: tuple[int, int], border: str, antialias: bool = True) -> torch.Tensor:
    """Resize by the definition, one output pixel at a time: Keys' kernel, stretched when shrinking."""

    def kernel(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    def along_rows(rows: torch.Tensor, target: int) -> torch.Tensor:
        source = rows.shape[0]
        factor = target / source
        stretch = min(1.0, factor) if antialias else 1.0
        result = torch.zeros(target, rows.shape[1], dtype=rows.dtype)
        for k in range(target):
            centre = (k + 0.5) / factor - 0.5
            reach = int(2 / stretch) + 2
            taps = range(int(np.floor(centre)) - reach, int(np.floor(centre)) + reach + 1)
            weights = [kernel((centre - tap) * stretch) for tap in taps]
            for tap, weight in zip(taps, weights, strict=True):
                if border == "symmetric":
                    folded = tap % (2 * source)
                    folded = folded if folded < source else 2 * source - 1 - folded
                else:
                    folded = min(max(tap, 0), source - 1)
                result[k] += weight / sum(weights) * rows[folded]
        return result

    return along_rows(along_rows(image, size[0]).T.contiguous(), size[1]).T


@pytest.mark.parametrize("size", [(5, 6), (30, 25)])
def test_without_antialiasing_the_kernel_keeps_its_width(size):
    image = torch.from_numpy(np.random.default_rng(0).random((16, 17)))
    plain = imresize(image, size=size, antialias=False)
    torch.testing.assert_close(plain, per_row(image, size, "symmetric", antialias=False), atol=1e-12, rtol=0)
    assert torch.equal(plain, imresize(image, size=size)) == (size == (30, 25)), "it matters when shrinking only"


def test_uint8_passes_run_by_factor_and_rows_first_on_a_tie_and_round_half_up():
    image = chw(photograph(40, 44))

    def in_steps(*sizes: tuple[int, int]) -> torch.Tensor:
        result = image
        for size in sizes:
            result = (imresize(result.double(), size=size) + 0.5).floor().clamp(0, 255).byte()
        return result

    rows_first, columns_first = in_steps((20, 44), (20, 22)), in_steps((40, 22), (20, 22))
    assert not torch.equal(rows_first, columns_first)
    assert torch.equal(imresize(image, 0.5), rows_first)
    assert torch.equal(imresize(image, size=(30, 11)), in_steps((40, 11), (30, 11)))
    assert torch.equal(imresize(image, size=(10, 33)), in_steps((10, 44), (10, 33)))
    # The mean of 0 and 1 rounds up.
    step = torch.tensor([0, 1], dtype=torch.uint8).view(1, 2, 1)
    assert imresize(step, size=(1, 1)).item() == 1


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 17), width=st.integers(1, 17), out_height=st.integers(1, 23), out_width=st.integers(1, 23),
    border=st.sampled_from(["symmetric", "replicate"]),
)  # fmt: skip
def test_it_equals_the_definition(height, width, out_height, out_width, border):
    image = torch.from_numpy(np.random.default_rng(height * 31 + width).random((height, width)))
    fast = imresize(image, size=(out_height, out_width), border=border)
    torch.testing.assert_close(fast, per_row(image, (out_height, out_width), border), atol=1e-12, rtol=0)


@pytest.mark.parametrize("factor", [0.25, 0.5, 2, 3])
def test_it_is_pytorchs_antialiased_bicubic_inside(factor):
    image = torch.rand(2, 3, 64, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours = imresize(image, factor)
    theirs = F.interpolate(image, scale_factor=factor, mode="bicubic", antialias=True)
    border = int(np.ceil(max(4, 4 * factor)))
    torch.testing.assert_close(
        ours[..., border:-border, border:-border], theirs[..., border:-border, border:-border], atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("size", [(16, 16), (60, 20)])
def test_gradients(size):
    image = torch.rand(1, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(1, size[0] // 2, size[1] // 2, dtype=torch.float64)
    (imresize(image, 0.5) * weight).sum().backward()
    gradient = image.grad
    assert gradient is not None
    # Linear map: <A x, w> = <x, A^T w>.
    torch.testing.assert_close((image.detach() * gradient).sum(), (imresize(image.detach(), 0.5) * weight).sum())


def test_use_under_inference_mode_does_not_spoil_training():
    with torch.inference_mode():
        imresize(torch.rand(1, 7, 9), 2)
        imresize(torch.rand(1, 700, 5), 0.5)
    image = torch.rand(1, 7, 9, requires_grad=True)
    imresize(image, 2).sum().backward()
    tall = torch.rand(1, 700, 5, requires_grad=True)
    imresize(tall, 0.5).sum().backward()


def test_other_integers_are_refused():
    with pytest.raises(ValueError, match=r"expected uint8 or a floating-point type, got torch\.int16"):
        imresize(torch.zeros(1, 4, 4, dtype=torch.int16), 2)


def test_constant_images_stay_constant_and_identity_is_exact():
    constant = torch.full((3, 20, 30), 77, dtype=torch.uint8)
    assert (imresize(constant, 0.37) == 77).all()
    image = chw(photograph(20, 30))
    assert torch.equal(imresize(image, 1.0), image)


def test_half_precision_stays_half_precision():
    image = torch.rand(3, 16, 16).to(torch.bfloat16)
    assert imresize(image, 2).dtype == torch.bfloat16


@pytest.mark.parametrize("arguments", [{}, {"scale": 2, "size": (3, 3)}, {"scale": 0}, {"size": (0, 3)}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="imresize"):
        imresize(torch.rand(3, 8, 8), **arguments)
