"""Studies: variants of one training with several seeds each, trained, tested and compared."""
