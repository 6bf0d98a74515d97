"""The commands as processes, from other directories, installed and not."""

import argparse
import json
import os
import shlex
import subprocess
import sys

import pytest

from srzoo import __version__
from srzoo.cli import COMMANDS, GROUPS, parse
from srzoo.command import Arguments, execute, load_command, parser_of
from srzoo.commands import doctor
from tests.support import ROOT, training_options, write_options

TRAIN, TEST = ROOT / "srzoo" / "train.py", ROOT / "srzoo" / "test.py"


def run(*command, cwd, **environment):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


# Hides all checkouts of srzoo, then runs a script and checks that it imported its own. A checkout is recognised by its
# files: a path that contains "srzoo" may as well be the packages in srzoo/.venv.
UNINSTALLED = """
import runpy, sys
from pathlib import Path

script = Path(sys.argv[1])
sys.meta_path = [finder for finder in sys.meta_path if "__editable___srzoo" not in str(finder)]
sys.path = [p for p in sys.path if p and not (Path(p, "srzoo").is_dir() and Path(p, "setup.py").is_file())]
sys.path.insert(0, str(script.parent))
sys.argv = sys.argv[1:]
try:
    runpy.run_path(str(script), run_name="__main__")
finally:
    found = Path(sys.modules["srzoo"].__file__)
    assert found.samefile(script.parent / "__init__.py"), f"{script} imported {found}"
"""


def uninstalled(script):
    """Run a script with the installed srzoo hidden: it must import the checkout that it belongs to."""
    return ("-c", UNINSTALLED, script)


@pytest.mark.parametrize("how", ["installed", pytest.param("uninstalled", marks=pytest.mark.slow)])
def test_train_and_test_from_another_directory(tmp_path, how):
    options = training_options(tmp_path, train={"total_iter": 2})
    file = write_options(tmp_path / "options folder" / "x.yml", options)
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    train = (TRAIN,) if how == "installed" else uninstalled(TRAIN)
    done = run(*train, "-opt", file, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert "[2/2] pixel" in done.stdout
    trained = tmp_path / "experiments" / "run" / "models" / "net_g_2.safetensors"
    assert trained.is_file()
    test = {"held_out": {"type": "GTImages", "gt": str(tmp_path / "val")}}
    bench = training_options(
        tmp_path, name="bench", train=None, path={"pretrain_network_g": str(trained)},
        datasets={"train": None, "val": None, "test": test},
    )  # fmt: skip
    file = write_options(tmp_path / "bench.yml", bench)
    script = (TEST,) if how == "installed" else uninstalled(TEST)
    done = run(*script, "-opt", os.path.relpath(file, elsewhere), cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert "psnr (basicsr-y)" in done.stdout
    assert (tmp_path / "experiments" / "bench" / "results" / "held_out.json").is_file()


REPLACED = {
    "--auto_resume": "error: --auto_resume is BasicSR's: a training is continued with --resume auto",
    "--launcher pytorch": "--launcher is BasicSR's: the launcher is torchrun: torchrun --nproc_per_node=NUM_GPUS",
    "--num_gpu 4": "--num_gpu is BasicSR's: the number of GPUs is an argument of torchrun",
    "--num-gpu=4": "--num-gpu is BasicSR's: the number of GPUs is an argument of torchrun",
    "--local-rank=0": "--local-rank is BasicSR's: ranks are started with torchrun",
    "--force_yml train:ema_decay=0.9 name=x:y": "overridden with --set train.ema_decay=0.9 name=x:y",
}


@pytest.mark.parametrize("words", REPLACED)
@pytest.mark.parametrize("command", ["train", "test"])
def test_arguments_of_basicsr_name_their_replacement(command, words, capsys):
    with pytest.raises(SystemExit) as stop:
        parse([command, "-opt", "x.yml", *words.split()])
    assert stop.value.code == 2
    assert REPLACED[words] in capsys.readouterr().err


@pytest.mark.ranks
@pytest.mark.slow
def test_benchmark_under_torchrun_scores_each_image_once(tmp_path):
    test = {"held_out": {"type": "GTImages", "gt": str(tmp_path / "val")}}
    changes = {"train": None, "network_g": {"type": "Bicubic", "num_modules": None}}
    options = training_options(tmp_path, **changes, datasets={"train": None, "val": None, "test": test})
    file = write_options(tmp_path / "x.yml", options)
    results = []
    for name, launcher in (("one", []), ("two", ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"])):
        done = run(*launcher, TEST, "-opt", file, "--set", f"name={name}", cwd=tmp_path, OMP_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr
        path = tmp_path / "experiments" / name / "results" / "held_out.json"
        results.append(json.loads(path.read_text())["images"])
    assert results[0] == results[1]
    assert len(results[0]) == 2


def test_wrong_command_lines_say_so(tmp_path):
    done = run(TRAIN, cwd=tmp_path)
    assert done.returncode == 2
    assert "-opt" in done.stderr
    done = run(TRAIN, "-opt", "nowhere.yml", cwd=tmp_path)
    assert done.returncode == 2
    assert "option file nowhere.yml does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def command(*words):
    arguments = parse([*map(str, words)])
    return execute(arguments.run, arguments)


def test_options_show_and_explain(capsys):
    assert command("options", "show", ROOT / "options/train/imdn/IMDN_x4.yml", "--set", "train.total_iter=7") == 0
    shown = capsys.readouterr().out
    assert "total_iter: 7" in shown
    assert "betas:" in shown
    assert command("options", "explain", "gt_size") == 0
    assert "side of the training crop" in capsys.readouterr().out
    assert command("options", "explain", "gt_sizes") == 2
    assert "did you mean 'gt_size'" in capsys.readouterr().err


def test_train_and_test_are_commands_too(tmp_path, capsys):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, train={"total_iter": 1}))
    assert command("train", "-opt", file) == 0
    assert command("test", "-opt", file) == 2
    assert "no `datasets.test` section" in capsys.readouterr().err


def ended(capsys, *words):
    """Parse a command line that ends the interpreter: exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        parse(words)
    return stop.value.code, *capsys.readouterr()


def examples(name):
    """Return the arguments of each example in the help of a command."""
    _, _, text = parser_of(load_command(COMMANDS[name][0]), f"srzoo {name}").format_help().partition("\nexample")
    lines = [line.strip() for line in text.splitlines() if line.startswith("  ")]
    assert all(line.startswith(f"srzoo {name}") for line in lines)
    return [shlex.split(line)[1 + len(name.split()) :] for line in lines]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    module = load_command(COMMANDS[name][0])
    assert callable(module.add_arguments)
    assert callable(module.run)
    parser = parser_of(module, f"srzoo {name}")
    assert parser.description
    for action in parser._actions:
        assert action.help, action.dest
        if action.help == argparse.SUPPRESS:  # a foreign argument, which is refused
            continue
        if action.option_strings and not action.required and action.dest != "help":
            assert "default" in action.help, action.dest
    code, out, _ = ended(capsys, *name.split(), "--help")
    assert code == 0
    assert f"usage: srzoo {name}" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_its_parser_takes(name):
    assert examples(name)
    for words in examples(name):
        assert parse([*name.split(), *words]).run is load_command(COMMANDS[name][0]).run
        for word in words:
            assert not word.startswith("options/") or (ROOT / word).is_file(), f"{word} is not in the repository"


@pytest.mark.parametrize("name", ["options show", "options explain", "options docs", "doctor"])
def test_examples_that_need_no_data_run(name, tmp_path, monkeypatch):
    (tmp_path / "options").symlink_to(ROOT / "options")
    monkeypatch.chdir(tmp_path)
    assert [command(*name.split(), *words) for words in examples(name)] == [0] * len(examples(name))


def test_every_command_file_is_in_the_table():
    found = {path.stem for path in (ROOT / "srzoo" / "commands").glob("*.py") if "def run(" in path.read_text()}
    assert {module for module, _ in COMMANDS.values()} == {f"srzoo.commands.{name}" for name in found}
    assert {name.split()[0] for name in COMMANDS if " " in name} == GROUPS.keys()


@pytest.mark.parametrize("group", ["", *GROUPS])
def test_help_of_a_group_lists_its_commands(group, capsys):
    code, out, _ = ended(capsys, *group.split(), "--help")
    assert code == 0
    for name, (_, line) in COMMANDS.items():
        inside = name.startswith(group + " ") if group else " " not in name
        assert (f"{name.split()[-1]} " in out and line in out) == inside, name
    for other, line in GROUPS.items():
        assert (line in out) == (not group), other


def test_help_imports_nothing_heavy():
    """No --help waits for PyTorch, and the module of a command is imported only if it is asked for."""
    code = """
import sys
from srzoo import __version__
from srzoo.cli import COMMANDS, GROUPS, parse
def help_of(*words):
    try:
        parse([*words, "--help"])
    except SystemExit as stop:
        assert stop.code == 0
for group in ("", *GROUPS):
    help_of(*group.split())
imported = {name for name in sys.modules if name.startswith("srzoo.commands.")}
help_of("doctor")
imported |= {module for module, _ in COMMANDS.values()} & set(sys.modules) - {"srzoo.commands.doctor"}
assert not imported, imported
for name in COMMANDS:
    help_of(*name.split())
heavy = {"torch", "torchvision", "cv2", "numpy", "PIL", "yaml", "pydantic", "tqdm", "safetensors"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["options", "shw"], "unknown command 'options shw'; did you mean 'options show'?"),
        (["degrade"], "unknown command 'degrade'; did you mean 'data degrade'"),
        (["xyz", "--help"], "unknown command 'xyz'; known: train, test"),
        (["options"], "expected one of: show, explain, docs"),
        ([], "expected one of: train, test"),
        (["--versoin"], "unrecognized arguments: --versoin"),
    ],
)
def test_wrong_command_names_get_a_suggestion(words, answer, capsys):
    code, out, error = ended(capsys, *words)
    assert code == 2
    assert answer in error
    assert not out


def test_version(capsys):
    assert ended(capsys, "--version") == (0, f"srzoo {__version__}\n", "")


def test_the_scripts_show_their_own_name_in_the_example(tmp_path):
    done = run(TRAIN, "--help", cwd=tmp_path)
    assert f"python {shlex.quote(str(TRAIN))} -opt options/train/imdn/IMDN_x4.yml" in done.stdout


def test_programming_errors_keep_their_traceback():
    def broken(_):
        return {}["missing"]

    with pytest.raises(KeyError):
        execute(broken, parse(["doctor"]))


def test_a_python_without_torch_is_told_what_to_do(tmp_path):
    code = "import sys, runpy; sys.modules['torch'] = None; sys.argv = ['train.py', '-opt', sys.argv[1]]; " + (
        f"sys.path.insert(0, {str(TRAIN.parent)!r}); runpy.run_path({str(TRAIN)!r}, run_name='__main__')"
    )
    done = run("-c", code, ROOT / "options/train/imdn/IMDN_x2.yml", cwd=tmp_path)
    assert done.returncode == 2
    assert "error: torch is not installed in" in done.stderr
    assert "source .venv/bin/activate" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interruption_says_no_more_than_is_true(capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    assert execute(interrupted, parse(["doctor"])) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_doctor_passes_here_and_prints_every_check(capsys):
    assert command("doctor") == 0
    out = capsys.readouterr().out
    assert [line[:4] for line in out.splitlines()] == ["ok  "] * len(doctor.CHECKS)


def test_doctor_says_what_is_wrong_and_what_to_do(capsys, monkeypatch):
    import torch

    monkeypatch.setattr(torch, "__version__", "2.9.0")
    monkeypatch.setattr(doctor, "_MIN_FREE_DISK", 2**60)
    assert command("doctor") == 2
    out = capsys.readouterr()
    assert "FAIL  PyTorch: torch 2.9.0" in out.out
    assert "pip install -r requirements.txt" in out.out
    assert "FAIL  disk" in out.out
    assert "2 check(s) failed: PyTorch, disk" in out.err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(30, "Read-only file system", "runs/x"), "error: runs/x: Read-only file system\n"),
        (OSError(18, "Invalid cross-device link", "a", None, "b"), "error: a -> b: Invalid cross-device link\n"),
        (OSError(30, "could not write x: Read-only file system"), "error: could not write x: Read-only file system\n"),
        (FileNotFoundError("weights x do not exist"), "error: weights x do not exist\n"),
    ],
)
def test_errors_of_the_system_name_the_file_first_and_no_number(error, said, capsys):
    def run(_arguments):
        raise error

    assert execute(run, Arguments()) == 2
    assert capsys.readouterr().err == said
