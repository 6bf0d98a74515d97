"""Real-ESRGAN's degradation options, which stand at the top of its files and with its data set, as a list of stages."""

from typing import Any

from srzoo.compat.reader import Reader


def degradation(old: Reader, datasets: Reader, gpus: int, adversarial: bool) -> dict[str, Any]:
    """`degradation` of the new file; empty where the old one has none.

    Args:
        old: the whole file.
        datasets: its `datasets`.
        gpus: how many the pool is kept on.
        adversarial: whether the losses of the model choose which GT is sharpened.
    """
    usm = old.take("gt_usm", default=False)
    if usm and adversarial:
        old.note("gt_usm", "not looked at by this model_type, which has one for each loss")
    if old.take("high_order_degradation", default=True) is False or "resize_range" not in old.names():
        if usm:
            old.note("gt_usm", "not supported without a degradation")
        return {}
    queue, gt_size = old.take("queue_size"), old.take("gt_size")
    kernels = datasets.section("train")
    new: dict[str, Any] = {"usm": "lq" if adversarial else "gt" if usm else "none"}
    if gt_size is not None:
        new["gt_size"] = gt_size
    if queue:
        new["pool"] = queue * gpus if isinstance(queue, int) else queue
        remark = "written as degradation.pool, of all processes together; without the pool and every `per: batch`"
        old.note("queue_size", f"{remark}, each sample gets a resize factor of its own")
    old.note(
        "jpeg_range", "`table: basicsr` repeats BasicSR's JPEG, which has a table transposed; `standard` is a codec's"
    )
    new["stages"] = [
        _blur(kernels, ""),
        *_rest(old, "", "gt"),
        {"type": "JPEG", "quality_range": old.take("jpeg_range"), "table": "basicsr"},
        _blur(kernels, "2") | {"prob": old.take("second_blur_prob", default=1.0)},
        *_rest(old, "2", "lq"),
        {"type": "Resize", "per": "batch", "shuffle": "size"},
        {
            "type": "Blur",
            "shuffle": "size",
            "prob": kernels.take("final_sinc_prob", default=0.0),
            "sinc_prob": 1.0,
            "cutoff_range": [1.0472, 3.1416],
        },
        {"type": "JPEG", "shuffle": "jpeg", "quality_range": old.take("jpeg_range2"), "table": "basicsr"},
        {"type": "Round"},
    ]
    return new


def _blur(old: Reader, order: str) -> dict[str, Any]:
    new: dict[str, Any] = {"type": "Blur"}
    kinds, probs = old.take(f"kernel_list{order}"), old.take(f"kernel_prob{order}")
    if isinstance(kinds, list) and isinstance(probs, list) and len(kinds) == len(probs):
        new["kinds"] = dict(zip(kinds, probs, strict=True))
    elif (kinds, probs) != (None, None):
        old.refuse(f"kernel_list{order}", "a list is expected, and kernel_prob of the same length")
    new["sinc_prob"] = old.take(f"sinc_prob{order}")
    if old.take(f"blur_kernel_size{order}", default=21) != 21:
        old.note(f"blur_kernel_size{order}", "no effect in the released code, whose kernels are of 7 to 21 pixels")
    new["sigma_range"] = old.take(f"blur_sigma{order}")
    new["generalized_range"], new["plateau_range"] = old.take(f"betag_range{order}"), old.take(f"betap_range{order}")
    return {key: value for key, value in new.items() if value is not None}


def _rest(old: Reader, order: str, relative_to: str) -> list[dict[str, Any]]:
    """Resize and noise of the first or the second order."""
    resize = {
        "type": "Resize",
        "per": "batch",
        "relative_to": relative_to,
        "direction_weights": old.take(f"resize_prob{order}"),
        "factor_range": old.take(f"resize_range{order}"),
    }
    noise = {
        "type": "GaussianOrPoissonNoise",
        "per": "batch",
        "gaussian_prob": old.take(f"gaussian_noise_prob{order}"),
        "sigma_range": old.take(f"noise_range{order}"),
        "poisson_range": old.take(f"poisson_scale_range{order}"),
        "grey_prob": old.take(f"gray_noise_prob{order}"),
    }
    return [{key: value for key, value in stage.items() if value is not None} for stage in (resize, noise)]
