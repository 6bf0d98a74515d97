"""From a loss to new weights: learners, the update step, moving averages, optimisers, learning-rate schedules."""
