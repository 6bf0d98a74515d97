"""Blur kernels, filters, sharpening and JPEG against published values, closed forms and a real codec."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from srzoo.ops.blur_kernels import Shape, gaussian_kernels, sinc_kernels
from srzoo.ops.filter import gaussian_blur, gaussian_kernel
from srzoo.ops.filter2d import FilterMethod, choose_methods, filter2d
from srzoo.ops.jpeg import Table, jpeg
from srzoo.ops.pad import mirror_pad
from srzoo.ops.sharpen import usm_sharpen
from tests.support import SHARED, needs_shared, photograph


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def reference(name):
    with np.load(SHARED / "reference" / f"{name}.npz") as file:
        return dict(file)


def rand(seed, shape):
    return torch.from_numpy(np.random.default_rng(seed).random(shape, dtype=np.float32))


def image_of(array):
    return torch.from_numpy(np.array(array)).permute(2, 0, 1)[None].float() / 255


ISO, ANISO = ((1.7, 1.7), 0.0), ((2.5, 0.9), 0.7)
KERNELS: dict[str, tuple[tuple[tuple[float, float], float], float, Shape]] = {
    "iso": (ISO, 1.0, "gaussian"),
    "aniso": (ANISO, 1.0, "gaussian"),
    "gen_iso": (ISO, 1.5, "generalized"),
    "gen_aniso": (ANISO, 0.8, "generalized"),
    "plateau_iso": (ISO, 1.5, "plateau"),
    "plateau_aniso": (ANISO, 1.2, "plateau"),
}


@needs_shared
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_match_published_values_and_do_not_depend_on_the_batch(name):
    ((sigma, theta), beta, shape) = KERNELS[name]
    sigmas, thetas, betas = tensor((1.0, 3.0), sigma), tensor(0.2, theta), tensor(0.7, beta)
    kernels = gaussian_kernels(21, sigmas, thetas, betas, shape)
    np.testing.assert_allclose(kernels[1].numpy(), reference("kernels")[name], atol=1e-12, rtol=0)
    torch.testing.assert_close(gaussian_kernels(21, sigmas[:1], thetas[:1], betas[:1], shape)[0], kernels[0])


@needs_shared
def test_sinc_kernels_match_published_values():
    expected = reference("kernels")
    np.testing.assert_allclose(sinc_kernels(21, tensor(2.0))[0].numpy(), expected["sinc_c2.0"], atol=1e-7, rtol=0)
    padded = sinc_kernels(21, tensor(1.2), support=torch.tensor([7]))[0].numpy()
    np.testing.assert_allclose(padded, expected["sinc_c1.2_k7_pad21"], atol=1e-7, rtol=0)


@given(st.floats(0.2, 5), st.floats(0.2, 5), st.floats(-3, 3), st.floats(0.5, 4))
def test_kernels_sum_to_one_and_rotate_by_their_angle(first, second, theta, beta):
    for shape in ("gaussian", "generalized", "plateau"):
        kernel = gaussian_kernels(9, tensor((first, second)), tensor(theta), tensor(beta), shape)[0]
        torch.testing.assert_close(kernel.sum(), tensor(1.0)[0])
        torch.testing.assert_close(kernel, kernel.flip(0, 1))
        swapped = gaussian_kernels(9, tensor((second, first)), tensor(theta + np.pi / 2), tensor(beta), shape)[0]
        torch.testing.assert_close(kernel, swapped)


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="the side of a kernel must be odd, got 4"):
        sinc_kernels(4, tensor(1.0))
    with pytest.raises(ValueError, match="filter2d needs kernels with an odd side, got 10"):
        filter2d(torch.rand(1, 3, 5, 9), torch.ones(1, 10, 10))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_mirror_padding_equals_numpys_reflection_for_any_size(height, width, radius, bottom, right):
    image = rand(height, (1, 2, height, width))
    around = ((0, 0), (0, 0), (radius, radius + bottom), (radius, radius + right))
    expected = np.pad(image.numpy(), around, mode="reflect")
    np.testing.assert_array_equal(mirror_pad(image, radius, (bottom, right)).numpy(), expected)


def test_each_kernel_has_its_own_support():
    sigma, theta, beta = tensor((1.0, 2.0), (1.5, 1.5)), tensor(0.3, 0.0), tensor(1.2, 1.2)
    support = torch.tensor([7, 11])
    for shape in ("gaussian", "generalized", "plateau"):
        together = gaussian_kernels(15, sigma, theta, beta, shape, support)
        for number, side in enumerate((7, 11)):
            one = slice(number, number + 1)
            alone = gaussian_kernels(side, sigma[one], theta[one], beta[one], shape)
            torch.testing.assert_close(together[number : number + 1], F.pad(alone, ((15 - side) // 2,) * 4))


@needs_shared
def test_filtering_and_sharpening_match_published_images():
    expected, kernels = reference("degrade"), reference("kernels")
    image = rand(12, (2, 3, 64, 72))
    own = torch.from_numpy(np.stack([kernels["aniso"], kernels["sinc_c2.0"]]))
    np.testing.assert_allclose(filter2d(image, own).numpy(), expected["filter2d"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(usm_sharpen(image).numpy(), expected["usm"], atol=1e-5, rtol=0)


def correlated(image, kernels):
    """Correlate each image with its kernel by a convolution in float64."""
    padded, side = mirror_pad(image.double(), kernels.shape[-1] // 2), kernels.shape[-1]
    weights = kernels.double().view(-1, 1, 1, side, side)  # (B, 1, 1, k, k)
    pairs = zip(padded, weights, strict=True)
    return torch.stack([F.conv2d(one[:, None], weight).squeeze(1) for one, weight in pairs]).to(image)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 6), st.integers(1, 4))
def test_each_filter_method_equals_correlation(height, width, radius, channels):
    image, lines = rand(height, (2, channels, height, width)), rand(width, (2, 2, 2 * radius + 1)) - 0.4
    products = lines[0, :, :, None] * lines[1, :, None]  # (2, k, 1) * (2, 1, k) -> (2, k, k)
    kernels = rand(radius, products.shape) - 0.4
    for method, kernel in (
        (FilterMethod("separable", radius), products),
        (FilterMethod("direct", radius), kernels),
        (FilterMethod("fft", radius), kernels),
    ):
        filtered = filter2d(image, kernel, method)
        torch.testing.assert_close(filtered, correlated(image, kernel), atol=2e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(237, 473), (500, 236)])
@pytest.mark.slow
def test_each_filter_method_equals_correlation_on_large_images(height, width):
    image, sigma = rand(5, (1, 3, height, width)), tensor((2.5, 2.5), (2.5, 0.9))
    isotropic, anisotropic = gaussian_kernels(21, sigma, tensor(0.0, 0.7), tensor(1.0, 1.0)).split(1)
    for method, kernel in (
        (FilterMethod("separable", 10), isotropic),
        (FilterMethod("direct", 10), anisotropic),
        (FilterMethod("fft", 10), anisotropic),
    ):
        filtered = filter2d(image, kernel, method)
        torch.testing.assert_close(filtered, correlated(image, kernel), atol=1e-6, rtol=0)


def test_the_filter_method_follows_from_the_kernel():
    sigma = tensor((2.5, 2.5), (0.5, 0.5), (2.5, 0.9), (0.6, 0.3))
    kernels = gaussian_kernels(21, sigma, tensor(0.0, 0.0, 0.7, 0.7), torch.ones(4))
    line = gaussian_kernel(21, 1.0) - 0.1
    kernels = torch.cat([kernels, torch.outer(line, line.flip(0) ** 3)[None], torch.zeros(1, 21, 21)])
    methods = choose_methods(kernels, torch.device("cpu"))
    assert set(choose_methods(kernels, torch.device("cuda"))) == {FilterMethod("fft", 10)}
    algorithms = ["separable", "separable", "fft", "direct", "separable", "direct"]
    assert [method.algorithm for method in methods] == algorithms
    assert [method.radius for method in methods[:3]] == [10, 3, 10]
    assert 2 <= methods[3].radius <= 5
    # The ignored part of a kernel does not show, and one call takes kernels of different kinds.
    image = rand(2, (6, 3, 30, 30))
    for number, method in enumerate(methods):
        one = slice(number, number + 1)
        expected = correlated(image[one], kernels[one])
        torch.testing.assert_close(filter2d(image[one], kernels[one], method), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(filter2d(image, kernels), correlated(image, kernels), atol=1e-6, rtol=0)
    shared = filter2d(image, kernels[:1])
    torch.testing.assert_close(shared, correlated(image, kernels[:1].expand(6, -1, -1)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("algorithm", ["separable", "direct", "fft"])
def test_filtering_has_the_gradient_of_correlation(algorithm):
    image, kernel = rand(0, (1, 2, 5, 6)).double().requires_grad_(), torch.outer(*rand(1, (2, 3)).double())[None]
    weight = rand(2, (1, 2, 5, 6)).double()
    gradients = [
        torch.autograd.grad((filtered * weight).sum(), image)[0]
        for filtered in (filter2d(image, kernel, FilterMethod(algorithm, 1)), correlated(image, kernel))
    ]
    torch.testing.assert_close(*gradients)


def test_a_gaussian_blur_equals_the_filter_with_its_outer_product():
    image, line = rand(0, (2, 3, 20, 31)), gaussian_kernel(7, 1.3)
    torch.testing.assert_close(gaussian_blur(image, 7, 1.3), filter2d(image, torch.outer(line, line)[None]))


def test_sharpening_keeps_flat_images_and_takes_any_size():
    flat = torch.full((1, 3, 30, 40), 0.4)
    torch.testing.assert_close(usm_sharpen(flat), flat)
    for height, width in ((1, 1), (3, 50), (20, 20)):
        assert usm_sharpen(torch.rand(1, 3, height, width)).shape == (1, 3, height, width)


@pytest.mark.parametrize(("radius", "side", "weight", "threshold"), [(6, 7, 3.0, 4.0), (9, 9, 0.7, 20.0)])
def test_sharpening_follows_its_options(radius, side, weight, threshold):
    image = image_of(photograph(60, 72))
    sigma = 0.3 * ((side - 1) / 2 - 1) + 0.8
    residual = image - gaussian_blur(image, side, sigma)
    soft = gaussian_blur((residual.abs() * 255 > threshold).float(), side, sigma)
    sharp = image + weight * residual
    assert (sharp.min() < 0 and sharp.max() > 1) or weight < 1, "otherwise clipping is not tested"
    expected = soft * sharp.clamp(0, 1) + (1 - soft) * image
    found = usm_sharpen(image, radius=radius, weight=weight, threshold=threshold)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_gaussian_blur_mirrors_the_border_and_repeats_the_edge_of_small_images():
    image, weights = rand(0, (1, 2, 5, 7)).double(), gaussian_kernel(7, 1.3)
    kernel = torch.outer(weights, weights).expand(2, 1, 7, 7)
    for height, mode in ((5, "reflect"), (3, "replicate")):
        padded = F.pad(image[:, :, :height], (3, 3, 3, 3), mode=mode)
        torch.testing.assert_close(gaussian_blur(image[:, :, :height], 7, 1.3), F.conv2d(padded, kernel, groups=2))


@needs_shared
@pytest.mark.parametrize("quality", [30, 60, 95])
def test_jpeg_with_basicsrs_tables_matches_the_published_image(quality):
    butterfly = image_of(np.asarray(Image.open(SHARED / "data" / "Set5" / "GT" / "butterfly.png"))[:200, :184])
    ours = jpeg(butterfly, torch.tensor([float(quality)]), table="basicsr")
    np.testing.assert_allclose(ours.numpy(), reference("degrade")[f"jpeg_q{quality}"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 90])
def test_jpeg_is_close_to_a_real_codec(quality):
    photo = photograph(181, 203)
    encoded = io.BytesIO()
    Image.fromarray(photo).save(encoded, "JPEG", quality=quality)
    real, original = image_of(np.asarray(Image.open(encoded))), image_of(photo)

    def psnr(image):
        return float(-10 * (image - real).square().mean().log10())

    standard = jpeg(original, torch.tensor([float(quality)]))
    # The difference is the codec's smooth chroma upsampling and its 8-bit rounding.
    assert psnr(standard) > 35
    assert psnr(standard) > psnr(original) + 4
    assert psnr(standard) > psnr(jpeg(original, torch.tensor([float(quality)]), table="basicsr")) + 1


def test_each_image_has_its_own_quality():
    image = torch.cat([image_of(photograph(32, 48))] * 2)
    both = jpeg(image, torch.tensor([20.0, 90.0]))
    torch.testing.assert_close(both[1:], jpeg(image[1:], torch.tensor([90.0])))
    assert (both[0] - image[0]).abs().mean() > 2 * (both[1] - image[1]).abs().mean()


def test_jpeg_pads_whole_blocks_with_the_edge_or_with_black():
    image, quality = image_of(photograph(24, 40)), torch.tensor([70.0])
    modes: dict[Table, str] = {"standard": "replicate", "basicsr": "constant"}
    for table, mode in modes.items():
        whole = F.pad(image, (0, 8, 0, 8), mode=mode)
        torch.testing.assert_close(jpeg(image, quality, table=table), jpeg(whole, quality, table=table)[..., :24, :40])


def test_jpeg_halves_the_resolution_of_chroma_only():
    columns = torch.tensor([0.3, 0.7]).repeat(16).expand(1, 3, 32, 32)
    torch.testing.assert_close(jpeg(columns, torch.tensor([100.0])), columns, atol=0.02, rtol=0)
    red = columns.clone()
    red[:, 1:] = 0.5
    flat = jpeg(red, torch.tensor([100.0]))
    # Cr is the same in all columns afterwards, so that red and green differ by a constant.
    difference = flat[0, 0] - flat[0, 1]
    assert difference.std() < 0.02
    assert (red[0, 0] - red[0, 1]).std() > 0.19


def test_soft_rounding_has_a_gradient_and_exact_rounding_none():
    image = (0.2 + 0.6 * image_of(photograph(16, 16))).requires_grad_()
    for rounding in ("soft", "exact"):
        (gradient,) = torch.autograd.grad(jpeg(image, torch.tensor([50.0]), rounding=rounding).square().sum(), image)
        assert (gradient.abs().sum() > 0) == (rounding == "soft")


def test_soft_rounding_adds_the_cube_of_the_rounding_error():
    # A flat grey image has one coefficient per block, 8 times its level; luma step 3 at quality 90.
    level, step = 0.55, 3.0
    coefficient = 8 * (level * 255 - 128) / step
    rounded = round(coefficient) + (coefficient - round(coefficient)) ** 3
    expected = (rounded * step / 8 + 128) / 255
    soft = jpeg(torch.full((1, 3, 16, 16), level), torch.tensor([90.0]), rounding="soft")
    torch.testing.assert_close(soft, torch.full_like(soft, expected), atol=1e-4, rtol=0)
