"""``basicsr.utils``: the logger."""

import logging


def get_root_logger(*_: object, **__: object) -> logging.Logger:
    """Return srzoo's logger, which writes to the run folder; arguments have no effect."""
    return logging.getLogger("srzoo")
