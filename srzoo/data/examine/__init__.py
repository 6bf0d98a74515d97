"""Examination of datasets beyond the pre-flight: measurements of pixels, one idea per file, and their verdicts."""
