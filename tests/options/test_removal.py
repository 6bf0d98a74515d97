"""Sections removed with null: what is of no use without them goes too, and nothing else."""

import pytest

from srzoo.options import OptionsError, load_options
from tests.support import training_options, write_options

GAN = {
    "model": {"type": "GANModel", "net_d_iters": 2},
    "network_d": {"type": "UNetDiscriminatorSN"},
    "train": {
        "optim_d": {"type": "Adam", "lr": 1e-4},
        "losses": {"gan": {"type": "GANLoss", "weight": 0.1}, "pixel": {"type": "L1Loss"}},
    },
}


@pytest.fixture
def load(tmp_path):
    """(changes, overrides, top) -> options of a file that inherits a training."""

    def run(*overrides, top=None, **changes):
        write_options(tmp_path / "base.yml", training_options(tmp_path, **changes))
        file = write_options(tmp_path / "top.yml", {"base": "base.yml", **(top or {})})
        return load_options(file, overrides, purpose="network").options

    return run


def test_the_interval_of_validation_goes_with_its_datasets(load):
    assert load("datasets.val=null", val={"val_freq": 2}).val.val_freq is None
    assert load("datasets.val.held_out=null", val={"val_freq": 2}).val.val_freq is None
    assert load("val=null", val={"val_freq": 2}).datasets.val == {}
    top = {"datasets": {"val": None}, "val": {"val_freq": 2}}
    with pytest.raises(OptionsError, match=r"val\.val_freq: there is nothing to validate on"):
        load(top=top)


def test_training_and_its_data_go_together(load):
    degradation = {"stages": [{"type": "JPEG"}]}
    for override in ("train=null", "datasets.train=null", "datasets=null"):
        options = load(override, degradation=degradation, path={"load": "partial", "pretrain_network_g": "x.pth"})
        assert (options.train, options.datasets.train, options.degradation) == (None, None, None)
        assert options.path.load == "strict"


@pytest.mark.parametrize("override", ["network_d=null", "model=null"])
def test_a_discriminator_goes_with_its_optimiser_loss_and_recipe(load, override):
    options = load(override, **GAN)
    assert options.network_d is None
    assert options.model.type == "SRModel"
    assert options.train is not None
    assert options.train.optim_d is None
    assert list(options.train.losses) == ["pixel"]


def test_the_choice_within_a_weights_file_goes_with_the_file(load):
    path = {"pretrain_network_g": "x.pth", "param_key_g": "params", "load": "partial"}
    options = load("path.pretrain_network_g=null", path=path)
    assert (options.path.param_key_g, options.path.load) == ("auto", "strict")


@pytest.mark.parametrize("key", ["data", "degradation", "plugins", "model", "network_d", "val.save_img", "path.root"])
def test_options_that_were_not_inherited_can_be_removed(load, key):
    assert load(f"{key}=null") == load()


def test_nulls_with_a_meaning_stay_and_misspelt_ones_are_reported(load):
    assert load("logger.num_states=null").logger.num_states is None
    with pytest.raises(OptionsError, match=r"dat: unknown option; did you mean 'data'"):
        load("dat=null")
    with pytest.raises(OptionsError, match=r"datasets\.val\.Set5"):
        load("datasets.val.Set5=null")
