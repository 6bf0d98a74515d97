"""Features of a network by layer: the outputs of its modules, read and replaced by hooks.

A layer is the name of a module (``body.7``). A module that runs several times, such as an activation that a network
shares, has a number for each call (``lrelu@1``, ``lrelu@2``). Networks run in their plain form, in which every layer
with parameters is called as a module.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from srzoo.layers.plain import plain_form

Change = Callable[[Tensor], Tensor]


@contextmanager
def changed_layers(net: nn.Module, changes: dict[str, Change]) -> Iterator[None]:
    """Replace outputs of layers inside the ``with`` block, where the network runs in its plain form.

    Args:
        net: the network; call it once inside the block, because calls of a module are counted.
        changes: name of a layer -> function from its output to the tensor that the network goes on with.

    Raises:
        LookupError: the network has no such layer; the message lists close names.
    """
    modules = dict(net.named_modules())
    handles = []
    try:
        for layer, change in changes.items():
            name, call = split_name(layer)
            if name not in modules or not name:
                raise LookupError(unknown_layer(net, layer))
            handles.append(modules[name].register_forward_hook(_hook(change, call)))
        with plain_form():
            yield
    finally:
        # Also after an error: a hook that is left behind would count the calls of later passes.
        for handle in handles:
            handle.remove()


def _hook(change: Change, wanted: int | None) -> Callable[[nn.Module, object, object], Tensor | None]:
    """Return a forward hook that changes one call of a module, or every call for None."""
    calls = 0

    def hook(module: nn.Module, args: object, output: object) -> Tensor | None:
        del module, args
        nonlocal calls
        calls += 1
        # Modules that return several tensors have no image of features to change.
        if not isinstance(output, Tensor) or (wanted is not None and calls != wanted):
            return None
        return change(output)

    return hook


@contextmanager
def recorded_layers(net: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Record the outputs of layers inside the ``with`` block, where the network runs once, in its plain form.

    Yields:
        name of a layer -> its output, filled as the network runs, with its graph.

    Raises:
        LookupError: no such layer, or a module that runs several times without a number, or one that did not run.
    """
    outputs: dict[str, Tensor] = {}

    def record(layer: str, output: Tensor) -> Tensor:
        if layer in outputs:
            raise LookupError(f"{layer} runs several times: name one of its calls, {layer}@1, {layer}@2, ...")
        outputs[layer] = output
        # The network goes on with a copy: an activation in place would change the record.
        return output.clone()

    with changed_layers(net, {layer: lambda output, layer=layer: record(layer, output) for layer in layers}):
        yield outputs
    missing = [layer for layer in layers if layer not in outputs]
    if missing:
        raise LookupError(
            f"{', '.join(missing)}: no such call, or no single tensor as output, in a forward pass; layers that have "
            f"one: {_listed(feature_layers(net))}"
        )


@contextmanager
def frozen(net: nn.Module) -> Iterator[None]:
    """Compute no gradients of a network's parameters inside the ``with`` block, which saves a third of the time."""
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def split_name(layer: str) -> tuple[str, int | None]:
    """Split ``lrelu@2`` into the name of the module and the number of the call; None without a number."""
    name, _, call = layer.partition("@")
    if not call:
        return name, None
    if not call.isdecimal() or int(call) < 1:
        raise LookupError(f"layer {layer!r}: expected NAME or NAME@CALL, calls counted from 1")
    return name, int(call)


@torch.no_grad()
def feature_layers(net: nn.Module, lq: Tensor | None = None) -> list[str]:
    """List the layers whose output is an image of features (B, C, H, W), H and W above 1, in the order of their calls.

    Args:
        net: the network, in evaluation mode.
        lq: image to run it on, (B, C, h, w); None: a grey one.
    """
    parameter = next(net.parameters(), torch.empty(0))
    if lq is None:
        channels = getattr(net, "num_in_ch", 3)
        lq = torch.full((1, channels, 16, 16), 0.5, dtype=parameter.dtype, device=parameter.device)
    order: list[str] = []

    def note(name: str, output: Tensor) -> Tensor:
        if output.ndim == 4 and min(output.shape[-2:]) > 1:
            order.append(name)
        return output

    names = [name for name, _ in net.named_modules() if name]
    with changed_layers(net, {name: lambda output, name=name: note(name, output) for name in names}):
        net(lq)
    # A module that ran once keeps its name, others get the number of each call.
    calls: dict[str, int] = {}
    layers: list[str] = []
    for name in order:
        calls[name] = calls.get(name, 0) + 1
        layers.append(f"{name}@{calls[name]}" if order.count(name) > 1 else name)
    return layers


def unknown_layer(net: nn.Module, layer: str) -> str:
    """Return an error message with the names that come closest to one that the network does not have."""
    names = [name for name, _ in net.named_modules() if name]
    near = difflib.get_close_matches(split_name(layer)[0], names, n=5, cutoff=0.5)
    known = f"did you mean {', '.join(near)}?" if near else f"its layers: {_listed(names)}"
    return f"{type(net).__name__} has no layer {layer!r}; {known}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:30]) + (f", ... ({len(names)} in all)" if len(names) > 30 else "")
