"""Made-up files of runs, as `srzoo test` and trainings write them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

NETWORK = {"type": "IMDN", "scale": 4, "num_feat": 64}


def content(dataset: str, psnr: Sequence[object], **changes: object) -> dict[str, object]:
    """Return the content of a result file."""
    images = [{"key": f"img_{number:03}", "psnr": value} for number, value in enumerate(psnr)]
    return {
        "dataset": dataset,
        "step": None,
        "network": NETWORK,
        "weights": {"path": "net.safetensors", "sha256": "w"},
        "protocols": {"psnr": {"name": "basicsr-y", "crop_border": 4, "modcrop": 4, "lq_multiple": 1}},
        "inference": {"tile_rule": "exact", "tile": None, "tile_overlap": None, "ensemble": "none"}
        | {"precision": "float32", "fused": False, "padding": "none"},
        "data_sha256": f"data-{dataset}",
        "codecs": {"opencv": "5"},
        "device": "cpu",
        "images": images,
    } | changes


def write_result(
    run: Path, dataset: str, psnr: Sequence[object], *, weights: str | None = None, path: Path | None = None,
    network: Mapping[str, object] = NETWORK, **changes: object,
) -> Path:  # fmt: skip
    """Write one result file of a run and return the run's folder; `weights` is their checksum, `path` their file."""
    facts = {"path": str(path or "net.safetensors"), "sha256": weights or f"w-{run.name}"}
    file = run / "results" / f"{dataset}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content(dataset, psnr, weights=facts, network=network, **changes)))
    return run


def write_training(run: Path, seed: int, *, prob: float = 0.0, total_iter: int = 4) -> Path:
    """Write the options and weights of a training and return the path of the weights."""
    options = {
        "name": run.name,
        "seed": seed,
        "network_g": {"type": "IMDN", "dropout": {"prob": prob}},
        "path": {"experiments": str(run.parent), "root": str(run.parent / run.name)},
        "datasets": {"train": {"gt": "GT", "num_workers": seed}, "val": {"held_out": {"type": "GTImages"}}},
        "train": {"total_iter": total_iter},
        "val": {"val_freq": seed + 1},
        "logger": {"print_freq": seed + 1},
    }
    (run / "models").mkdir(parents=True)
    (run / "options.yml").write_text(yaml.safe_dump(options))
    weights = run / "models" / "net_g_4.safetensors"
    weights.write_bytes(b"")
    return weights
