"""Versions of the codec libraries."""

import re

import cv2
import PIL


def codec_versions() -> dict[str, str]:
    """Return the versions of the codec libraries; decoders of JPEG files differ by a level here and there."""
    built = re.search(r"^\s*JPEG:\s*(.+)$", cv2.getBuildInformation(), re.MULTILINE)
    return {"opencv": cv2.__version__, "pillow": PIL.__version__, "jpeg": built.group(1) if built else "unknown"}
