"""Measurements of networks and their results: costs, explanations, statistics."""
