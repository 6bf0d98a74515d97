"""Datasets and the order in which they are read. Every random choice is a function of (seed, step, sample)."""
