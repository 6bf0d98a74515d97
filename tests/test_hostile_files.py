"""Files that would run code when a careless program reads them: none does, and each is refused as a user's error.

Each file would leave a mark on the disk. Pickles call functions of the standard library, NumPy or PyTorch; they lie
bare, in PyTorch's two formats, and beside or around real weights.
"""

import importlib
import io
import operator
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from srzoo import load_network
from srzoo.images import read_header, read_image
from srzoo.options import load_options
from srzoo.state import load_state, save_state
from srzoo.weights import read_weights
from tests.support import run_train, training_options, write_options

# Function -> arguments, with which it would make the file MARK (or run the statement that does).
MARK, STATEMENT = "{mark}", "open({mark!r}, 'w')"
CALLS: dict[str, tuple[object, ...]] = {
    "builtins.compile": (STATEMENT, "x", "exec"),
    "builtins.eval": (STATEMENT,),
    "builtins.exec": (STATEMENT,),
    "builtins.open": (MARK, "w"),
    "cProfile.run": (STATEMENT,),
    "code.interact": (STATEMENT,),
    "gzip.open": (MARK, "w"),
    "io.FileIO": (MARK, "w"),
    "logging.FileHandler": (MARK,),
    "numpy.save": (MARK, 1),
    "numpy.memmap": (MARK, "uint8", "w+", 0, 1),
    "os.mkdir": (MARK,),
    "os.mknod": (MARK,),
    "os.popen": ("touch {mark}",),
    "os.system": ("touch {mark}",),
    "pathlib.Path.touch": (Path(MARK),),
    "pdb.run": (STATEMENT,),
    "pickle.loads": (b"cos\nsystem\n(Vtouch {mark}\ntR.",),
    "posix.system": ("touch {mark}",),
    "profile.run": (STATEMENT,),
    "shelve.open": (MARK,),
    "sqlite3.connect": (MARK,),
    "subprocess.Popen": (["touch", MARK],),
    "subprocess.check_output": (["touch", MARK],),
    "tarfile.open": (MARK, "w"),
    "timeit.timeit": (STATEMENT, "pass"),
    "torch.load": (MARK, None, None),
    "torch.save": (1, MARK),
    "trace.Trace": (1,),
    "zipfile.ZipFile": (MARK, "w"),
}


class Call:
    """An object whose pickle calls a function."""

    def __init__(self, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def hostile(name: str, mark: Path) -> Call:
    """Return an object that calls a function of CALLS on loading."""

    def filled(value: object) -> object:
        if isinstance(value, str | Path):
            return type(value)(str(value).replace("{mark!r}", repr(str(mark))).replace(MARK, str(mark)))
        if isinstance(value, bytes):
            return value.replace(b"{mark}", bytes(mark))
        return [filled(item) for item in value] if isinstance(value, list) else value

    module, _, path = name.partition(".")
    function = operator.attrgetter(path)(importlib.import_module(module))
    return Call(function, tuple(map(filled, CALLS[name])))


def in_pytorch(content: object, *, zipped: bool = True) -> bytes:
    """Return a file as torch.save writes it."""
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def weights(**further: object) -> dict[str, object]:
    """Return the state dict of a small network, and more."""
    return {**nn.Conv2d(3, 12, 3).state_dict(), **further}


FORMS: Mapping[str, Callable[[Call], bytes]] = {
    "bare": pickle.dumps,
    "old protocol": lambda call: pickle.dumps({"params": call}, protocol=0),
    "in a state dict": lambda call: in_pytorch({"params": weights(extra=call)}),
    "as a key's neighbour": lambda call: in_pytorch({"meta": call, "params": weights()}, zipped=False),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CALLS)
def test_no_pickle_runs_a_function(tmp_path, name, form):
    mark, file = tmp_path / "mark", tmp_path / "hostile.pth"
    file.write_bytes(FORMS[form](hostile(name, mark)))
    before = set(tmp_path.iterdir())
    for read in (read_weights, load_network, load_state):
        with pytest.raises(ValueError, match=r"hostile\.pth"):
            read(file)
    assert set(tmp_path.iterdir()) == before


def test_the_calls_would_leave_a_mark(tmp_path):
    """The files are hostile indeed: read without a guard, they leave marks."""
    names = ["builtins.exec", "os.system", "pathlib.Path.touch", "sqlite3.connect", "numpy.save", "torch.save"]
    for name in names:
        mark = tmp_path / name
        for form in ("bare", "in a state dict"):
            content = FORMS[form](hostile(name, mark))
            torch.load(io.BytesIO(content), weights_only=False) if form != "bare" else pickle.loads(content)
        assert list(tmp_path.glob(f"{name}*")), name


# Opcodes by hand, which no object's __reduce__ makes.
OPCODES = {
    "INST": b"(S'touch {mark}'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nVtouch {mark}\no.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93(Vtouch {mark}\ntR.",
    "two levels of attributes": b"\x80\x04\x8c\x05torch\x8c\x13serialization.os.mkdir\x93(V{mark}\ntR.",
    "a global through PyTorch": b"ctorch.serialization\nos.mkdir\n(V{mark}\ntR.",
    "getattr": b"cbuiltins\ngetattr\n(cos\n__dict__\nVmkdir\ntR.",
    "memoised": b"cos\nsystem\np0\n0g0\n(Vtouch {mark}\ntR.",
    "the extension registry": b"\x80\x02\x82\x01(Vtouch {mark}\ntR.",
    "a persistent identifier": b"(Vstorage\ncos\nsystem\nV{mark}\nVcpu\nI1\ntQ.",
}


@pytest.mark.parametrize("name", OPCODES)
@pytest.mark.parametrize("packed", [False, True])
def test_no_opcode_runs_a_function(tmp_path, name, packed):
    mark, file = tmp_path / "mark", tmp_path / "hostile.pth"
    pickled = OPCODES[name].replace(b"{mark}", bytes(mark))
    if packed:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/version", "3\n")
    else:
        file.write_bytes(pickled)
    for read in (read_weights, load_network, load_state):
        with pytest.raises(ValueError, match=r"hostile\.pth"):
            read(file)
    assert not mark.exists()


def test_a_program_of_torchscript_is_not_run(tmp_path):
    class Program(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image

    file = tmp_path / "hostile.pth"
    torch.jit.script(Program()).save(str(file))
    for read in (read_weights, load_network, load_state):
        with pytest.raises(ValueError, match=r"hostile\.pth"):
            read(file)


YAML = (
    "!!python/object/apply:os.system ['touch {mark}']",
    "!!python/object/new:os.system ['touch {mark}']",
    "!!python/object/apply:subprocess.check_output [[touch, '{mark}']]",
    "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{mark}']]",
    "!!python/name:os.system",
    "!!python/module:os",
    "!<tag:yaml.org,2002:python/object/apply:os.mkdir> ['{mark}']",
    "!!python/object/apply:eval [\"open('{mark}', 'w')\"]",
)


@pytest.mark.parametrize("text", YAML)
@pytest.mark.parametrize("place", ["option file", "base", "--set"])
def test_no_option_runs_a_function(tmp_path, text, place):
    mark, file = tmp_path / "mark", tmp_path / "x.yml"
    value = text.replace("{mark}", str(mark))
    overrides = [f"name={value}"] if place == "--set" else []
    lines = {"option file": f"name: {value}\n", "base": "base: base.yml\n", "--set": "scale: 2\n"}
    file.write_text(lines[place])
    (tmp_path / "base.yml").write_text(f"name: {value}\n")
    with pytest.raises(ValueError, match=r"python|expected|missing"):
        load_options(file, overrides, purpose="network")
    assert not mark.exists()


@pytest.mark.parametrize("text", YAML[:2])
def test_no_text_in_a_training_state_runs_a_function(tmp_path, capsys, text):
    mark = tmp_path / "mark"
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, train={"total_iter": 1}))
    assert run_train(file) == 0
    path = tmp_path / "experiments/run/states/1.state"
    # Written with a checksum that fits, as an attacker would.
    state = {key: value for key, value in load_state(path).items() if key != "srzoo_sha256"}
    path.unlink()
    save_state(path, {**state, "options": f"name: {text.replace('{mark}', str(mark))}"})
    assert run_train(file, resume="auto") == 2
    assert "1.state: the options in it cannot be read: could not determine a constructor" in capsys.readouterr().err
    assert not mark.exists()


def test_no_array_or_picture_runs_a_function(tmp_path):
    mark = tmp_path / "mark"
    np.save(tmp_path / "objects.npy", np.array([hostile("os.system", mark)], dtype=object), allow_pickle=True)
    # PostScript is a program; Pillow would hand it to Ghostscript.
    postscript = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(%pipe%touch {mark}) (w) file\nshowpage\n"
    (tmp_path / "postscript.png").write_text(postscript)
    (tmp_path / "commands.png").write_text(
        f"push graphic-context\nimage over 0,0 0,0 '|touch {mark}'\npop graphic-context"
    )
    (tmp_path / "vector.png").write_text(f'<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{mark}"/></svg>')
    (tmp_path / "pickle.png").write_bytes(pickle.dumps(hostile("os.system", mark)))
    for file in sorted(tmp_path.glob("*.*")):
        for read in (read_header, read_image):
            with pytest.raises(ValueError, match=file.name):
                read(file)
    assert not mark.exists()
