"""Every layer can be seen in the plain form, and exported programs give the eager output at sizes never traced."""

from typing import Any

import pytest
import torch
from torch.export import Dim

from srzoo.layers.distillation import ContrastAwareAttention
from srzoo.layers.plain import in_plain_form, plain_form
from srzoo.registry import ARCHS, BACKBONES
from tests.archs.test_all import SMALL, scales_of

# DRCT keeps the published window: at 16 pixels it leaves one window, a case that exports easily lose.
SMALLER = SMALL | {"DRCT": {"embed_dim": 12, "depths": [2], "num_heads": [6], "gc": 12}}
# Forms of networks that take other ways through their code.
VARIANTS = [(name, {}) for name in ARCHS] + [
    ("DRCT", {"checkpointing": True, "resi_connection": "identity", "window_size": 8}),
    ("RT4KSR", {"forget": True, "eca_gamma": 2, "squeeze": True}),
    ("RT4KSR", {"baseblock": "nafbase"}),
    ("RT4KSR", {"deploy": True}),
    ("SRResNet", {"dropout": {"prob": 0.5, "position": ["block_1", "last"]}}),
    ("D2CNet", {"backbone": "EDSR"}),
    ("D2CNet", {"backbone": "IMDN"}),
]
# Exports by default: the quickest network, one with attention, one with padding. Window attention takes up to a minute.
SLOW = set(ARCHS) - {"Bicubic", "IMDN", "RT4KSR"}
IDS = [f"{name}-{'-'.join(map(str, options))}".rstrip("-") for name, options in VARIANTS]
# The smallest, two odd ones, and a multiple of every window; none is traced.
UNSEEN = [(16, 16), (37, 45), (61, 33), (96, 128)]


def build(name, options):
    torch.manual_seed(0)
    net = ARCHS.build(name, SMALLER.get(name, {}) | options, scale=scales_of(name)[0]).eval()
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            if parameter.ndim == 1 and "mean" not in key:  # biases that start at zero would hide a lost one
                parameter.add_(0.05 * torch.randn_like(parameter))
    return net


def leaves(net):
    """Return the modules that hold parameters themselves, by name."""
    return {name: module for name, module in net.named_modules() if list(module.parameters(recurse=False))}


def silent(net, lq):
    """Return the modules with parameters that a forward pass does not call, and its output."""
    called, handles = set(), []
    for name, module in leaves(net).items():
        handles.append(module.register_forward_hook(lambda *_, name=name: called.add(name)))
    with torch.no_grad():
        sr = net(lq)
    for handle in handles:
        handle.remove()
    return set(leaves(net)) - called, sr


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
@pytest.mark.parametrize("size", [(16, 16), (37, 45)])
def test_the_plain_form_calls_every_module_with_parameters_and_gives_the_same(name, options, size):
    net, lq = build(name, options), torch.rand(2, 3, *size)
    with torch.no_grad():
        fast = net(lq)
    with plain_form():
        unseen, plain = silent(net, lq)
    assert unseen == set()
    # Of the largest value: random weights may give values above 1.
    largest = max(1.0, float(fast.abs().max()))
    torch.testing.assert_close(plain, fast, atol=1e-6 * largest, rtol=1e-6)


def test_the_fast_form_of_drct_is_why_there_is_a_plain_one():
    net, lq = build("DRCT", {}), torch.rand(1, 3, 20, 20)
    unseen, _ = silent(net, lq)
    assert any(name.endswith("attn.qkv") for name in unseen)
    assert not in_plain_form()
    with plain_form(), plain_form():
        assert in_plain_form()
    assert not in_plain_form()


def test_the_fast_form_returns_after_an_error_and_gives_the_same_bits_as_before():
    net, lq = build("DRCT", {}), torch.rand(1, 3, 20, 40)
    with torch.no_grad():
        before = net(lq)
        with pytest.raises(RuntimeError), plain_form():
            net(torch.rand(1, 2, 20, 40))
        assert not in_plain_form()
        assert torch.equal(net(lq), before)


@pytest.mark.parametrize("name", ["DRCT", "IMDN", "Bicubic"])
def test_gradients_of_the_plain_form_are_those_of_the_fast_one(name):
    net, grads = build(name, {}), []
    for context in (plain_form, torch.enable_grad):
        lq = torch.linspace(0, 1, 2 * 3 * 20 * 37).view(2, 3, 20, 37).requires_grad_()
        with context():
            grads.append(torch.autograd.grad(net(lq).square().sum(), [lq, *net.parameters()]))
    for plain, fast in zip(*grads, strict=True):
        torch.testing.assert_close(plain, fast, atol=1e-5 * float(fast.abs().max()), rtol=0)


def test_the_contrast_of_a_constant_channel_has_a_finite_gradient_in_both_forms():
    torch.manual_seed(0)
    attention, grads = ContrastAwareAttention(16), []
    x = torch.full((1, 16, 8, 8), 0.5, requires_grad=True)  # exactly constant, which no padded convolution leaves
    for context in (plain_form, torch.enable_grad):
        with context():
            grads.append(torch.autograd.grad(attention(x).sum(), x)[0])
    assert torch.isfinite(grads[0]).all()
    torch.testing.assert_close(grads[0], grads[1])


def export(net, height=48, width=40, **keywords):
    """Export with H and W that vary, called on the network as it is, from a size that :data:`UNSEEN` does not list."""
    sizes = {2: Dim("height", min=16, max=512), 3: Dim("width", min=16, max=512)}
    return torch.export.export(net, (torch.rand(1, 3, height, width),), dynamic_shapes=(sizes,), **keywords)


def check_at_unseen_sizes(program, net):
    """Check that an exported program gives the network's output at sizes that were never traced."""
    for height, width in UNSEEN:
        lq = torch.rand(1, 3, height, width)
        with torch.no_grad():
            torch.testing.assert_close(program(lq), net(lq), atol=1e-5, rtol=1e-5)


def slow_marked(cases):
    """Mark the cases that take long to export; a case is the name of a network, or begins with it."""
    marked = []
    for case in cases:
        values = (case,) if isinstance(case, str) else case
        marked.append(pytest.param(*values, marks=pytest.mark.slow if values[0] in SLOW else ()))
    return marked


@pytest.mark.parametrize(("name", "options"), slow_marked(VARIANTS), ids=IDS)
def test_an_exported_network_gives_the_eager_output_at_sizes_never_traced(name, options):
    net = build(name, options)
    check_at_unseen_sizes(export(net).module(), net)


@pytest.mark.parametrize("name", slow_marked(["DRCT", "RT4KSR"]))
@pytest.mark.slow
def test_a_decomposed_program_still_takes_any_size(name):
    # Decompositions fix strides and shapes that the exported operators left open.
    net = build(name, {})
    check_at_unseen_sizes(export(net, 64, 64).run_decompositions().module(), net)


@pytest.mark.parametrize("name", slow_marked(["DRCT", "RT4KSR"]))
def test_the_batch_may_vary_too(name):
    net = build(name, {})
    sizes = {0: Dim("batch", min=1, max=8), 2: Dim("height", min=16, max=512), 3: Dim("width", min=16, max=512)}
    program = torch.export.export(net, (torch.rand(2, 3, 48, 40),), dynamic_shapes=(sizes,)).module()
    for shape in ((1, 3, 16, 16), (3, 3, 37, 45)):
        lq = torch.rand(shape)
        with torch.no_grad():
            torch.testing.assert_close(program(lq), net(lq), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", slow_marked(["DRCT", "RT4KSR"]))
@pytest.mark.slow
def test_strict_export_and_fixed_sizes_work(name):
    net, lq = build(name, {}), torch.rand(1, 3, 37, 45)
    with torch.no_grad():
        torch.testing.assert_close(export(net, strict=True).module()(lq), net(lq), atol=1e-5, rtol=1e-5)
        fixed = torch.export.export(net, (torch.rand_like(lq),)).module()
        torch.testing.assert_close(fixed(lq), net(lq), atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", slow_marked(["Bicubic", "DRCT", "RT4KSR"]))
def test_a_traced_network_takes_sizes_never_traced(name):
    net, lq = build(name, {}), torch.rand(1, 3, 37, 45)
    with torch.no_grad():
        traced: Any = torch.jit.trace(net, torch.rand(1, 3, 48, 40), check_trace=False)
        torch.testing.assert_close(traced(lq), net(lq), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_the_graph_holds_no_custom_operation_and_every_layer():
    program = export(build("DRCT", {}))
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert all(target.startswith(("aten.", "<built-in", "sym_", "<function", "math")) for target in targets), set(
        targets
    )
    net = build("DRCT", {})
    linear = sum(isinstance(module, torch.nn.Linear) for module in net.modules())
    assert targets.count("aten.linear.default") == linear


def test_backbones_of_a_tree_are_all_tried_here():
    assert set(BACKBONES) == {"RCAN", "EDSR", "IMDN"}
