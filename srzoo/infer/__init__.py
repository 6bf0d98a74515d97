"""Networks applied to whole images: by tiles."""
