"""Pure tensor functions: no parameters, no options."""
