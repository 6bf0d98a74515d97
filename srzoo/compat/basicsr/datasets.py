"""`datasets` of an option file: the training dataset with its loader, and the datasets of validation or testing."""

from srzoo.compat.basicsr.reader import NOT_IN_ENTRY_NAMES, OptionReader, Section, given

# The released code of Real-ESRGAN degrades crops of this size, and trains on a part of each [GT pixels].
DEGRADED_CROP = 400
_NOT_NEEDED = {
    "use_shuffle": "not needed: training samples are always shuffled, each used once per epoch",
    "dataset_enlarge_ratio": "not needed: training is counted in updates, so that there is no epoch to enlarge",
    "prefetch_mode": "not needed: loader workers always prefetch",
    "num_prefetch_queue": "not needed: loader workers always prefetch",
    "pin_memory": "not needed: memory is always pinned when training on GPUs",
    "phase": "not needed: the split determines it",
}


def datasets(old: OptionReader, num_gpus: int, *, has_degradation: bool, is_scored: bool) -> Section:
    """Convert `datasets`.

    Args:
        old: the section.
        num_gpus: GPUs that the batch size is multiplied by; 0 if the file leaves the number open.
        has_degradation: True if LQ images are made from GT during training.
        is_scored: True if there are metrics; without them, outputs of a test are saved and GT is not read.
    """
    new: Section = {}
    train = old.section("train")
    if train:
        loader = _loader(train, num_gpus)
        new["train"] = _dataset(train, "train", has_degradation) | loader
    for split in ("val", "test"):
        found: Section = {}
        for section, reader in old.numbered_sections(split).items():
            name = reader.allowed_name(str(reader.pop("name", default=section)), NOT_IN_ENTRY_NAMES)
            if name in found:
                reader.note("name", f"another dataset is called {name}: this one is renamed to {name}_{section}")
                name = f"{name}_{section}"
            converted = _dataset(reader, split, has_degradation)
            found[name] = converted if is_scored or split == "val" else _without_gt(reader, converted)
        if found:
            new[split] = found
    return new


def list_keys(kind: object) -> tuple[str, ...]:
    """Return the keys under which a type of dataset has its list of images."""
    return ("meta_info",) if str(kind).startswith("RealESRGAN") else ("meta_info_file", "meta_info")


def _loader(train: OptionReader, num_gpus: int) -> Section:
    """Convert the size of a batch and the number of workers; BasicSR counts both per GPU."""
    per_gpu, total = train.pop("batch_size_per_gpu"), train.pop("batch_size")
    workers = train.pop("num_worker_per_gpu", "num_worker")
    if isinstance(per_gpu, int):
        total = per_gpu * max(num_gpus, 1)
        if num_gpus > 1:
            train.note("batch_size_per_gpu", f"batch_size is the total over all GPUs: {per_gpu} times {num_gpus} GPUs")
        elif num_gpus != 1:
            train.note(
                "batch_size_per_gpu",
                f"batch_size is the total over all GPUs: {per_gpu} is for one GPU; multiply it by the number of GPUs "
                "that you use",
            )
    return given({"batch_size": total, "num_workers": workers})


def _dataset(old: OptionReader, split: str, has_degradation: bool) -> Section:
    kind = str(old.pop("type"))
    old.drop(_NOT_NEEDED)
    if split == "train":
        old.pop("name")
    backend = old.section("io_backend").pop("type", default="disk")
    if backend != "disk":
        old.note("io_backend", f"{backend} is not supported: give the folder of images instead")
    for key in ("mean", "std", "color"):
        wanted = old.pop(key)
        if wanted not in (None, "rgb"):
            old.refuse(key, f"{wanted!r} (images are RGB in [0, 1])")
    meta_info = old.pop(*list_keys(kind))
    new: Section = {}
    if kind in ("PairedImageDataset", "RealESRGANPairedDataset"):
        new = {"type": "PairedImages", "gt": old.pop("dataroot_gt"), "lq": old.pop("dataroot_lq")}
        if kind == "RealESRGANPairedDataset" and meta_info is not None:
            # Lines `gt, lq`, relative to the two folders.
            new["pairs"], meta_info = meta_info, None
            old.drop({"filename_tmpl": "no effect: the list names the LQ files"})
        new["lq_template"] = old.pop("filename_tmpl")
    elif kind in ("RealESRGANDataset", "ImageNetPairedDataset"):
        new = {"type": "GTImages", "gt": old.pop("dataroot_gt")}
        if kind == "ImageNetPairedDataset":
            new |= {"enlarge": "each_side", "round_lq": False}
        elif split == "train" and has_degradation:
            new["enlarge"] = "reflect"
    elif kind == "SingleImageDataset":
        new = {"type": "LQImages", "lq": old.pop("dataroot_lq")}
    else:
        old.refuse("type", kind)
        return {"type": kind, **given({"meta_info": meta_info}), **old.pop_rest()}
    new["meta_info"] = meta_info
    if split == "train":
        new["gt_size"] = old.pop("gt_size")
        new["use_hflip"], new["use_rot"] = old.pop("use_hflip", "use_flip"), old.pop("use_rot")
        if kind == "RealESRGANDataset" and has_degradation:
            old.note(
                "gt_size",
                f"set to {DEGRADED_CROP}: like the released code, srzoo degrades crops of {DEGRADED_CROP} and trains "
                "on a part of each",
            )
            new["gt_size"] = DEGRADED_CROP
    return given(new)


def _without_gt(old: OptionReader, paired: Section) -> Section:
    """Return the dataset of the LQ images of a converted dataset of pairs; others are returned unchanged."""
    if paired["type"] != "PairedImages":
        return paired
    old.note("type", "LQ images only: there are no metrics, so that outputs are saved and GT is not read")
    names = paired.get("meta_info")
    if "pairs" in paired or (names is not None and paired.get("lq_template", "{}") != "{}"):
        old.note("meta_info", "not supported without GT, whose names it lists: all LQ images are used")
        names = None
    return given({"type": "LQImages", "lq": paired.get("lq"), "meta_info": names})
