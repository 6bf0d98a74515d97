"""Networks in the formats of other runtimes, and networks computed by them."""
