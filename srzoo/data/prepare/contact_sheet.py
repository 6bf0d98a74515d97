"""Contact sheet: small pictures of a folder in a grid, each with its name."""

import math
from collections.abc import Mapping

import cv2
import numpy as np

from srzoo.data.prepare.summary import THUMBNAIL

_GAP = 8  # between cells [pixels]
_LABEL = 14  # height of a line of text [pixels]
_LETTERS = 20  # that fit into a cell


def contact_sheet(thumbnails: Mapping[str, np.ndarray]) -> np.ndarray:
    """Lay out thumbnails by name, (h, w, 3) uint8 RGB of at most THUMBNAIL pixels: (H, W, 3) uint8, nearly square."""
    columns = max(1, math.ceil(math.sqrt(len(thumbnails))))
    rows = max(1, math.ceil(len(thumbnails) / columns))
    cell_height, cell_width = THUMBNAIL + _LABEL + _GAP, THUMBNAIL + _GAP
    sheet = np.full((rows * cell_height + _GAP, columns * cell_width + _GAP, 3), 255, np.uint8)
    for number, (name, thumbnail) in enumerate(thumbnails.items()):
        top, left = _GAP + number // columns * cell_height, _GAP + number % columns * cell_width
        height, width = thumbnail.shape[:2]
        # Centred in the cell.
        y, x = top + (THUMBNAIL - height) // 2, left + (THUMBNAIL - width) // 2
        sheet[y : y + height, x : x + width] = thumbnail
        # The end of a name tells tiles of one image apart. OpenCV's letters are ASCII.
        label = name[-_LETTERS:].encode("ascii", "replace").decode()
        place = (left, top + THUMBNAIL + _LABEL - 4)
        cv2.putText(sheet, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, (0, 0, 0), 1, cv2.LINE_AA)
    return sheet
