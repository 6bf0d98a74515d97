"""Pure tensor functions without parameters or options."""
