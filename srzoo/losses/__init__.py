"""Training losses: a pure function and a thin module each; :class:`~srzoo.losses.criterion.Criterion` weighs them."""
