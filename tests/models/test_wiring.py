"""Each switch, weight and average of each recipe against the same thing written by hand, in float64."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from srzoo.batch import Batch
from srzoo.engine import loop
from srzoo.images import to_tensor
from srzoo.losses.adversarial import GANLoss
from srzoo.losses.divergence import DivergenceLoss
from srzoo.losses.perceptual import PerceptualLoss
from srzoo.losses.pixel import L1Loss, MSELoss
from srzoo.losses.structure import TVLoss
from srzoo.ops.resize import imresize
from srzoo.ops.sharpen import usm_sharpen
from srzoo.optim.schedules import Iteration, MultiStepRestart, WarmUp
from srzoo.registry import ARCHS, MODELS
from tests.support import criterion, learner, photograph

GT = torch.stack([to_tensor(photograph(16, 16, top, 200)) for top in (100, 150)]).double()
BATCH: Batch = {"gt": GT, "lq": imresize(GT, 0.5), "key": ["a", "b"]}
# One image each, as two micro-batches of one update.
PARTS: list[Batch] = [
    {"lq": BATCH["lq"][at], "gt": GT[at], "key": BATCH["key"][at]} for at in (slice(0, 1), slice(1, 2))
]
SHARP = usm_sharpen(GT)
RATE = 0.1


class Features(PerceptualLoss):
    """A PerceptualLoss as far as recipes see it, without a download."""

    def __init__(self):
        nn.Module.__init__(self)

    def forward(self, sr, gt):
        return (sr - gt).square().mean()


class Generator(nn.Module):
    """Enlarges by two; `grad_modes` records if each forward pass built a graph."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 12, 3, 1, 1), nn.PixelShuffle(2))
        self.grad_modes = []

    def forward(self, lq):
        self.grad_modes.append(torch.is_grad_enabled())
        return self.body(lq)


def discriminator():
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Tanh(), nn.Conv2d(4, 1, 3, 1, 1))


def recipe(name, losses=None, *, accumulate=1, ema=0.0, schedule=None, gan=None, **options):
    """Build one of MODELS over small networks, trained by plain gradient descent."""
    torch.manual_seed(0)
    shared = {"type": "SGD", "iteration": Iteration(), "accumulate": accumulate, "schedule": schedule}
    parts = {"epoch_length": 1, "d": None}
    losses = losses or {"pixel": (L1Loss(), 0.7)}
    if name == "D2CModel":
        net = ARCHS.build("D2CNet", {"num_feat": 16, "num_group": 1, "num_block": 1}, scale=2).double()
        options = {"divergence_start": 0, "divergence_every": 1, "divergence_length": 1} | options
    else:
        net = Generator().double()
    if name == "GANModel":
        parts["d"] = learner(discriminator().double(), RATE, name="d", **shared)
        losses = losses | {"gan": (gan or GANLoss(), 0.3)}
    g = learner(net, RATE, ema_decay=ema, has_idle_parameters=True, **shared)
    return MODELS.build(name, options, g=g, criterion=criterion(**losses), **parts)


def assert_descended(net, before, loss):
    """`net` is `before` after one step of gradient descent on `loss`."""
    trained = [parameter for parameter in before.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, trained, allow_unused=True)
    assert any(gradient is not None for gradient in gradients)
    now = [new for new, old in zip(net.parameters(), before.parameters(), strict=True) if old.requires_grad]
    for new, old, gradient in zip(now, trained, gradients, strict=True):
        expected = old if gradient is None else old - RATE * gradient
        torch.testing.assert_close(new, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", list(MODELS))
def test_the_average_follows_each_update_by_its_recursion(name):
    model = recipe(name, accumulate=2, ema=0.7)
    by_hand = copy.deepcopy(model.g.module.state_dict())
    for _ in range(2):
        for part in PARTS:
            model.training_step(part)
        for key, value in model.g.module.state_dict().items():
            by_hand[key] = 0.7 * by_hand[key] + 0.3 * value
    for key, value in model.g.inference_net.state_dict().items():
        torch.testing.assert_close(value, by_hand[key], rtol=0, atol=1e-14)
    averages = zip(model.g.inference_net.parameters(), model.g.module.parameters(), strict=True)
    assert any(not torch.equal(average, value) for average, value in averages)


@pytest.mark.parametrize("name", list(MODELS))
def test_states_keep_their_keys(name):
    """Runs that were stopped under an earlier version go on: these names must not change."""
    state = recipe(name, ema=0.5).state_dict()
    assert set(state) == {"net_g", "net_g_ema", "step_g"} | ({"net_d", "step_d"} if name == "GANModel" else set())
    assert set(state["step_g"]) == {"optimizer", "step"}


def test_the_plain_recipe_minimises_its_weighted_losses():
    model = recipe("SRModel", {"a": (L1Loss(), 0.7), "b": (MSELoss(), 0.2)})
    before = copy.deepcopy(model.g.module)
    terms = model.training_step(BATCH)
    error = before(BATCH["lq"]) - GT
    expected = {"a": 0.7 * error.abs().mean(), "b": 0.2 * error.square().mean()}
    assert terms == {name: pytest.approx(value.item()) for name, value in expected.items()}
    assert_descended(model.g.module, before, sum(expected.values()))


def gradient_of(logits, image):
    return torch.autograd.grad(logits.sum(), image, create_graph=True)[0].flatten(1)


ON_EACH = [
    dict(zip(("l1_gt_usm", "percep_gt_usm", "gan_gt_usm"), on, strict=True))
    for on in itertools.product((False, True), repeat=3)
]


@pytest.mark.parametrize(
    "weights", [(1.0, 0.0, 0.0), (0.6, 0.0, 0.0), (1.0, 5.0, 0.0), (1.0, 0.0, 3.0), (0.6, 5.0, 3.0)]
)
@pytest.mark.parametrize("sharpen", ON_EACH, ids=lambda on: "".join(str(int(value)) for value in on.values()))
def test_the_adversarial_recipe_minimises_its_weighted_losses(sharpen, weights):
    names = ("discriminator_weight", "r1_weight", "gradient_penalty_weight")
    gan = GANLoss(**dict(zip(names, weights, strict=True)))
    losses = {"pixel": (L1Loss(), 0.7), "features": (Features(), 0.4), "tv": (TVLoss(), 0.1)}
    model = recipe("GANModel", losses, gan=gan, **sharpen)
    g, d = (copy.deepcopy(own.module) for own in (model.g, model.d))
    torch.manual_seed(1)
    terms = model.training_step(BATCH)

    on_pixels, on_features, real = (SHARP if on else GT for on in sharpen.values())
    sr = g(BATCH["lq"])
    of_g = {
        "pixel": 0.7 * (sr - on_pixels).abs().mean(),
        "features": 0.4 * (sr - on_features).square().mean(),
        "tv": 0.1 * TVLoss()(sr, on_pixels),
        "gan": 0.3 * F.softplus(-d(sr)).mean(),
    }
    fake, weight = sr.detach(), weights[0]
    of_d = {"d_real": weight * F.softplus(-d(real)).mean(), "d_fake": weight * F.softplus(d(fake)).mean()}
    if weights[1]:
        image = real.clone().requires_grad_()
        of_d["d_r1"] = weights[1] * gradient_of(d(image), image).square().sum(1).mean() / 2
    if weights[2]:
        torch.manual_seed(1)
        share = torch.rand(2, 1, 1, 1, dtype=torch.float64)
        image = (share * real + (1 - share) * fake).requires_grad_()
        of_d["d_gp"] = weights[2] * (gradient_of(d(image), image).norm(dim=1) - 1).square().mean()
    assert terms == {name: pytest.approx(value.item()) for name, value in (of_g | of_d).items()}
    assert_descended(model.g.module, g, sum(of_g.values()))
    assert_descended(model.d.module, d, sum(of_d.values()))


@pytest.mark.parametrize("stage", ["joint", "divergence", "convergence", "end_to_end"])
def test_the_recipe_for_trees_minimises_its_weighted_losses(stage):
    on_leaves = DivergenceLoss(sibling_margin=0.5, margin=1.0)
    model = recipe("D2CModel", {"pixel": (MSELoss(), 0.7), "apart": (on_leaves, 0.2)}, stage=stage, divergence_halve=2)
    model.g.iteration.number = 5  # halved twice
    before = copy.deepcopy(model.g.module)
    terms = model.training_step(BATCH)
    output = before(BATCH["lq"], output="all", detach_leaves=stage == "joint")
    of_leaves = {
        "pixel_leaves": sum(0.7 * (leaf - GT).square().mean() for leaf in output.leaves.unbind(1)),
        "apart": 0.25 * 0.2 * on_leaves(output.leaves, GT),
    }
    fused = {"pixel_fused": 0.7 * (output.sr - GT).square().mean()}
    expected = {"divergence": of_leaves, "convergence": fused}.get(stage, of_leaves | fused)
    assert terms == {name: pytest.approx(value.item()) for name, value in expected.items()}
    assert_descended(model.g.module, before, sum(expected.values()))


def rates_of_updates(model, total, accumulate=1):
    """(iteration, rate) of each update, per learner, in a training by the loop."""
    found = {"g": [], "d": []}
    for name in found:
        optimizer = getattr(model, name).stepper.optimizer
        optimizer.register_step_post_hook(
            lambda optimizer, *_, name=name: found[name].append(
                (model.g.iteration.number, pytest.approx(optimizer.param_groups[0]["lr"]))
            )
        )
    loop.train(
        model,
        itertools.cycle([BATCH]),
        total=total,
        accumulate=accumulate,
        seed=0,
        device=torch.device("cpu"),
        hooks=[],
    )
    return found


@pytest.mark.parametrize(("init", "every"), [(0, 1), (3, 1), (3, 2), (0, 3)])
def test_all_learners_follow_the_schedule_of_the_iteration(init, every):
    """As in BasicSR, whose loop advances the schedulers of all optimisers in every iteration."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    basicsr = torch.optim.lr_scheduler.MultiStepLR(optimizer, [4, 6], 0.5)
    expected = []
    for iteration in range(9):
        # BasicSR warms up by (current_iter / warmup_iter), counted from 1, on top of the rate of its scheduler's start.
        expected.append((iteration, basicsr.get_last_lr()[0] * min(1.0, (iteration + 1) / 3)))
        optimizer.step()
        basicsr.step()
    schedule = WarmUp(MultiStepRestart(milestones=(4, 6), gamma=0.5), 3)
    model = recipe("GANModel", schedule=schedule, accumulate=2, net_d_init_iters=init, net_d_iters=every)
    rates = rates_of_updates(model, 9, accumulate=2)
    assert rates["d"] == expected
    assert rates["g"] == [pair for pair in expected if pair[0] >= init and pair[0] % every == 0]


def test_no_graph_is_built_for_a_generator_that_is_not_updated():
    model = recipe("GANModel", net_d_init_iters=2)
    for model.g.iteration.number in range(4):
        model.training_step(BATCH)
    assert model.g.module.grad_modes == [False, False, True, True]
    assert all(parameter.requires_grad for parameter in model.d.module.parameters())
