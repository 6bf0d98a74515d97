"""Real-ESRGAN's degradation, whose options lie at the top of its files and in its training dataset.

Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", ICCVW 2021,
arXiv:2107.10833.
"""

from srzoo.compat.basicsr.reader import OptionReader, Section, given

# Cutoff of the final sinc filter, pi/3 to pi, which the released code does not make an option [rad].
FINAL_CUTOFF_RANGE = (1.0472, 3.1416)

_NO_DEGRADATION = "no effect: LQ images are not made from GT"
# Keys of the degradation at the top of a file and in its training dataset; those of the second order end in 2.
_KEYS = (
    "resize_prob", "resize_range", "gaussian_noise_prob", "noise_range", "poisson_scale_range", "gray_noise_prob",
    "jpeg_range", "second_blur_prob", "gt_size", "queue_size",
)  # fmt: skip
_KERNEL_KEYS = (
    "blur_kernel_size", "kernel_list", "kernel_prob", "sinc_prob", "blur_sigma", "betag_range", "betap_range",
    "final_sinc_prob",
)  # fmt: skip


def degradation(old: OptionReader, datasets: OptionReader, num_gpus: int, *, adversarial: bool) -> Section:
    """Convert the degradation to `degradation` of the new file; return an empty section if the old file has none.

    Args:
        old: the whole file.
        datasets: its `datasets`.
        num_gpus: GPUs that the pool is distributed over.
        adversarial: True if each loss of the model has its own switch for sharpened GT.
    """
    kernels = datasets.section("train")
    usm = old.pop("gt_usm", default=False)
    if usm and adversarial:
        old.note("gt_usm", "no effect with this model_type, which has a switch for each loss")
    is_paired = kernels.peek("type") == "RealESRGANPairedDataset"
    if not old.pop("high_order_degradation", default=True) or is_paired or "resize_range" not in old.names():
        if usm and not adversarial:
            old.note("gt_usm", "no effect in BasicSR, which sharpens only GT that it makes LQ from")
        for reader, names in ((old, _KEYS), (kernels, _KERNEL_KEYS)):
            reader.drop({name + order: _NO_DEGRADATION for name in names for order in ("", "2")})
        return {}
    queue, gt_size = old.pop("queue_size"), old.pop("gt_size")
    new: Section = {"usm": "lq" if adversarial else "gt" if usm else "none"}
    if gt_size is not None:
        new["gt_size"] = gt_size
    if queue:
        new["pool"] = queue * num_gpus if isinstance(queue, int) else queue
        old.note(
            "queue_size",
            "written as degradation.pool, the total over all ranks; without the pool and every `per: batch`, each "
            "sample gets its own resize factor",
        )
    old.note(
        "jpeg_range",
        "`table: basicsr` repeats BasicSR's JPEG, in which one table is transposed; `table: standard` is the table of "
        "codecs",
    )
    new["stages"] = [
        # First order: resize factors are relative to GT.
        _blur(kernels, ""),
        _resize(old, "", relative_to="gt"),
        _noise(old, ""),
        {"type": "JPEG", "quality_range": old.pop("jpeg_range"), "table": "basicsr"},
        # Second order: resize factors are relative to the final LQ image.
        _blur(kernels, "2") | {"prob": old.pop("second_blur_prob", default=1.0)},
        _resize(old, "2", relative_to="lq"),
        _noise(old, "2"),
        # The last resize with the sinc filter, and JPEG, are applied in random order.
        {"type": "Resize", "per": "batch", "shuffle": "size"},
        {
            "type": "Blur",
            "shuffle": "size",
            "prob": kernels.pop("final_sinc_prob", default=0.0),
            "sinc_prob": 1.0,
            "cutoff_range": [*FINAL_CUTOFF_RANGE],
        },
        {"type": "JPEG", "shuffle": "jpeg", "quality_range": old.pop("jpeg_range2"), "table": "basicsr"},
        {"type": "Round"},
    ]
    return new


def _blur(old: OptionReader, order: str) -> Section:
    """Convert the blur of the first ("") or second ("2") order; its keys belong to the training dataset."""
    new: Section = {"type": "Blur"}
    kinds, probs = old.pop(f"kernel_list{order}"), old.pop(f"kernel_prob{order}")
    if isinstance(kinds, list) and isinstance(probs, list) and len(kinds) == len(probs):
        new["kinds"] = {str(kind): prob for kind, prob in zip(kinds, probs, strict=True)}
    elif (kinds, probs) != (None, None):
        old.refuse(f"kernel_list{order}", f"expected a list, and kernel_prob{order} of the same length")
    new["sinc_prob"] = old.pop(f"sinc_prob{order}")
    if old.pop(f"blur_kernel_size{order}", default=21) != 21:
        old.note(f"blur_kernel_size{order}", "no effect in the released code, whose kernels measure 7 to 21 pixels")
    new["sigma_range"] = old.pop(f"blur_sigma{order}")
    new["generalized_range"], new["plateau_range"] = old.pop(f"betag_range{order}"), old.pop(f"betap_range{order}")
    return given(new)


def _resize(old: OptionReader, order: str, relative_to: str) -> Section:
    """Convert the resizing of the first or second order."""
    new: Section = {"type": "Resize", "per": "batch", "relative_to": relative_to}
    new["direction_weights"] = old.pop(f"resize_prob{order}")
    new["factor_range"] = old.pop(f"resize_range{order}")
    return given(new)


def _noise(old: OptionReader, order: str) -> Section:
    """Convert the noise of the first or second order."""
    new: Section = {"type": "GaussianOrPoissonNoise", "per": "batch"}
    new["gaussian_prob"] = old.pop(f"gaussian_noise_prob{order}")
    new["sigma_range"], new["poisson_range"] = old.pop(f"noise_range{order}"), old.pop(f"poisson_scale_range{order}")
    new["grey_prob"] = old.pop(f"gray_noise_prob{order}")
    return given(new)
