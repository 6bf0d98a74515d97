"""`val` and `tile` of an option file: metrics by protocol, how often to validate, and tiles."""

from srzoo.compat.basicsr.reader import NOT_IN_ENTRY_NAMES, OptionReader, Section, given, whole
from srzoo.contract import PlainValue

METRICS = {"calculate_psnr": "PSNR", "calculate_ssim": "SSIM"}
# (border in SR pixels, None: the scale; True if luma is compared) -> protocol
_PROTOCOLS = {
    (None, True): "basicsr-y",
    (None, False): "basicsr-rgb",
    (0, True): "rt4ksr-fixed",
    (0, False): "rt4ksr-rgb",
    (4, False): "reflash-rgb",
}
_NOT_NEEDED = {
    "suffix": "not supported: output images keep the names of their inputs, in the folder of the run",
    "pbar": "not needed: progress is always shown",
    "use_image": "not needed: metrics are always computed on images",
}


def metrics(old: OptionReader, scale: PlainValue) -> Section:
    """Convert the section `metrics` at a magnification; metrics that srzoo does not have are left out."""
    found: Section = {}
    for name in old.names():
        reader = old.section(name)
        metric = _metric(reader, scale)
        if metric:
            found[reader.allowed_name(name, NOT_IN_ENTRY_NAMES)] = metric
    return found


def validation(old: OptionReader, tile: OptionReader, metrics: Section, datasets: Section) -> Section:
    """Convert the rest of `val`, and `tile`.

    Args:
        old: the section `val`.
        tile: the section `tile`, which DRCT and HAT have at the top of the file.
        metrics: the converted metrics; without them, datasets to validate on are of no use.
        datasets: the converted datasets; those of `val` are removed if there are no metrics.
    """
    new: Section = {}
    if old.pop("save_img"):
        new["save_img"] = True
    elif _saves_only(datasets):
        new["save_img"] = True
        old.note("save_img", "set to true: without metrics, output images are all that a test gives")
    old.drop(_NOT_NEEDED)
    if metrics:
        new["metrics"] = metrics
    elif datasets.pop("val", None):
        old.note("metrics", "there are none: the datasets of `val` are left out")
    freq = old.pop("val_freq")
    if freq is not None and datasets.keys() >= {"train", "val"}:
        new["val_freq"] = whole(freq)
    elif freq is not None:
        old.note("val_freq", "not needed: there is nothing to validate on")
    size = tile.pop("tile_size")
    if size:
        new |= {"tile": size, **given({"tile_overlap": tile.pop("tile_pad")}), "tile_rule": "drct"}
    return new


def _saves_only(datasets: Section) -> bool:
    """Return True if a dataset to test on has no GT."""
    tests = datasets.get("test")
    entries = tests.values() if isinstance(tests, dict) else ()
    return any(isinstance(entry, dict) and entry["type"] == "LQImages" for entry in entries)


def _metric(old: OptionReader, scale: PlainValue) -> Section:
    """Convert one metric; return an empty section if srzoo does not have it or its protocol."""
    kind = str(old.pop("type"))
    old.drop({"better": "not needed: each metric knows whether higher is better"})
    border, luma = old.pop("crop_border", default=0), bool(old.pop("test_y_channel", default=False))
    if kind not in METRICS:
        old.note("type", f"{kind} is not supported: this metric is left out")
        return {}
    protocol = _protocol(border, scale, luma)
    if protocol is None:
        colour = "luma" if luma else "RGB"
        old.note(
            "crop_border",
            f"no protocol crops {border} pixels and compares {colour} at scale {scale}: this metric is left out",
        )
        return {}
    return {"type": METRICS[kind], "protocol": protocol}


def _protocol(border: PlainValue, scale: PlainValue, luma: bool) -> str | None:
    """Return the protocol with this border and colour, the one whose border is the scale first."""
    if border == scale:
        return _PROTOCOLS[None, luma]
    return _PROTOCOLS.get((border, luma)) if isinstance(border, int | float) else None
