"""Sections removed with null: the options that only served them go too, and nothing else."""

import pytest

from srzoo.options import OptionsError, load_options
from tests.support import training_options, write_options

BENCHMARK = {"test": {"mine": {"type": "GTImages", "gt": "x"}}}


def load(tmp_path, *overrides, text="", **changes):
    """Load a file that inherits a whole training and benchmark; `text` is its own."""
    changes = {"val": {"val_freq": 2}, "datasets": BENCHMARK} | changes
    write_options(tmp_path / "base.yml", training_options(tmp_path, **changes))
    (tmp_path / "x.yml").write_text("base: base.yml\n" + text)
    return load_options(tmp_path / "x.yml", overrides).options


@pytest.mark.parametrize(
    "section",
    ["seed", "model", "data", "degradation", "path", "train", "val.val_freq", "logger", "plugins", "datasets.train",
     "datasets.val", "datasets.test", "train.scheduler", "train.grad_clip", "path.experiments",
     "path.pretrain_network_g", "network_d", "network_g.num_modules"],
)  # fmt: skip
def test_an_optional_section_is_removed_without_a_fault(tmp_path, section):
    load(tmp_path, f"{section}=null")
    *parents, key = section.split(".")
    text = "".join("  " * depth + f"{parent}:\n" for depth, parent in enumerate(parents))
    load(tmp_path, text=text + "  " * len(parents) + f"{key}: null\n")


@pytest.mark.parametrize("section", ["val", "val.metrics"])
def test_without_scoring_nothing_is_validated(tmp_path, section):
    options = load(tmp_path, f"{section}=null", datasets={})
    assert not options.datasets.val
    assert options.train is not None
    with pytest.raises(OptionsError) as error:
        load(tmp_path, f"{section}=null")
    (fault,) = error.value.faults
    assert "datasets.test: nothing is measured on these" in str(fault)


def test_serving_options_go_with_their_section(tmp_path):
    weights = {"path": {"pretrain_network_g": "w.pth", "param_key_g": "params", "load": "partial"}}
    options = load(tmp_path, "train=null", **weights)
    assert options.datasets.train is None
    assert options.path.load == "strict"
    assert options.path.pretrain_network_g is not None
    options = load(tmp_path, "path.pretrain_network_g=null", **weights)
    assert options.path.param_key_g == "auto"
    options = load(tmp_path, "datasets.train=null", degradation={"stages": [{"type": "USM"}]})
    assert options.train is None
    assert options.degradation is None
    options = load(tmp_path, "datasets.val=null")
    assert options.val.val_freq is None


def test_one_fault_remains_where_nothing_is_left_to_do(tmp_path):
    for section in ("datasets", "datasets.train", "train"):
        with pytest.raises(OptionsError) as error:
            load(tmp_path, f"{section}=null", datasets={})
        (fault,) = error.value.faults
        assert "nothing to do: add datasets.train (to train) or datasets.test" in str(fault)


def test_a_gan_without_discriminator_is_one_fault(tmp_path):
    gan = {"network_d": {"type": "UNetDiscriminatorSN"}, "model": {"type": "GANModel"}}
    with pytest.raises(OptionsError) as error:
        load(tmp_path, "network_d=null", **gan)
    (fault,) = error.value.faults
    assert "GANModel needs a discriminator: add network_d and train.optim_d" in str(fault)
    assert load(tmp_path, "model=null", **gan).network_d is None


def test_options_that_the_same_file_sets_stay_and_are_reported(tmp_path):
    text = "train: null\ndatasets: {train: {type: GTImages, gt: x, gt_size: 32, batch_size: 4}}\n"
    with pytest.raises(OptionsError) as error:
        load(tmp_path, text=text)
    (fault,) = error.value.faults
    assert "datasets.train: there is data to train on but no `train` section" in str(fault)


@pytest.mark.parametrize("key", ["train.grad_clp", "vall", "train.losses.pixl", "datasets.val.Set6", "network_g"])
def test_misspelt_and_required_keys_stay_faults(tmp_path, key):
    with pytest.raises(OptionsError) as error:
        load(tmp_path, f"{key}=null")
    assert any(key in str(fault) for fault in error.value.faults)
