"""From a loss to new weights: optimisers, learning-rate schedules, the update step, the moving average."""
