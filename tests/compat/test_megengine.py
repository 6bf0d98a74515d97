"""D2C-SR's released layout: a pickle of arrays for BGR images, read without running anything from it."""

import pickle

import numpy as np
import pytest
import torch
from numpy._core.numeric import _frombuffer as frombuffer  # pyright: ignore[reportAttributeAccessIssue]

from srzoo.compat.megengine import is_megengine, read_d2c
from srzoo.registry import ARCHS
from srzoo.tensor_files import CheckpointError
from srzoo.weights import load_weights

SMALL = {"num_feat": 16, "num_group": 1, "num_block": 1}


def network(seed=0):
    torch.manual_seed(seed)
    net = ARCHS.build("D2CNet", SMALL, scale=2).eval()
    with torch.no_grad():  # the authors' mean shifts were free to move
        for shift in (net.tree.sub_mean, net.tree.add_mean):
            shift.weight.add_(0.1 * torch.randn_like(shift.weight))
    return net


def arrays(module):
    """Return a module's weights as MegEngine pickles them: biases of convolutions are (1, C, 1, 1)."""
    return {
        name: (value.view(1, -1, 1, 1) if name.endswith("bias") else value).numpy()
        for name, value in module.state_dict().items()
    }


@pytest.mark.parametrize("protocol", [2, 4, 5])
@torch.no_grad()
def test_the_imported_network_does_for_rgb_what_the_authors_do_for_bgr(tmp_path, protocol):
    authors, path = network(), tmp_path / "released.pkl"
    state = {"epoch": 7, "state_dict_D": arrays(authors.tree), "state_dict_C": arrays(authors.fusion)}
    path.write_bytes(pickle.dumps(state, protocol=protocol))
    assert is_megengine(path)
    ours = network(seed=1)
    load_weights(ours, read_d2c(path))
    rgb = torch.rand(2, 3, 8, 9)
    expected = authors(rgb.flip(1), output="all")  # the authors' code sees the colours in OpenCV's order
    found = ours(rgb, output="all")
    torch.testing.assert_close(found.leaves.flip(2), expected.leaves)
    torch.testing.assert_close(found.weights, expected.weights)
    torch.testing.assert_close(found.sr.flip(1), expected.sr)


FUSION = "fusion_final.0.conv.weight"


class Forged:
    """An array by its parts, as an attacker may write them: a type, bytes and a shape that need not agree."""

    def __init__(self, kind, data, shape=(1,)):
        self.parts = (data, np.dtype(kind), shape, "C")

    def __reduce__(self):
        return frombuffer, self.parts


class Evil:
    def __reduce__(self):
        return (print, ("code from the file ran",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict_D": {"a": Evil()}, "state_dict_C": {}}, "refers to builtins.print"),
        ({"state_dict_D": {"a": torch.zeros(1)}, "state_dict_C": {}}, "it refers to torch"),
        ({"state_dict_D": {"a": np.array([Evil()], dtype=object)}, "state_dict_C": {}}, "array of type O8"),
        ({"state_dict_D": {"a": np.array([1, 2])}, "state_dict_C": {}}, "array of type i8"),
        ({"state_dict_D": {"a": "text"}, "state_dict_C": {}}, "tree.a: expected an array, found str"),
        ({"state_dict_D": {}, "other": {}}, "expected a dict with state_dict_D and state_dict_C"),
        (["state_dict_D"], "expected a dict with"),
        ({"state_dict_D": {1: np.zeros(2)}, "state_dict_C": {}, "x": Forged("O8", b"x" * 8)}, "array of type O8"),
        ({"state_dict_D": {"a": Forged("f4", b"x" * 9)}, "state_dict_C": {}}, "tree.a: expected an array of"),
        ({"state_dict_D": {"a": Forged("f4", b"x" * 4, (5,))}, "state_dict_C": {}}, r"shape \(5,\) with 1 values"),
        ({"state_dict_D": {}, "state_dict_C": {FUSION: np.zeros((1, 4, 1, 1))}}, "not the weights of a network"),
    ],
)
def test_anything_else_is_refused_and_nothing_runs(tmp_path, capsys, content, message):
    path = tmp_path / "strange.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        read_d2c(path)
    assert "code from the file ran" not in capsys.readouterr().out


def test_a_truncated_pickle_is_refused(tmp_path):
    path = tmp_path / "short.pkl"
    path.write_bytes(pickle.dumps({"state_dict_D": {"a": np.zeros(99)}, "state_dict_C": {}})[:-50])
    with pytest.raises(CheckpointError, match="refused"):
        read_d2c(path)
