"""The optimisers of ``torch.optim`` under their own names, each with its own typed arguments.

Every argument of the installed PyTorch version is an option; types come from its signatures, where "a number or a
tensor" becomes "a number".
"""

import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable

import torch

from srzoo.registry import OPTIMIZERS

# Those that take one closure-free step on any parameter shape.
NAMES = ("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD")
NAMES += ("NAdam", "RAdam", "RMSprop", "Rprop", "SGD")


def _without_tensors(annotation: object) -> object:
    """float | Tensor -> float, also inside tuples."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return functools.reduce(operator.or_, [_without_tensors(arg) for arg in args if arg is not torch.Tensor])
    if origin is tuple:
        return tuple[tuple(_without_tensors(arg) for arg in args)]
    return annotation


def _keyword_only(name: str) -> Callable[..., torch.optim.Optimizer]:
    optimizer = getattr(torch.optim, name)

    @functools.wraps(optimizer, updated=())
    def build(**arguments: object) -> torch.optim.Optimizer:
        return optimizer(**arguments)

    parameters = [
        parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=_without_tensors(parameter.annotation))
        for parameter in inspect.signature(optimizer, eval_str=True).parameters.values()
    ]
    build.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    return build


for _name in NAMES:
    OPTIMIZERS.register(_keyword_only(_name), _name)
