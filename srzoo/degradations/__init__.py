"""Degradations of training crops: stages that turn GT into LQ, their order over a batch, and the pool of pairs."""
