"""Full-reference image metrics; every result names its protocol."""
