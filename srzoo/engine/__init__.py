"""Runs: the loop that trains any model, the scoring of any network, and the folder of their results."""
