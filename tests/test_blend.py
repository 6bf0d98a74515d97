"""`srzoo blend`: network interpolation."""

import numpy as np
import pytest
import torch

from srzoo import load_network
from srzoo.cli import parse
from srzoo.command import execute
from srzoo.registry import ARCHS
from srzoo.state_dicts import interpolated
from srzoo.tensor_files import read_metadata, sha256
from srzoo.weights import save_weights
from tests.support import SHARED, needs_shared, synthetic_weights


def blend(*words):
    """Run the command in this process; return its exit code."""
    arguments = parse(["blend", *map(str, words)])
    return execute(arguments.run, arguments)


def network(seed, **options):
    torch.manual_seed(seed)
    return ARCHS.build("SRVGGNetCompact", {"num_feat": 8, "num_conv": 1, **options}, scale=2)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with two networks of one kind, a.safetensors and b.safetensors; it is the working directory."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("ab"):
        save_weights(tmp_path / f"{name}.safetensors", network(seed), {})
    return tmp_path


@needs_shared
def test_it_equals_the_published_rule(tmp_path):
    net = ARCHS.build("SRVGGNetCompact", {"num_feat": 32, "num_conv": 8}, scale=4)
    for name, prefix in (("a", ""), ("b", "b:")):
        keys = {prefix + key: ("", list(value.shape)) for key, value in net.state_dict().items()}
        made = synthetic_weights(keys)
        net.load_state_dict({key: made[prefix + key] for key in net.state_dict()})
        save_weights(tmp_path / f"{name}.safetensors", net, {})
    files = [tmp_path / f"{name}.safetensors" for name in "abc"]
    assert blend(*files[:2], "--alpha", 0.3, "-o", files[2]) == 0
    image = np.random.default_rng(901).random((1, 3, 12, 16), dtype=np.float32)
    with torch.no_grad():
        sr = load_network(files[2])(torch.from_numpy(image)).numpy()
    with np.load(SHARED / "reference" / "insight" / "dni_srvgg_x4_03.npz") as arrays:
        expected = arrays["y_interpolated"]
    np.testing.assert_allclose(sr, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)


def test_the_file_names_its_sources(here, capsys):
    assert blend("a.safetensors", "b.safetensors", "--alpha", 0.25, "-o", "c.safetensors") == 0
    metadata = read_metadata(here / "c.safetensors")
    assert metadata["form"] == "interpolated"
    assert metadata["alpha"] == "0.25"
    for letter in "ab":
        assert metadata[f"source_{letter}"] == f"{letter}.safetensors"
        assert metadata[f"source_{letter}_sha256"] == sha256(here / f"{letter}.safetensors")
    assert "0.25 * a.safetensors + 0.75 * b.safetensors -> c.safetensors" in capsys.readouterr().out
    first, second, third = (load_network(here / f"{name}.safetensors").state_dict() for name in "abc")
    for key, value in third.items():
        torch.testing.assert_close(value, 0.25 * first[key] + 0.75 * second[key])


@pytest.mark.parametrize("alpha", [0, 1])
def test_the_ends_are_the_sources_themselves(here, alpha):
    assert blend("a.safetensors", "b.safetensors", "--alpha", alpha, "-o", "c.safetensors") == 0
    same = load_network(here / ("a.safetensors" if alpha else "b.safetensors")).state_dict()
    for key, value in load_network(here / "c.safetensors").state_dict().items():
        torch.testing.assert_close(value, same[key], atol=0, rtol=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.safetensors", "wide.safetensors", "--alpha", "0.3"], "num_feat: 12 in the file, 8 here"),
        (
            ["a.safetensors", "other.safetensors", "--alpha", "0.3"],
            "type: 'RT4KSR' in the file, 'SRVGGNetCompact' here",
        ),
        (["a.safetensors", "none.safetensors", "--alpha", "0.3"], "none.safetensors"),
        (["a.safetensors", "b.safetensors", "--alpha", "1.5"], "--alpha must be from 0 to 1, got 1.5"),
        (["a.safetensors", "b.safetensors", "--alpha", "0.5", "-o", "b.safetensors"], "b.safetensors exists"),
        (["a.safetensors", "b.safetensors", "--alpha", "0.5", "-o", "c.pth"], "ending in .safetensors"),
    ],
)
def test_what_cannot_be_blended_is_refused(here, words, message, capsys):
    save_weights(here / "wide.safetensors", network(2, num_feat=12), {})
    save_weights(here / "other.safetensors", ARCHS.build("RT4KSR", {}, scale=2), {})
    before = sorted(here.iterdir())
    out = [] if "-o" in words else ["-o", "c.safetensors"]
    assert blend(*words, *out) == 2
    assert message in capsys.readouterr().err
    assert sorted(here.iterdir()) == before


def test_integers_are_kept_and_other_keys_refused():
    first = {"w": torch.ones(2), "count": torch.tensor(3)}
    result = interpolated(first, {"w": torch.zeros(2), "count": torch.tensor(9)}, 0.3)
    assert result["count"].dtype == torch.int64
    assert int(result["count"]) == 3
    torch.testing.assert_close(result["w"], torch.full((2,), 0.3))
    with pytest.raises(ValueError, match=r"B has other entries than A.*\n  missing: count\n  unexpected: number"):
        interpolated(first, {"w": torch.zeros(2), "number": torch.tensor(9)}, 0.3)
