"""Training losses, each a pure function and a thin module; :class:`~srzoo.losses.criterion.Criterion` weights them."""
