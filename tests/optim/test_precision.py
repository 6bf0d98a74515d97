"""Half precision, loss scaling, TF32, compilation and fused optimisers against the plain path."""

import copy
import dataclasses
import logging
import os
from typing import Any

import pytest
import torch
from torch import nn

from srzoo import ranks
from srzoo.contract import NetworkContract
from srzoo.optim import compilation
from srzoo.optim.compilation import CompiledForScoring, compiled
from srzoo.optim.finite import NonFiniteLossError
from srzoo.optim.learner import Learner
from srzoo.optim.optimizers import with_fused_kernel
from srzoo.optim.precision import Autocast, announce, in_float32, passes_at, set_process, usable
from srzoo.optim.schedules import Constant, Iteration
from srzoo.registry import OPTIMIZERS
from tests import support
from tests.support import needs_compiler


@pytest.fixture(autouse=True)
def _the_process_is_as_before():
    yield
    set_process("fp32", deterministic=False)
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def learner(net, *given, **options) -> Any:
    """Return a learner, whose state and layers these tests look into."""
    return support.learner(net, *given, **options)


def convolutions():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 3, 3, 1, 1))


def losses(own, count=6, parts=1):
    """Losses of some updates towards the negative of fixed images."""
    images = torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    values = []
    for _ in range(count):
        for part in images.chunk(parts):
            with own.micro_batch():
                terms = {"pixel": (own.net(part) + part).abs().mean()}
                own.minimise(terms, ["a"])
            values.append(terms["pixel"].item())
    return values


@pytest.mark.parametrize(("precision", "tolerance"), [("tf32", 0), ("bf16", 1e-2), ("fp16", 1e-3)])
@pytest.mark.parametrize("parts", [1, 2])
def test_losses_follow_those_of_float32(precision, tolerance, parts):
    plain, other = (learner(convolutions(), accumulate=parts, precision=name) for name in ("fp32", precision))
    curve, expected = losses(other, parts=parts), losses(plain, parts=parts)
    assert expected[-1] < 0.98 * expected[0]
    assert curve == pytest.approx(expected, rel=tolerance, abs=0)
    assert (curve == expected) == (precision == "tf32")  # half precision does round


def test_parts_of_a_batch_equal_the_whole_in_half_precision():
    nets = []
    for parts in (1, 2):
        own = learner(convolutions(), 0.1, type="SGD", accumulate=parts, precision="fp16")
        losses(own, parts=parts)
        nets.append(own.module)
    for whole, split in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(split, whole, rtol=1e-3, atol=1e-4)


def test_the_network_runs_in_half_precision_and_losses_do_not():
    seen, own = [], learner(convolutions(), precision="bf16")
    own.module[2].register_forward_hook(lambda *given: seen.append(given[2].dtype))
    with own.micro_batch():
        output = own.net(torch.rand(1, 3, 8, 8))
        assert not torch.is_autocast_enabled("cpu")
    assert (seen, output.dtype) == ([torch.bfloat16], torch.float32)
    assert {value.dtype for value in own.module.parameters()} == {torch.float32}
    assert not any(key.startswith("net.") for key in own.state_dict()["net_g"])


def test_outputs_of_every_kind_are_float32():
    Both = dataclasses.make_dataclass("Both", ["leaves", "count"])
    half = torch.ones(2, dtype=torch.bfloat16)
    both: Any = in_float32(Both([half], torch.ones(1, dtype=torch.int64)))
    assert (both.leaves[0].dtype, both.count.dtype) == (torch.float32, torch.int64)
    named: Any = in_float32(torch.return_types.max((half, torch.ones(1, dtype=torch.int64))))
    assert named[0].dtype == torch.float32
    nested: Any = in_float32({"a": (half, "b")})
    assert nested["a"][0].dtype == torch.float32


class Amplified(nn.Module):
    """The weight times a factor, with gradients that overflow in fp16 at a large scale of the loss."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 4))

    def forward(self, x):
        return x @ self.weight * 4.0


def test_an_overflow_of_scaled_gradients_leaves_the_update_out(caplog):
    own = learner(Amplified(), precision="fp16", ema_decay=0.5)
    before = copy.deepcopy(own.state_dict())
    step = lambda: own.minimise({"a": own.net(torch.ones(2, 4)).sum()}, ["a"])  # noqa: E731
    with caplog.at_level(logging.INFO, "srzoo"):
        assert not step()
    assert "update 1 left out: gradients overflowed in fp16; the loss is now scaled by 32768" in caplog.text
    for name in ("net_g", "net_g_ema"):
        assert torch.equal(own.state_dict()[name]["weight"], before[name]["weight"])
    assert own.stepper.num_updates == 0
    assert own.module.weight.grad is None
    done = [step() for _ in range(8)]
    assert done == sorted(done)  # once the factor is small enough, updates go on
    assert done[-1]
    assert not torch.equal(own.inference_net.weight, before["net_g"]["weight"])
    assert own.stepper.num_updates == sum(done)


def test_gradients_that_overflow_without_a_factor_are_an_error():
    own = learner(Amplified(), precision="fp16")

    own.module.weight.register_hook(lambda gradient: gradient * torch.inf)
    for _ in range(16):  # 2**16 is the factor at the start
        assert not own.minimise({"a": own.module.weight.sum()}, ["a"])
    with pytest.raises(NonFiniteLossError, match=r"non-finite gradients .* train in bf16, which has the range"):
        own.minimise({"a": own.module.weight.sum()}, ["a"])
    assert own.stepper.scaler.get_scale() == 1


def test_the_factor_of_the_loss_is_in_the_state():
    own, other = (learner(Amplified(), precision="fp16") for _ in range(2))
    own.stepper.scaler.set_growth_interval(3)
    run = lambda which: which.minimise({"a": which.net(torch.ones(2, 4)).sum()}, ["a"])  # noqa: E731
    while not run(own):
        pass
    other.load_state_dict(copy.deepcopy(own.state_dict()))
    for _ in range(7):  # long enough for the factor to grow and shrink
        assert run(own) == run(other)
        assert torch.equal(own.module.weight, other.module.weight)
        assert own.stepper.scaler.state_dict() == other.stepper.scaler.state_dict()
    assert "scaler" not in learner(Amplified(), precision="bf16").state_dict()["step_g"]


class Bright(nn.Module):
    """A convolution and running statistics whose values leave the range of fp16 for images of mean above 0.5."""

    half_safe: tuple[str, ...] = ("float16",)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 3, 3, 1, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        factor = torch.where(x.mean((1, 2, 3), keepdim=True) > 0.5, 1e6, 1.0)  # (B, 1, 1, 1)
        return self.norm(self.conv(x * factor) / factor)


def train_on(own, *means):
    """One update per mean of its images; return the terms."""
    terms = []
    for mean in means:
        image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 0.2 + mean - 0.1
        with own.micro_batch():
            terms.append({"pixel": (own.net(image) - image).abs().mean()})
            own.minimise(terms[-1], ["a"])
    return [term["pixel"].item() for term in terms]


def test_a_pass_that_overflows_in_fp16_is_computed_again_before_its_loss():
    plain, half = (learner(Bright(), 0.1, type="SGD", precision=name) for name in ("fp32", "fp16"))
    half.stepper.scaler.set_growth_interval(3)
    assert train_on(half, 0.9) == train_on(plain, 0.9)
    # Running statistics too have seen the second pass alone.
    for name, value in plain.module.state_dict().items():
        torch.testing.assert_close(half.module.state_dict()[name], value, rtol=1e-6, atol=0)
    assert half.take_passes() == (1, 1)
    train_on(half, 0.2, 0.9, 0.2)
    assert half.take_passes() == (3, 1)
    assert half.take_passes() == plain.take_passes() == (0, 0)


def test_a_pass_that_overflows_on_another_rank_is_computed_again_here(monkeypatch):
    half, passes = learner(Bright(), precision="fp16"), []
    half.module.conv.register_forward_hook(lambda *given: passes.append(given[2].dtype))
    monkeypatch.setattr(ranks, "all_true", lambda condition: bool(condition) and len(passes) != 1)
    train_on(half, 0.2, 0.2)
    assert passes == [torch.float16, torch.float32, torch.float16]
    assert half.take_passes() == (2, 1)
    half.stepper.finite.alone = True  # as in a trial, during which no rank waits for another
    monkeypatch.delattr(ranks, "all_true")
    assert half.stepper.finite.outputs([torch.ones(2)])


def test_a_pass_is_computed_again_in_bf16_if_the_network_is_safe_in_it():
    half, seen = learner(Bright(), precision="fp16"), []
    safe = Bright()
    safe.half_safe = ("float16", "bfloat16")
    for own in (half, learner(safe, precision="fp16")):
        own.module.conv.register_forward_hook(lambda *given: seen.append(given[2].dtype))
        train_on(own, 0.9)
    assert seen == [torch.float16, torch.float32, torch.float16, torch.bfloat16]


def test_a_pass_that_is_not_finite_in_float32_either_ends_the_run():
    for precision in ("fp16", "bf16"):
        own = learner(Bright(), precision=precision)
        with torch.no_grad():
            own.module.conv.bias[0] = torch.nan
        with pytest.raises(NonFiniteLossError, match=r"non-finite loss .*'pixel': nan.* in update 1 ") as error:
            train_on(own, 0.9)
        assert "bf16" not in str(error.value)  # its range is that of float32


@pytest.mark.parametrize(
    ("wanted", "safe", "used"),
    [
        ("fp16", ("float16", "bfloat16"), "fp16"),
        ("fp16", ("bfloat16",), "bf16"),
        ("fp16", (), "fp32"),
        ("bf16", ("float16",), "fp32"),
        ("bf16", ("bfloat16",), "bf16"),
        ("tf32", (), "tf32"),
        ("fp32", (), "fp32"),
    ],
)
def test_networks_run_in_a_precision_that_they_are_safe_in(wanted, safe, used, caplog):
    assert usable(wanted, NetworkContract(half_safe=safe)) == used
    with caplog.at_level(logging.WARNING, "srzoo"):
        announce(wanted, used, option="precision", network="Net")
    assert len(caplog.records) == (wanted != used)


def tf32_flags():
    backends: Any = torch.backends
    kinds = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    # Reading the older interface is an error if it disagrees with the newer one.
    return {kind.fp32_precision for kind in kinds}, backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32


def test_tf32_is_off_unless_asked_for():
    set_process("bf16", deterministic=False)
    assert tf32_flags() == ({"ieee"}, False, False)
    set_process("tf32", deterministic=False)
    assert tf32_flags() == ({"tf32"}, True, True)
    with passes_at("fp32", "cpu"):
        assert tf32_flags() == ({"ieee"}, False, False)
    assert tf32_flags() == ({"tf32"}, True, True)


def test_deterministic_algorithms_are_asked_for_and_given_up():
    set_process("fp32", deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.deterministic
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    set_process("fp32", deterministic=False)
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_fused_updates_equal_plain_ones_up_to_rounding(name):
    nets = [convolutions() for _ in range(2)]
    for net, arguments in zip(nets, ({}, with_fused_kernel(name, {})), strict=True):
        optimizer = OPTIMIZERS.build(name, {"lr": 1e-2, **arguments}, params=net.parameters())
        for seed in range(10):
            generator = torch.Generator().manual_seed(seed)
            for value in net.parameters():
                value.grad = torch.randn(value.shape, generator=generator)
            optimizer.step()
    for plain, fused in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-6)


def test_the_fused_kernel_is_a_default_that_yields_to_any_choice():
    assert with_fused_kernel("Adam", {"lr": 1.0, "fused": None})["fused"]
    for chosen in ({"fused": False}, {"foreach": True}, {"foreach": False}, {"differentiable": True}):
        assert with_fused_kernel("AdamW", chosen) == chosen
    assert with_fused_kernel("SGD", {"fused": None}) == {"fused": None}


def test_a_state_keeps_the_form_of_its_optimiser():
    old, net = learner(convolutions()), convolutions()
    fused = OPTIMIZERS.build("Adam", with_fused_kernel("Adam", {"lr": 1e-3}), params=net.parameters())
    new = Learner(net, fused, Constant(), iteration=Iteration())
    losses(old)
    new.load_state_dict(copy.deepcopy(old.state_dict()))
    assert losses(old) == losses(new)
    assert all(map(torch.equal, old.module.parameters(), net.parameters()))
    assert new.stepper.optimizer.param_groups[0]["fused"] is None


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(compilation.shutil, "which", lambda command: None)  # noqa: ARG005
    with pytest.raises(ValueError, match=r"g\+\+ or clang\+\+ was not found: install g\+\+"):
        compiled(convolutions(), True)
    assert type(compiled(convolutions(), False)) is nn.Sequential
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match="no-such-compiler was not found"):
        learner(convolutions(), compile=True)


def test_a_network_that_cannot_be_compiled_is_scored_plainly_and_said_once(monkeypatch, caplog):
    from torch._dynamo.exc import TorchDynamoException

    def broken(*given):  # noqa: ARG001
        raise TorchDynamoException("cannot be traced")

    monkeypatch.setattr(compilation, "_plain", set())
    monkeypatch.setattr(compilation, "compiled", lambda *given, **options: broken)  # noqa: ARG005
    net, image = convolutions(), torch.rand(1, 3, 8, 8)
    with caplog.at_level(logging.WARNING, "srzoo"):
        for _ in range(2):
            assert torch.equal(CompiledForScoring(net, True)(image), net(image))
    assert [record.message for record in caplog.records] == [
        "compile: Sequential is scored in its plain form; PyTorch cannot compile it: cannot be traced"
    ]


@pytest.mark.slow
@needs_compiler
def test_a_compiled_network_learns_as_the_plain_one_and_saves_plain_weights():
    plain, fast = learner(convolutions(), ema_decay=0.5), learner(convolutions(), ema_decay=0.5, compile=True)
    assert losses(fast, 3) == pytest.approx(losses(plain, 3), rel=1e-5)
    assert fast.state_dict()["net_g"].keys() == plain.state_dict()["net_g"].keys()
    plain.load_state_dict(copy.deepcopy(fast.state_dict()))
    assert losses(fast, 2) == pytest.approx(losses(plain, 2), rel=1e-5)
    assert isinstance(learner(convolutions(), compile=True, precision="bf16").net, Autocast)
