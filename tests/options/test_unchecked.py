"""`options show` of files with plugins: no code of them runs unless asked for, and the output says so."""

import pytest
import yaml

from srzoo.cli import parse
from srzoo.command import execute
from tests.support import training_options, write_options

# Writes a file when it is run.
PLUGIN = """
from pathlib import Path
from torch import nn
from srzoo.registry import ARCHS, LOSSES

Path(__file__).with_suffix(".ran").touch()

@ARCHS.register
class {prefix}Net(nn.Module):
    def __init__(self, *, scale: int, width: int = 8) -> None:
        super().__init__()
        if width % 2:
            raise ValueError("width must be even")
        self.conv = nn.Conv2d(3, width, 3)

@LOSSES.register
class {prefix}Loss(nn.Module):
    def __init__(self, *, power: float = 1.0) -> None:
        super().__init__()
"""


@pytest.fixture
def show(tmp_path, capsys):
    """Show a training file with a plugin: exit code, printed text, errors."""

    def run(changes, *words, prefix="Shown"):
        (tmp_path / "mine.py").write_text(PLUGIN.format(prefix=prefix))
        file = write_options(tmp_path / "x.yml", training_options(tmp_path, plugins=["mine.py"], **changes))
        arguments = parse(["options", "show", str(file), *words])
        return execute(arguments.run, arguments), *capsys.readouterr()

    run.ran = tmp_path / "mine.ran"  # pyright: ignore[reportFunctionMemberAccess]
    return run


def test_entries_of_a_plugin_are_printed_as_written_and_marked(show, tmp_path):
    network = {"type": "ShownNet", "num_modules": None, "wdth": 3, "file": "${env:SRZOO_UNSET}"}
    losses = {"mine": {"type": "ShownLoss", "power": 2, "weight": 0.5}}
    code, out, error = show({"network_g": network, "train": {"losses": losses}})
    assert (code, error) == (0, "")
    assert not show.ran.exists()
    lines = out.splitlines()
    assert lines[0] == f"# plugin not run, as it would be with --plugins: {tmp_path}/mine.py"
    assert "  type: ShownNet  # unchecked: a network of a plugin" in lines
    assert "      type: ShownLoss  # unchecked: a loss of a plugin; did you mean 'MSELoss' or 'GANLoss'?" in lines
    assert sum("unchecked" in line for line in lines) == 2
    shown = yaml.safe_load(out)
    assert shown["network_g"] == {"type": "ShownNet", "wdth": 3, "file": "${env:SRZOO_UNSET}"}
    assert shown["train"]["losses"]["mine"] == {"type": "ShownLoss", "weight": 0.5, "power": 2}
    assert shown["train"]["losses"]["pixel"] == {"type": "L1Loss", "weight": 1.0}


def test_everything_else_is_checked_as_ever(show):
    changes = {
        "network_g": {"type": "ShownNet"},
        "train": {"losses": {"mine": {"type": "ShownLoss", "weight": -1}}, "total_itr": 3},
        "val": {"metrics": {"psnr": {"type": "PSNR", "protocol": "basicsr"}}},
        "datasets": {"train": {"gt_size": 33}},
    }
    code, out, error = show(changes)
    assert (code, out) == (2, "")
    for part in (
        "train.losses.mine.weight: expected number >= 0, got -1",
        "train.total_itr: unknown option; did you mean 'total_iter'?",
        "val.metrics.psnr.protocol: expected basicsr-y",
        "gt_size: expected a multiple of the scale 2, got 33",
    ):
        assert part in error
    assert "ShownNet" not in error
    assert not show.ran.exists()


def test_a_misspelt_type_gets_its_suggestion(show):
    code, out, _ = show({"network_g": {"type": "IMDN_RCT"}})
    assert code == 0
    assert "# unchecked: a network of a plugin; did you mean 'IMDN_RTE' or 'IMDN_RTC'" in out


def test_an_option_that_names_a_plugin_is_not_a_fault(show):
    network = {"type": "D2CNet", "num_modules": None, "backbone": "Shown"}
    code, out, _ = show({"network_g": network})
    assert code == 0
    assert "  type: D2CNet  # unchecked: unknown backbone 'Shown'" in out


def test_stages_of_a_degradation_are_marked_in_their_list(show):
    stages = [{"type": "USM"}, {"type": "ShownStage", "strength": 1}]
    code, out, error = show({"degradation": {"stages": stages}})
    assert code == 0, error
    assert out.index("type: USM\n") < out.index("type: ShownStage  # unchecked: a degradation of a plugin")


def test_plugins_run_on_request(show):
    code, out, _ = show({"network_g": {"type": "WantedNet", "num_modules": None}}, "--plugins", prefix="Wanted")
    assert code == 0
    assert show.ran.exists()
    assert "#" not in out
    assert yaml.safe_load(out)["network_g"] == {"type": "WantedNet", "width": 8}
    code, _, error = show(
        {"network_g": {"type": "WantedNet", "num_modules": None, "width": 3}}, "--plugins", prefix="Wanted"
    )
    assert code == 2
    assert "WantedNet: width must be even" in error


def test_without_plugins_an_unknown_type_is_a_fault(tmp_path, capsys):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, network_g={"type": "Elsewhere"}))
    arguments = parse(["options", "show", str(file)])
    assert execute(arguments.run, arguments) == 2
    assert "unknown network 'Elsewhere'" in capsys.readouterr().err


def test_a_missing_plugin_is_a_fault_even_if_it_is_not_run(show):
    code, _, error = show({}, "--set", "plugins=[elsewhere.py]")
    assert code == 2
    assert "plugins[0]: plugin file elsewhere.py does not exist" in error


def test_later_checks_know_the_type_as_unknown(show):
    """An unchecked type is accepted for one file only."""
    from srzoo.options import OptionsError, load_options

    assert show({"network_g": {"type": "ShownNet"}})[0] == 0
    with pytest.raises(OptionsError, match="unknown network 'ShownNet'"):
        load_options(show.ran.with_name("x.yml"), ["plugins=[]"])
