"""Networks applied to whole images: by tiles, at a precision of choice."""
