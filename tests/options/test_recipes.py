"""Every shipped training option trains: two updates, a validation, a save and an exact resume on small real crops."""

import pytest
import torch
import yaml

from srzoo.chain import weights_after
from srzoo.components import build_datasets
from srzoo.contract import contract_of
from srzoo.optim.learner import Learner
from srzoo.options import load_chain
from srzoo.registry import ARCHS
from srzoo.training import build_degradation, build_loader, build_model
from srzoo.weights import read_weights
from tests.options.test_files import WHOLE
from tests.support import ROOT, run_train, trainings, write_options, write_photographs

TRAININGS = [path for path in WHOLE if (ROOT / "options" / "train") in path.parents]


def has_stages(path):
    """Return True if an option file, or one that it inherits from, has several trainings."""
    tree = yaml.safe_load(path.read_text())
    bases = tree.get("base", [])
    bases = [bases] if isinstance(bases, str) else bases
    return "stages" in tree or any(has_stages(path.parent / base) for base in bases)


CHAINS = [path for path in TRAININGS if has_stages(path)]
STUDIES = [path for path in TRAININGS if "sweep" in yaml.safe_load(path.read_text())]
SINGLE = [path for path in TRAININGS if path not in CHAINS + STUDIES]
# The full size of these is for GPUs; a CPU tries the recipe on narrower networks of fewer blocks.
SMALLER = {
    "RRDBNet": {"num_block": 2, "num_feat": 32, "num_grow_ch": 16},
    "DRCT": {"depths": [6], "num_heads": [6], "embed_dim": 60, "gc": 16},
    "D2CNet": {"num_group": 1, "num_block": 1, "num_feat": 32},
}
# One file of each recipe and each kind of data is tried by default, the others by the slow tests.
QUICK = {"d2c/D2C_RealSR_x2", "drct/DRCT_x4", "imdn/IMDN_RTE_x2", "reflash/Real-SRResNet_x4", "rt4ksr/RT4KSR_x2"}


def label(path):
    """Return the folder and the name of an option file."""
    return f"{path.parent.name}/{path.stem}"


def by_default(paths):
    """Mark the files that are not in QUICK as slow."""
    return [
        pytest.param(path, id=label(path), marks=() if label(path) in QUICK else pytest.mark.slow) for path in paths
    ]


@pytest.fixture(scope="session")
def vgg(tmp_path_factory):
    """Write random weights of VGG19's features: the published ones need a download."""
    import torchvision.models

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(torchvision.models.vgg19(num_classes=1).features.state_dict(), file)
    return file


def small(loaded, tmp_path, vgg, keep_swept=False):
    """Return the options with other data, sizes and steps: a training over small crops of photographs."""
    options = loaded.options
    scale, network = options.scale, options.network_g
    write_photographs(tmp_path / f"gt{scale}", 3, 32 * scale, 40 * scale)
    side = max(16, contract_of(ARCHS[network.type]).multiple_of) * scale
    train = {"gt_size": side, "batch_size": 2, "num_workers": 0}
    images = {"type": "GTImages", "gt": str(tmp_path / f"gt{scale}")}
    tree = yaml.safe_load(loaded.text)
    if tree["degradation"] and tree["degradation"]["gt_size"]:
        tree["degradation"]["gt_size"] = side
        train["gt_size"] = side + 4 * scale
    for loss in tree["train"]["losses"].values():
        if loss["type"] == "PerceptualLoss":
            loss["weights"] = str(vgg)
    tree["datasets"] = {
        "train": {**images, **train, "use_hflip": True, "use_rot": True},
        "val": {"held_out": images},
    }
    swept = {key: tree["network_g"][key] for key in ("gc", "levels", "backbone") if key in tree["network_g"]}
    tree["network_g"] |= SMALLER.get(network.type, {}) | (swept if keep_swept else {})
    # A study may be scored by its test file alone.
    tree["val"]["metrics"] = tree["val"]["metrics"] or {"psnr": {"type": "PSNR"}}
    tree["path"] = {"experiments": str(tmp_path / "experiments")}
    tree["logger"] |= {"use_tb_logger": False}
    tree["train"]["total_iter"] = 2
    tree["data"]["allow_overlap"] = True
    return tree


def small_file(path, tmp_path, vgg):
    (loaded,) = load_chain(path, (), weights_after).values()
    return write_options(tmp_path / "small.yml", small(loaded, tmp_path, vgg))


def test_the_quick_files_exist():
    assert {label(path) for path in TRAININGS} > QUICK


@pytest.mark.parametrize("path", by_default(SINGLE))
def test_it_trains_validates_saves_and_resumes_exactly(path, tmp_path, vgg):
    file = small_file(path, tmp_path, vgg)
    assert run_train(file, "name=straight") == 0
    assert run_train(file, "name=halves", "train.total_iter=1") == 0
    assert run_train(file, "name=halves", resume="auto") == 0
    results = tmp_path / "experiments" / "straight" / "results" / "held_out.json"
    assert results.is_file()
    nets = [
        read_weights(tmp_path / "experiments" / name / "models" / "net_g_2.safetensors").tensors
        for name in ("straight", "halves")
    ]
    assert all(torch.equal(value, nets[1][key]) for key, value in nets[0].items())


@pytest.mark.slow
@pytest.mark.parametrize("path", CHAINS, ids=lambda path: path.stem)
def test_a_chain_trains_from_stage_to_stage(path, tmp_path, vgg):
    stages = {}
    for name, loaded in load_chain(path, (), weights_after).items():
        stages[name] = small(loaded, tmp_path, vgg)
        given = loaded.options.path
        # As in the file: which stages start from the one before, and whether all weights must fit.
        stages[name]["path"] = {"load": given.load} | (
            {"pretrain_network_g": None} if not given.pretrain_network_g else {}
        )
        del stages[name]["name"]
    first = next(iter(stages.values()))
    tree = {
        "name": "chain",
        "scale": 1,
        "network_g": first["network_g"],
        "path": {"experiments": str(tmp_path / "runs")},
    }
    assert run_train(write_options(tmp_path / "small.yml", tree | {"stages": stages})) == 0
    for name in stages:
        assert (tmp_path / "runs" / "chain" / name / "models" / "net_g_2.safetensors").is_file()
        assert (tmp_path / "runs" / "chain" / name / "results" / "held_out.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("path", STUDIES, ids=label)
def test_every_variant_of_a_study_trains(path, tmp_path, vgg):
    for name, loaded in trainings(path).items():
        tree = small(loaded, tmp_path, vgg, keep_swept=True)
        assert run_train(write_options(tmp_path / "small.yml", tree | {"name": name})) == 0, name


def gradients_of_terms(tree, tmp_path, monkeypatch):
    """Return name -> True if it has a gradient on the generator's weights, for each term of the generator's loss."""
    (loaded,) = load_chain(write_options(tmp_path / "one.yml", tree), (), weights_after).values()
    options, device, found = loaded.options, torch.device("cpu"), {}
    data = build_datasets(options, ("train",))
    batch = next(iter(build_loader(options, data["train"], 0, device)))
    degradation = build_degradation(options, None)
    batch = degradation(batch, 0, 0) if degradation is not None else batch
    model = build_model(options, device, None, data["train"])
    # Losses on a schedule of epochs (D2C-SR's divergence) are on in the first of every thousand.
    model.g.iteration.number = 1000 * max(len(data["train"]["train"]) // 2, 1)  # pyright: ignore[reportArgumentType]

    def minimise(self, terms, keys):
        del keys
        if self is model.g:
            weights = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
            for name, term in terms.items():
                gradients = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
                found[name] = any(gradient is not None and bool(gradient.any()) for gradient in gradients)
        return False

    monkeypatch.setattr(Learner, "minimise", minimise)
    model.training_step(batch)
    return found


@pytest.mark.parametrize("path", by_default(SINGLE + CHAINS))
def test_every_loss_moves_the_generator(path, tmp_path, vgg, monkeypatch):
    for loaded in load_chain(path, (), weights_after).values():
        tree = small(loaded, tmp_path, vgg)
        found = gradients_of_terms(tree, tmp_path, monkeypatch)
        for name, loss in tree["train"]["losses"].items():
            terms = {term: moves for term, moves in found.items() if term in (name, f"{name}_leaves", f"{name}_fused")}
            assert terms, f"{name} ({loss['type']}) is no term of the generator's: {list(found)}"
            assert all(terms.values()), terms
