"""Training recipes: networks + losses + one training step each."""
