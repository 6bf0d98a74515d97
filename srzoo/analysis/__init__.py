"""Measurements of a network itself: its costs."""
