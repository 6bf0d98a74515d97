"""The two commands of the README as a new user runs them, and the places where a checkout may lie."""

import json
import os
import shutil
import subprocess

import pytest

from tests.installation import copy_sources, make_environment, site_packages
from tests.support import ROOT, training_options, write_options

BASH = shutil.which("bash") or "bash"


def run(command, cwd, **environment):
    """Run a command without the environment of this process: no HOME, no PATH, no PYTHONPATH."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip


def replace_tools(checkout, *names):
    """Let `python -m NAME` only note its arguments in tools.log: nothing is installed or checked by a test."""
    for name in names:
        (site_packages(checkout / ".venv") / f"{name}.py").write_text(
            "import sys\n"
            f"with open({str(checkout / 'tools.log')!r}, 'a') as log:\n"
            f"    print({name!r}, *sys.argv[1:], file=log)\n"
        )


@pytest.mark.slow  # in a checkout called srzoo, the quick tests show the same
def test_the_test_script_works_whatever_the_folder_is_called(tmp_path):
    checkout = copy_sources(tmp_path / "my projects" / "srzoo")
    make_environment(checkout / ".venv")
    replace_tools(checkout, "pip", "ruff", "pyright")
    some = "uninstalled or wrong_command_lines or without_torch"
    done = run([BASH, checkout / "scripts" / "test.sh", "tests/test_cli.py", "-k", some], cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert (checkout / "tools.log").read_text().splitlines() == [
        "pip --version",
        "pip install --quiet --disable-pip-version-check -r requirements.txt -e .[dev]",
        "ruff check .",
        "ruff format --check .",
        "pyright --pythonpath .venv/bin/python",
    ]


def test_a_checkout_that_was_moved_is_installed_again(tmp_path):
    checkout = copy_sources(tmp_path / "srzoo")
    make_environment(checkout / ".venv")
    for place in (checkout, tmp_path / "master"):
        checkout = checkout.rename(place)
        replace_tools(checkout, "pip")
        for _ in range(2):  # the second time everything is there
            done = run([BASH, "-c", ". scripts/setup.sh; prepare_environment dev"], cwd=checkout)
            assert done.returncode == 0, done.stderr
        assert (checkout / "tools.log").read_text().count("install") == 1
        (checkout / "tools.log").unlink()


@pytest.mark.slow
def test_sources_are_only_read_and_may_be_reached_through_a_link(tmp_path):
    checkout = copy_sources(tmp_path / "checkout of 2026")
    files = [checkout, *checkout.rglob("*")]
    for path in files:
        path.chmod(path.stat().st_mode & ~0o222)
    before = {path: path.stat().st_mtime_ns for path in files}
    (tmp_path / "srzoo").symlink_to(checkout)
    options = training_options(tmp_path, path={"experiments": "experiments"}, train={"total_iter": 1})
    file = write_options(tmp_path / "work" / "x.yml", options)
    python = make_environment(tmp_path / "environment")
    # Bytecode is Python's own. Root may write wherever it likes, so the modes alone would not show a stray file.
    done = run(
        [python, tmp_path / "srzoo" / "srzoo" / "train.py", "-opt", file],
        cwd=file.parent, PYTHONDONTWRITEBYTECODE="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (file.parent / "experiments" / "run" / "train.log").is_file()
    assert {path: path.stat().st_mtime_ns for path in [checkout, *checkout.rglob("*")]} == before


@pytest.mark.slow(minutes=10)
def test_the_demo_beats_bicubic_by_one_decibel(tmp_path):
    checkout = copy_sources(tmp_path / "a new user" / "srzoo")
    make_environment(checkout / ".venv", checkout)
    replace_tools(checkout, "pip")
    demo = [BASH, checkout / "scripts" / "demo.sh"]
    done = run(demo, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    scores = {}
    for name in ("bicubic", "trained"):
        results = checkout / "experiments" / f"demo_{name}" / "results" / "held_out.json"
        scores[name] = json.loads(results.read_text())["mean"]["psnr"]
    assert scores["trained"] - scores["bicubic"] >= 1.0
    for word in ("steps/s", "ETA", "data ", "held_out: psnr", "bicubic", "gain", "side by side:"):
        assert word in done.stdout
    assert (checkout / "experiments" / "demo" / "side_by_side.png").is_file()
    report = (checkout / "experiments" / "demo" / "report.html").read_text()
    for word in ("loss: pixel", "psnr on held_out", "has scored their last weights: demo.", "pixels-0-1-2"):
        assert word in report
    again = run(demo, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "3000 of 3000 updates done" in again.stdout


def test_a_missing_interpreter_is_named(tmp_path):
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("benchmarks", "__pycache__"))
    for name in ("requirements.txt", "setup.py"):
        shutil.copy2(ROOT / name, tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "cat", "cksum", "dirname", "env"):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    done = run([BASH, tmp_path / "scripts" / "demo.sh"], cwd=tmp_path, PATH=str(tools))
    assert done.returncode != 0
    assert "no Python 3.11 to 3.13 with venv found" in done.stderr


def test_scripts_find_their_checkout_from_anywhere(tmp_path):
    # CDPATH of an interactive shell, exported: `cd scripts/..` would go to the folder below it.
    (tmp_path / "scripts").mkdir()
    for place, script in ((ROOT, "scripts/setup.sh"), (ROOT / "scripts", "setup.sh")):
        command = [BASH, "-c", f". {script}; pwd -P"]
        done = run(command, cwd=place, CDPATH=str(tmp_path), PATH=os.environ["PATH"])
        assert done.stdout.strip() == str(ROOT)
