"""Weights that come with the package."""

import importlib.resources
from pathlib import Path

SCALES = (2, 3, 4)


def packaged_folder() -> Path:
    """Return the folder of the weights: x2.safetensors, x3.safetensors and x4.safetensors."""
    return Path(str(importlib.resources.files("srzoo") / "packaged"))


def packaged_weights(scale: int) -> Path:
    """Return the weights file for a magnification.

    Raises:
        ValueError: there is none for it.
        FileNotFoundError: the installation lacks the file.
    """
    if scale not in SCALES:
        raise ValueError(
            f"the weights that come with srzoo are for --scale {', '.join(map(str, SCALES))}, got {scale}: name others "
            "with --weights, or take any final size with --outscale"
        )
    path = packaged_folder() / f"x{scale}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"the weights that come with srzoo are missing ({path}): install srzoo again, or name a file with --weights"
        )
    return path


def scale_for(magnification: float) -> int:
    """Return the scale to enlarge by before resizing to a final magnification: the next one from above, or the last."""
    return next((scale for scale in SCALES if scale >= magnification), SCALES[-1])
