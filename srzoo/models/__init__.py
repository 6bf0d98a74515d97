"""Training recipes: learners, losses and one training step each."""
