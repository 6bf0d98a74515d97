"""Runs: the loop that trains any model, the evaluation of any network, and the folder that keeps their results."""
