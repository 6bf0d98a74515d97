"""srzoo fuse and srzoo convert weights, as commands."""

import pickle

import pytest
import torch
from safetensors import safe_open

from srzoo.cli import main
from srzoo.layers.reparam import ResidualRepBlock, blocks, largest_difference
from srzoo.registry import ARCHS
from srzoo.weights import load_network, load_weights, read_weights, save_weights
from tests.compat.test_megengine import SMALL, arrays
from tests.compat.test_megengine import network as d2c_network
from tests.support import (
    SHARED,
    needs_shared,
    parameter_count,
    run_test,
    run_train,
    training_options,
    write_options,
    write_photographs,
)


def srzoo(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["srzoo", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def metadata(path):
    with safe_open(path, "pt") as file:
        return file.metadata()


@pytest.fixture
def options(tmp_path):
    """Write an option file that tests the network given."""
    write_photographs(tmp_path / "gt", 2, 32, 40)

    def write(network, scale=2, **val):
        return write_options(
            tmp_path / "options.yml",
            {
                "name": "run",
                "scale": scale,
                "network_g": network,
                "path": {"experiments": str(tmp_path / "experiments"), "pretrain_network_g": str(tmp_path / "w.pth")},
                "datasets": {"test": {"photographs": {"type": "GTImages", "gt": str(tmp_path / "gt")}}},
                "val": {"metrics": {"psnr": {"type": "PSNR"}}, **val},
            },
        )

    return write


@needs_shared
@pytest.mark.parametrize(("scale", "count"), [(2, 39_312), (3, 52_332)])
def test_released_weights_are_fused_with_their_provenance(tmp_path, monkeypatch, options, scale, count):
    source, out = SHARED / "checkpoints" / f"rt4ksr_x{scale}.pth", tmp_path / "fused.safetensors"
    file = options({"type": "RT4KSR"}, scale)
    assert srzoo(monkeypatch, "fuse", "-opt", file, "--weights", source, "--out", out) == 0
    facts = metadata(out)
    assert facts["form"] == "merged"
    assert facts["source"] == source.name
    assert len(facts["source_sha256"]) == 64
    assert float(facts["largest_difference"]) <= 1e-5
    merged = load_network(out)
    assert parameter_count(merged) == count
    trained = ARCHS.build("RT4KSR", {}, scale=scale)
    load_weights(trained, source)
    assert largest_difference(trained, merged) <= 1e-5
    # The file loads without a flag, into a network of either form.
    for deploy in (False, True):
        net = ARCHS.build("RT4KSR", {"deploy": deploy}, scale=scale)
        load_weights(net, out)
        assert largest_difference(net, merged) == 0


@needs_shared
def test_the_merged_form_scores_as_the_training_form(tmp_path, options, capfd):
    (tmp_path / "w.pth").write_bytes((SHARED / "checkpoints" / "rt4ksr_x2.pth").read_bytes())
    scores = []
    for fused in (False, True):
        assert run_test(options({"type": "RT4KSR"}, fused=fused), f"name=fused_{fused}") == 0
        scores.append((tmp_path / "experiments" / f"fused_{fused}" / "results" / "photographs.json").read_text())
    values = [float(text.split('"psnr": ')[-1].split("\n")[0]) for text in scores]
    assert values[0] == pytest.approx(values[1], abs=1e-3)
    assert run_test(options({"type": "IMDN_RTC"}, fused=True)) == 2
    assert "val.fused: IMDN_RTC with these options has no re-parameterisable block" in capfd.readouterr().err


def test_nothing_is_written_where_merging_is_impossible_or_inexact(tmp_path, monkeypatch, options, capfd):
    out = tmp_path / "fused.safetensors"
    torch.save(ARCHS.build("IMDN_RTC", {}, scale=2).state_dict(), tmp_path / "w.pth")
    command = ("fuse", "--weights", tmp_path / "w.pth", "--out", out, "-opt")
    assert srzoo(monkeypatch, *command, options({"type": "IMDN_RTC"})) == 2
    assert "no re-parameterisable block" in capfd.readouterr().err
    # A block whose branches are not what its kernel says.
    torch.save(ARCHS.build("RT4KSR", {}, scale=2).state_dict(), tmp_path / "w.pth")
    with monkeypatch.context() as patched:
        patched.setattr(ResidualRepBlock, "branches", lambda self, x: self.reduce_conv(self.expand_conv(x)))
        assert srzoo(monkeypatch, *command, options({"type": "RT4KSR"})) == 2
    assert "differs from its source by" in capfd.readouterr().err
    assert not out.exists()
    out.write_text("precious")
    assert srzoo(monkeypatch, *command, options({"type": "RT4KSR"})) == 2
    assert "exists: choose another name, or replace it with --overwrite" in capfd.readouterr().err
    assert out.read_text() == "precious"
    assert srzoo(monkeypatch, *command, options({"type": "RT4KSR"}), "--overwrite") == 0


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"params": state},
        lambda state: {"params": {key: value + 1 for key, value in state.items()}, "params_ema": state},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
    ],
    ids=["bare", "params", "params_ema", "state_dict, DDP"],
)
def test_published_layouts_become_rebuildable_files(tmp_path, monkeypatch, options, wrap):
    net = ARCHS.build("IMDN_RTC", {"num_modules": 2}, scale=2)
    torch.save(wrap(net.state_dict()), tmp_path / "w.pth")
    out, file = tmp_path / "out.safetensors", options({"type": "IMDN_RTC", "num_modules": 2})
    assert srzoo(monkeypatch, "convert", "weights", tmp_path / "w.pth", out, "-opt", file) == 0
    assert metadata(out)["source"] == "w.pth"
    rebuilt = load_network(out).state_dict()
    assert all(torch.equal(value, rebuilt[key]) for key, value in net.state_dict().items())
    # Without an option file the tensors are taken as they are.
    bare = tmp_path / "bare.safetensors"
    assert srzoo(monkeypatch, "convert", "weights", tmp_path / "w.pth", bare) == 0
    assert read_weights(bare).tensors.keys() == net.state_dict().keys()


def test_the_authors_layout_carries_the_tables_that_other_code_looks_for(tmp_path, monkeypatch):
    tiny = {"embed_dim": 48, "depths": [6], "num_heads": [6], "window_size": 8, "gc": 12, "img_size": 16}
    net, source, out = ARCHS.build("DRCT", tiny, scale=2), tmp_path / "srzoo.safetensors", tmp_path / "authors.pth"
    save_weights(source, net, {})
    assert srzoo(monkeypatch, "convert", "weights", source, out, "--layout", "authors") == 0
    tensors = read_weights(out).tensors
    assert tensors["layers.0.swin2.attn_mask"].shape == (4, 64, 64)
    assert tensors["layers.0.swin1.attn.relative_position_index"].shape == (64, 64)
    other = ARCHS.build("DRCT", tiny, scale=2)
    load_weights(other, out)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in net.state_dict().items())


def test_d2c_pickles_become_rgb_networks(tmp_path, monkeypatch, options):
    net = d2c_network()
    state = {"state_dict_D": arrays(net.tree), "state_dict_C": arrays(net.fusion)}
    (tmp_path / "d2c.pkl").write_bytes(pickle.dumps(state))
    out, file = tmp_path / "d2c.safetensors", options({"type": "D2CNet", **SMALL})
    assert srzoo(monkeypatch, "convert", "weights", tmp_path / "d2c.pkl", out, "-opt", file) == 0
    lq = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(load_network(out)(lq).flip(1), net(lq.flip(1)))


def test_wrong_requests_are_refused(tmp_path, monkeypatch, options, capfd):
    net = ARCHS.build("IMDN_RTC", {"num_modules": 2}, scale=2)
    source = tmp_path / "w.pth"
    torch.save(net.state_dict(), source)
    cases = [
        ((source, tmp_path / "o.pth", "--layout", "authors"), "name an option file with -opt"),
        ((source, tmp_path / "o.onnx"), "expected an output name ending in .safetensors or .pth"),
        ((tmp_path / "none.pth", tmp_path / "o.pth"), "none.pth do not exist"),
        ((source, tmp_path / "o.safetensors", "-opt", options({"type": "IMDN_RTC"})), "`num_modules`: the file has 2"),
        (
            (source, tmp_path / "o.pth", "-opt", options({"type": "IMDN_RTC"})),
            "expected an output name ending in .safetensors",
        ),
    ]
    for arguments, message in cases:
        assert srzoo(monkeypatch, "convert", "weights", *arguments) == 2
        error = capfd.readouterr().err
        assert message in error
        assert str(tmp_path) in error
    assert [path.name for path in tmp_path.glob("o.*")] == []


def test_a_network_of_nans_is_not_written(tmp_path, monkeypatch, options, capfd):
    state = ARCHS.build("RT4KSR", {}, scale=2).state_dict()
    out, file = tmp_path / "fused.safetensors", options({"type": "RT4KSR"})
    # Finite weights may overflow inside the network.
    for value, message in (
        ("nan", "values that are not finite: upsample.0.weight has 10,368 of 10,368"),
        ("inf", "values that are not finite: upsample.0.weight has 10,368 of 10,368"),
        ("1e38", "differs from its source by inf"),
    ):
        state["upsample.0.weight"] = torch.full_like(state["upsample.0.weight"], float(value))
        torch.save(state, tmp_path / "w.pth")
        assert srzoo(monkeypatch, "fuse", "-opt", file, "--weights", tmp_path / "w.pth", "--out", out) == 2
        assert message in capfd.readouterr().err
    state["upsample.0.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "w.pth")
    assert srzoo(monkeypatch, "convert", "weights", tmp_path / "w.pth", out) == 2
    assert "fused.safetensors was not written, because of values that are not finite: upsa" in capfd.readouterr().err
    assert not out.exists()


def test_converting_takes_the_entry_that_fits_the_network(tmp_path, monkeypatch, options, capfd):
    net = ARCHS.build("IMDN_RTC", {"num_modules": 2}, scale=2)
    larger = ARCHS.build("IMDN_RTC", {"num_modules": 5}, scale=2)
    torch.save({"teacher": larger.state_dict(), "student": net.state_dict()}, tmp_path / "w.pth")
    out, file = tmp_path / "out.safetensors", options({"type": "IMDN_RTC", "num_modules": 2})
    assert srzoo(monkeypatch, "convert", "weights", tmp_path / "w.pth", out, "-opt", file) == 0
    assert "took student, not teacher" in capfd.readouterr().out
    assert torch.equal(load_network(out).state_dict()["model.0.weight"], net.state_dict()["model.0.weight"])


def test_an_option_file_may_name_the_network_alone(tmp_path, monkeypatch, capfd):
    net = ARCHS.build("IMDN_RTC", {"num_modules": 2}, scale=2)
    better = {key: value + 1 for key, value in net.state_dict().items()}
    torch.save({"params": net.state_dict(), "params_ema": better}, tmp_path / "w.pth")
    network = {"type": "IMDN_RTC", "num_modules": 2}
    file = write_options(tmp_path / "net.yml", {"name": "n", "scale": 2, "network_g": network})
    command = ("convert", "weights", tmp_path / "w.pth", tmp_path / "out.safetensors")
    # The option file chooses the entry as it does everywhere; what it cannot choose is refused.
    assert srzoo(monkeypatch, *command, "-opt", file, "--set", "path.param_key_g=params") == 2
    assert "there are no weights to choose from" in capfd.readouterr().err
    assert srzoo(monkeypatch, *command, "-opt", file, "--key", "params") == 0
    assert torch.equal(read_weights(command[3]).tensors["model.0.weight"], net.state_dict()["model.0.weight"])
    assert srzoo(monkeypatch, *command, "--overwrite", "--set", "scale=3") == 2
    assert "--set overrides an option file: name it with -opt" in capfd.readouterr().err


def test_training_starts_from_the_training_form(tmp_path, capfd):
    merged = ARCHS.build("RT4KSR", {}, scale=2).fused()
    torch.save(merged.state_dict(), tmp_path / "merged.pth")
    changes = {
        "network_g": {"num_modules": None, "type": "RT4KSR"},
        "path": {"pretrain_network_g": str(tmp_path / "merged.pth")},
    }
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))
    assert run_train(file, "train.total_iter=1") == 2
    assert "train from weights in training form" in capfd.readouterr().err
    assert run_train(file, "train.total_iter=1", "network_g.deploy=true", "name=deployed") == 0
    assert run_train(file, "train.total_iter=2", "network_g.deploy=true", "name=deployed", resume="auto") == 0


def test_blocks_of_a_fused_network_are_named():
    net = ARCHS.build("RT4KSR", {}, scale=2)
    assert [name for name, _ in blocks(net)] == [*(f"body.{number}.conv1." for number in range(4)), "tail.1."]
