"""The plain recipe."""

import torch

from srzoo.batch import Batch
from srzoo.images import to_tensor
from srzoo.losses.pixel import L1Loss, MSELoss
from srzoo.models.sr import SRModel
from srzoo.ops.resize import imresize
from srzoo.registry import ARCHS
from tests.support import criterion, learner, photograph

GT = torch.stack([to_tensor(photograph(32, 32, top, 200)) for top in (100, 150)])
BATCH: Batch = {"gt": GT, "lq": imresize(GT, 0.5), "key": ["a", "b"]}


def model(ema=0.0, losses=None, lr=5e-3):
    torch.manual_seed(0)
    net = ARCHS.build("IMDN_RTC", {"num_modules": 1}, scale=2)
    losses = losses or {"pixel": (L1Loss(), 1.0)}
    return SRModel(g=learner(net, lr, ema_decay=ema), criterion=criterion(**losses))


def test_one_batch_overfits():
    recipe = model()
    first = recipe.training_step(BATCH)["pixel"].item()
    for _ in range(250):
        recipe.training_step(BATCH)
    assert recipe.training_step(BATCH)["pixel"].item() < first / 5


def test_every_active_loss_moves_the_generator():
    weights = {}
    for name, losses in {
        "l1": {"a": (L1Loss(), 1.0)},
        "both": {"a": (L1Loss(), 1.0), "b": (MSELoss(), 1.0)},
        "none": {"a": (L1Loss(), 1.0), "b": (MSELoss(), 0.0)},
    }.items():
        recipe = model(losses=losses)
        for _ in range(2):
            recipe.training_step(BATCH)
        weights[name] = recipe.g.module.state_dict()["model.0.weight"]
    assert not torch.equal(weights["both"], weights["l1"])
    assert torch.equal(weights["none"], weights["l1"])


def test_inference_uses_the_moving_average_where_there_is_one():
    recipe = model(ema=0.5)
    recipe.training_step(BATCH)
    assert recipe.g.inference_net is not recipe.g.module
    assert not torch.equal(
        recipe.g.inference_net.state_dict()["model.0.weight"], recipe.g.module.state_dict()["model.0.weight"]
    )
    plain = model()
    assert plain.g.inference_net is plain.g.module
    assert set(recipe.state_dict()) == {"net_g", "step_g", "net_g_ema"}


def test_terms_are_returned_detached():
    terms = model().training_step(BATCH)
    assert list(terms) == ["pixel"]
    assert not terms["pixel"].requires_grad
