"""Stages that make LQ from GT, sample by sample, on whatever device the images are."""
