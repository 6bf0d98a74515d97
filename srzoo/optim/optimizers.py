"""The optimisers of ``torch.optim`` by their names, each with its own typed arguments.

Every argument of the installed PyTorch version is an option. Types come from its signatures, without the alternative of
a tensor in place of a number.
"""

import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Mapping

import torch

from srzoo.registry import OPTIMIZERS

# Optimisers that need no closure and take parameters of any shape.
NAMES = ("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD")
NAMES += ("NAdam", "RAdam", "RMSprop", "Rprop", "SGD")

# Optimisers whose fused kernel is the fastest form, on CPUs too (scripts/benchmarks/optimizers.py).
_FUSED = ("Adam", "AdamW")

# Meanings by argument name, which are the same in all optimisers.
_MEANINGS = {
    "alpha": "smoothing constant, or power of the learning-rate decay (ASGD)",
    "amsgrad": "keep the largest second moment (Reddi et al., ICLR 2018)",
    "beta2_decay": "exponent of the decay of the second moment",
    "betas": "decay of the running first and second moments",
    "capturable": "allow capture in a CUDA graph",
    "centered": "divide by the standard deviation instead of the second moment",
    "d": "clipping threshold of the update",
    "dampening": "damping of the momentum",
    "decoupled_weight_decay": "decay weights apart from the gradient (Loshchilov and Hutter, ICLR 2019)",
    "differentiable": "let gradients flow through the update",
    "eps": "added to denominators against division by zero",
    "etas": "factors of a smaller and a larger step",
    "foreach": "update all tensors in one operation; null: where it is faster",
    "fused": "update in one fused kernel; null: yes in Adam and AdamW, where it is faster; else PyTorch's choice",
    "initial_accumulator_value": "start of the accumulated squares",
    "lambd": "decay of each step's weight in the average",
    "lr": "learning rate before the schedule",
    "lr_decay": "decay of the learning rate inside the optimiser",
    "maximize": "climb instead of descend",
    "momentum": "share of the last update that is kept",
    "momentum_decay": "decay of the momentum schedule",
    "nesterov": "look ahead along the momentum (Nesterov)",
    "rho": "decay of the running averages of squares",
    "step_sizes": "smallest and largest step",
    "t0": "when averaging starts [updates]",
    "weight_decay": "L2 penalty, or decoupled decay (AdamW)",
}


def with_fused_kernel(name: str, arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments of an optimiser with its fused kernel chosen where it is faster and nothing else was chosen.

    Weights differ from those of the plain form by rounding alone. A state keeps the form of its training: PyTorch
    restores `fused` and `foreach` with it.
    """
    chosen = arguments.get("differentiable") or any(arguments.get(form) is not None for form in ("foreach", "fused"))
    if name not in _FUSED or chosen:
        return dict(arguments)
    return {**arguments, "fused": True}


def _without_tensors(annotation: object) -> object:
    """Return float for float | Tensor, also inside tuples."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return functools.reduce(operator.or_, [_without_tensors(arg) for arg in args if arg is not torch.Tensor])
    if origin is tuple:
        return tuple[tuple(_without_tensors(arg) for arg in args)]
    return annotation


def _keyword_only(name: str) -> Callable[..., torch.optim.Optimizer]:
    """Return a builder of an optimiser with the signature that the registry asks for."""
    optimizer = getattr(torch.optim, name)

    @functools.wraps(optimizer, updated=())
    def build(**arguments: object) -> torch.optim.Optimizer:
        return optimizer(**arguments)

    # PyTorch takes positional arguments; the registry refuses them, because options have names.
    parameters = [
        parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=_without_tensors(parameter.annotation))
        for parameter in inspect.signature(optimizer, eval_str=True).parameters.values()
    ]
    build.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    meanings = "\n".join(f"    {p.name}: {_MEANINGS.get(p.name, '')}" for p in parameters if p.name in _MEANINGS)
    build.__doc__ = f"torch.optim.{name}.\n\nArgs:\n{meanings}\n"
    return build


for _name in NAMES:
    OPTIMIZERS.register(_keyword_only(_name), _name)
