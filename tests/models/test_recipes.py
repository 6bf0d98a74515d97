"""The adversarial and the divergence recipe: what moves whom, schedules, exact resume, several processes."""

import copy
import os
import re
import subprocess
import sys

import pytest
import torch

from srzoo.batch import Batch
from srzoo.contract import identity_of
from srzoo.images import to_tensor
from srzoo.losses.adversarial import GANLoss
from srzoo.losses.divergence import DivergenceLoss
from srzoo.losses.pixel import L1Loss, MSELoss
from srzoo.losses.structure import TVLoss
from srzoo.models.d2c import D2CModel
from srzoo.models.gan import GANModel
from srzoo.models.sr import SRModel
from srzoo.ops.resize import imresize
from srzoo.ops.sharpen import usm_sharpen
from srzoo.optim.schedules import Iteration
from srzoo.registry import ARCHS, DISCRIMINATORS, MODELS
from srzoo.state import load_state
from srzoo.weights import load_network, load_weights, read_weights
from tests.support import ROOT, criterion, learner, merged, photograph, run_train, training_options, write_options

GT = torch.stack([to_tensor(photograph(32, 32, top, 200)) for top in (100, 150)])
BATCH: Batch = {"gt": GT, "lq": imresize(GT, 0.5), "key": ["a", "b"]}
ALWAYS = {"divergence_start": 0, "divergence_every": 1, "divergence_length": 1}
TREE = {"num_feat": 16, "num_group": 1, "num_block": 1}


def gan(weight=0.1, loss=None, accumulate=1, **options):
    torch.manual_seed(0)
    net_g = ARCHS.build("IMDN_RTC", {"num_modules": 1}, scale=2)
    net_d = DISCRIMINATORS.build("UNetDiscriminatorSN", {"num_feat": 8})
    shared = {"iteration": Iteration(), "accumulate": accumulate}
    return GANModel(
        g=learner(net_g, **shared),
        d=learner(net_d, name="d", **shared),
        criterion=criterion(pixel=(L1Loss(), 1.0), gan=(loss or GANLoss(), weight)),
        **options,
    )


def d2c(divergence=1.0, epoch_length=1, **options):
    torch.manual_seed(0)
    net = ARCHS.build("D2CNet", TREE, scale=2)
    margins = DivergenceLoss(sibling_margin=0.5, margin=1.0)
    losses = criterion(pixel=(MSELoss(), 1.0), divergence=(margins, divergence))
    parts = {"g": learner(net), "criterion": losses, "epoch_length": epoch_length}
    return MODELS.build("D2CModel", ALWAYS | options, **parts)


def moved(recipe, part):
    """True if an iteration changes the parameters of a part of the network."""
    before = copy.deepcopy(part.state_dict())
    recipe.training_step(BATCH)
    recipe.g.iteration.number += 1
    return any(not torch.equal(value, before[key]) for key, value in part.state_dict().items())


def after_steps(recipe, count=2):
    for _ in range(count):
        recipe.training_step(BATCH)
    return torch.cat([value.flatten() for value in recipe.g.module.state_dict().values()])


@pytest.mark.parametrize("kind", ["vanilla", "lsgan", "wgan", "wgan_softplus", "hinge"])
def test_the_adversarial_term_reaches_the_generator(kind):
    assert not torch.equal(
        after_steps(gan(0.1, GANLoss(gan_type=kind)), 1), after_steps(gan(0.0, GANLoss(gan_type=kind)), 1)
    )


def test_the_generators_gradient_is_that_of_its_terms():
    recipe = gan(0.3)
    reference, discriminator = copy.deepcopy(recipe.g.module), copy.deepcopy(recipe.d.module)
    gradients = []
    recipe.g.stepper._update = lambda: gradients.extend(p.grad for p in recipe.g.module.parameters()) is None
    recipe.training_step(BATCH)
    sr = reference.train()(BATCH["lq"])
    loss = (sr - GT).abs().mean() + 0.3 * torch.nn.functional.softplus(-discriminator.train()(sr)).mean()
    loss.backward()
    for ours, parameter in zip(gradients, reference.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad)
    assert all(parameter.requires_grad for parameter in recipe.d.module.parameters())


def test_the_discriminator_learns_to_tell_images_apart():
    recipe = gan(net_d_init_iters=1000)
    sums = [sum(recipe.training_step(BATCH).values()) for _ in range(60)]
    assert sums[-1] < 0.8 * sums[0]
    assert set(gan().training_step(BATCH)) == {"pixel", "gan", "d_real", "d_fake"}


def test_penalties_are_terms_of_the_discriminator():
    plain, penalised = gan(), gan(loss=GANLoss(r1_weight=10.0, gradient_penalty_weight=10.0))
    terms = penalised.training_step(BATCH)
    assert terms["d_r1"] > 0
    assert terms["d_gp"] > 0
    plain.training_step(BATCH)
    weights = [model.d.module.state_dict()["conv9.weight"] for model in (plain, penalised)]
    assert not torch.equal(*weights)


def test_the_generator_waits_and_takes_turns():
    recipe = gan(net_d_init_iters=2, net_d_iters=2)
    turns = [moved(recipe, recipe.g.module) for _ in range(6)]
    assert turns == [False, False, True, False, True, False]
    assert recipe.g.stepper.num_updates == 2
    assert recipe.d.stepper.num_updates == 6


@pytest.mark.parametrize("option", ["l1_gt_usm", "gan_gt_usm"])
def test_sharpened_ground_truth_goes_where_the_option_says(option):
    assert (usm_sharpen(GT) - GT).abs().max() > 0.01
    plain, sharp = gan().training_step(BATCH), gan(**{option: True}).training_step(BATCH)
    changed = {name for name in plain if not torch.equal(plain[name], sharp[name])}
    assert changed == {"l1_gt_usm": {"pixel"}, "gan_gt_usm": {"d_real"}}[option]


def test_accumulated_parts_equal_the_whole_batch():
    whole, parts = gan(), gan(accumulate=2)
    whole.training_step(BATCH)
    for part in range(2):
        place = slice(part, part + 1)
        parts.training_step({"lq": BATCH["lq"][place], "gt": GT[place], "key": BATCH["key"][place]})
    # Spectral norms take a power iteration per forward pass: only the generator's first update is comparable.
    for ours, theirs in zip(whole.g.module.parameters(), parts.g.module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)
    assert parts.d.stepper.num_updates == parts.g.stepper.num_updates == 1


@pytest.mark.parametrize("make", [gan, d2c], ids=["gan", "d2c"])
def test_a_saved_recipe_continues_bit_for_bit(make):
    straight = make()
    for _ in range(4):
        straight.training_step(BATCH)
    first, second = make(), make()
    for _ in range(2):
        first.training_step(BATCH)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(2):
        second.training_step(BATCH)
    ours, theirs = straight.state_dict(), second.state_dict()
    nets = [name for name in ours if name.startswith("net")]
    assert ("net_d" in nets) == (make is gan)
    for name in nets:
        assert all(torch.equal(value, theirs[name][key]) for key, value in ours[name].items())


@pytest.mark.parametrize(
    ("stage", "tree", "fusion"),
    [("joint", True, True), ("end_to_end", True, True), ("divergence", True, False), ("convergence", False, True)],
)
def test_each_stage_trains_its_part(stage, tree, fusion):
    recipe = d2c(stage=stage)
    parts = [recipe.g.module.get_submodule(name) for name in ("tree", "fusion")]
    before = [copy.deepcopy(part.state_dict()) for part in parts]
    recipe.training_step(BATCH)
    for part, old, expected in zip(parts, before, (tree, fusion), strict=True):
        changed = any(not torch.equal(value, old[key]) for key, value in part.state_dict().items())
        assert changed == expected


def test_only_end_to_end_lets_the_fused_image_train_the_tree():
    trees = {}
    for stage in ("joint", "divergence", "end_to_end"):
        recipe = d2c(stage=stage)
        recipe.training_step(BATCH)
        trees[stage] = torch.cat([value.flatten() for value in recipe.g.module.get_submodule("tree").parameters()])
    assert torch.equal(trees["joint"], trees["divergence"])
    assert not torch.equal(trees["joint"], trees["end_to_end"])


def test_one_adam_over_both_parts_equals_two():
    recipe = d2c()
    net = copy.deepcopy(recipe.g.module).train()
    adams = [torch.optim.Adam(part.parameters(), lr=1e-3) for part in net.children()]
    recipe.training_step(BATCH)
    out = net(BATCH["lq"], output="all", detach_leaves=True)
    loss = sum((leaf - GT).square().mean() for leaf in out.leaves.unbind(1))
    loss = loss + DivergenceLoss(sibling_margin=0.5, margin=1.0)(out.leaves, GT) + (out.sr - GT).square().mean()
    loss.backward()
    for adam in adams:
        adam.step()
    for ours, theirs in zip(recipe.g.module.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_the_divergence_term_reaches_the_tree():
    assert not torch.equal(after_steps(d2c(1.0), 1), after_steps(d2c(0.0), 1))


def test_the_divergence_schedule_is_the_published_one():
    recipe = d2c(
        epoch_length=10, divergence_start=200, divergence_every=1000, divergence_length=200, divergence_halve=2000
    )
    weights = {
        epoch: recipe.divergence_weight(10 * epoch + 3) for epoch in (0, 150, 200, 500, 1000, 1199, 1200, 2100, 4050)
    }
    expected = {0: 0.0, 150: 0.0, 200: 0.0, 500: 0.0, 1000: 1.0, 1199: 1.0, 1200: 0.0, 2100: 0.5, 4050: 0.25}
    assert weights == expected
    by_updates = d2c(epoch_length=10, unit="updates", divergence_start=5, divergence_every=20, divergence_length=10)
    assert [by_updates.divergence_weight(step) for step in (4, 5, 6, 9, 10, 20, 29, 30)] == [0, 1, 1, 1, 0, 1, 1, 0]


def test_the_plain_recipe_sends_a_tree_to_the_recipe_for_trees():
    net = ARCHS.build("D2CNet", TREE, scale=2)
    with pytest.raises(ValueError, match=r"D2CNet returns the leaves .* \{type: D2CModel, stage: end_to_end\}"):
        SRModel(g=learner(net), criterion=criterion(pixel=(L1Loss(), 1.0)))


def test_losses_that_a_recipe_cannot_compute_are_refused():
    net = ARCHS.build("IMDN_RTC", {"num_modules": 1}, scale=2)
    for loss, message in ((GANLoss(), "GANLoss is computed from logits"), (DivergenceLoss(), "computed from leaves")):
        with pytest.raises(ValueError, match=message):
            SRModel(g=learner(net), criterion=criterion(own=(loss, 1.0)))
    with pytest.raises(ValueError, match=r"network_g\.type must be D2CNet"):
        D2CModel(g=learner(net), criterion=criterion(a=(L1Loss(), 1.0)), epoch_length=1)
    losses = criterion(gan=(GANLoss(), 1.0))
    with pytest.raises(ValueError, match=r"add network_d and train\.optim_d"):
        GANModel(g=learner(net), d=None, criterion=losses)
    losses = criterion(tv=(TVLoss(), 1.0))
    with pytest.raises(ValueError, match="exactly one GANLoss, got 0"):
        GANModel(g=learner(net), d=learner(net, name="d"), criterion=losses)


GAN_RUN = {
    "model": {"type": "GANModel", "l1_gt_usm": True},
    "network_d": {"type": "UNetDiscriminatorSN", "num_feat": 8},
    "train": {
        "optim_d": {"type": "Adam", "lr": 1e-4},
        "losses": {"gan": {"type": "GANLoss", "weight": 0.1}, "tv": {"type": "TVLoss", "weight": 0.01}},
    },
}
D2C_RUN = {
    "model": {
        "type": "D2CModel",
        "unit": "updates",
        "divergence_start": 0,
        "divergence_every": 1,
        "divergence_length": 1,
    },
    "network_g": {"num_modules": None, "type": "D2CNet", **TREE},
    "train": {"losses": {"divergence": {"type": "DivergenceLoss", "margin": 1.0}}},
}


SCHEDULED_RUN = merged(
    GAN_RUN,
    {
        "model": {"net_d_init_iters": 1},
        "train": {"scheduler": {"type": "MultiStepRestart", "milestones": [1, 3]}, "warmup_iter": 4},
    },
)


@pytest.mark.parametrize("changes", [GAN_RUN, SCHEDULED_RUN, D2C_RUN], ids=["gan", "scheduled", "d2c"])
def test_whole_runs_resume_bit_for_bit(tmp_path, changes):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))
    assert run_train(file, "name=straight") == 0
    assert run_train(file, "train.total_iter=2") == 0
    assert run_train(file, resume="auto") == 0
    nets = [
        read_weights(tmp_path / "experiments" / name / "models" / "net_g_4.safetensors").tensors
        for name in ("straight", "run")
    ]
    assert all(torch.equal(value, nets[1][key]) for key, value in nets[0].items())


@pytest.mark.ranks
@pytest.mark.parametrize("changes", [pytest.param(GAN_RUN, marks=pytest.mark.slow), D2C_RUN], ids=["gan", "d2c"])
@pytest.mark.slow
def test_two_processes_train_together(tmp_path, changes):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))
    assert run_train(file, "name=alone") == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(ROOT / "srzoo" / "train.py"), "-opt", str(file), "--set", "name=together"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    alone, together = (
        read_weights(tmp_path / "experiments" / name / "models" / "net_g_4.safetensors").tensors
        for name in ("alone", "together")
    )
    for key, value in alone.items():
        # The discriminator's spectral norms and the divergence's standardisation see their own part of a batch.
        torch.testing.assert_close(together[key], value, atol=5e-3, rtol=0)


def test_the_discriminator_is_written_beside_the_generator_and_trains_on_from_its_file(tmp_path, capsys):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, **GAN_RUN))
    assert run_train(file, "train.total_iter=2") == 0
    models = tmp_path / "experiments" / "run" / "models"
    assert sorted(path.name for path in models.iterdir()) == [
        "best.safetensors",
        "net_d_2.safetensors",
        "net_g_2.safetensors",
    ]
    trained = models / "net_d_2.safetensors"
    state = load_state(tmp_path / "experiments" / "run" / "states" / "2.state")["model"]["net_d"]
    assert isinstance(state, dict)
    saved = read_weights(trained)
    assert all(torch.equal(value, saved.tensors[key]) for key, value in state.items())
    assert (saved.metadata["step"], saved.metadata["weights"]) == ("2", "raw")
    assert identity_of(load_network(trained)).flat() == {
        "type": "UNetDiscriminatorSN", "scale": 1, "num_in_ch": 3, "num_feat": 8, "skip_connection": True,
    }  # fmt: skip

    frozen = ["train.total_iter=1", "train.optim_d.type=SGD", "train.optim_d.lr=0"]
    # As Real-ESRGAN and others publish it.
    torch.save({"params": saved.tensors}, tmp_path / "net_d.pth")
    for name, weights in (("own", trained), ("published", tmp_path / "net_d.pth")):
        assert run_train(file, f"name={name}", f"path.pretrain_network_d={weights}", *frozen) == 0
        kept = read_weights(tmp_path / "experiments" / name / "models" / "net_d_1.safetensors").tensors
        convs = [key for key in kept if key.endswith(("weight_orig", "bias"))]
        assert all(torch.equal(kept[key], saved.tensors[key]) for key in convs)
    # Resuming takes the state, not the file again.
    assert run_train(file, f"path.pretrain_network_d={tmp_path / 'gone.pth'}", "train.total_iter=3", resume="auto") == 0

    assert run_train(file, "name=other", f"path.pretrain_network_d={trained}", "network_d.skip_connection=false") == 2
    said = capsys.readouterr().err
    assert "was trained as another network (network_d): skip_connection: True in the file, False here" in said


@pytest.mark.parametrize("name", list(DISCRIMINATORS))
def test_published_discriminators_load(name):
    torch.manual_seed(0)
    net, other = (DISCRIMINATORS.build(name, {"num_feat": 8}) for _ in range(2))
    newer = {
        re.sub(r"weight_([uv])$", r"parametrizations.weight.0._\1", key).replace(
            "weight_orig", "parametrizations.weight.original"
        ): value
        for key, value in net.state_dict().items()
    }
    of_ranks = {f"module.{key}": value for key, value in net.state_dict().items()}
    for layout in ({"params": net.state_dict()}, {"netD": of_ranks}, newer):
        other.load_state_dict({key: torch.zeros_like(value) for key, value in net.state_dict().items()})
        load_weights(other, layout)
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in net.state_dict().items())


def test_a_discriminator_without_use_is_refused(tmp_path, capsys):
    for changes, message in (
        ({"path": {"pretrain_network_d": "d.pth"}}, "these weights are for the discriminator of a training"),
        ({"network_d": GAN_RUN["network_d"]}, "network_d: only model.type GANModel has a discriminator"),
        ({"model": GAN_RUN["model"]}, "GANModel needs a discriminator: add network_d"),
    ):
        file = write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))
        assert run_train(file) == 2
        assert message in capsys.readouterr().err
