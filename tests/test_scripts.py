"""The two commands of the README, as a new user runs them."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.support import ROOT


def copy_of_the_checkout(target):
    """The files under version control (or about to be), in a path with spaces; the environment is shared."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.mark.slow
def test_the_demo_beats_bicubic_by_one_decibel(tmp_path):
    checkout = copy_of_the_checkout(tmp_path / "a new user" / "srzoo")
    # Installation is what CI's own start shows; here the environment of this test run stands in for it.
    environment = checkout / ".venv" / "bin"
    environment.mkdir(parents=True)
    (environment / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (environment / "python").chmod(0o755)
    wanted = subprocess.run(
        "cat requirements.txt setup.py | cksum", shell=True, cwd=checkout, capture_output=True, text=True
    )
    (checkout / ".venv" / "srzoo-samples.installed").write_text(wanted.stdout)
    demo = ["bash", str(checkout / "scripts" / "demo.sh")]
    path = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(demo, cwd=tmp_path, env=path, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    scores = {}
    for name in ("bicubic", "trained"):
        results = checkout / "experiments" / f"demo_{name}" / "results" / "held_out.json"
        scores[name] = json.loads(results.read_text())["mean"]["psnr"]
    assert scores["trained"] - scores["bicubic"] >= 1.0
    for word in ("steps/s", "ETA", "data ", "held_out: psnr", "bicubic", "gain", "side by side:"):
        assert word in done.stdout
    assert (checkout / "experiments" / "demo" / "side_by_side.png").is_file()
    again = subprocess.run(demo, cwd=tmp_path, env=path, capture_output=True, text=True, check=False, timeout=300)
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
    done = subprocess.run(
        ["bash", str(tmp_path / "scripts" / "demo.sh")],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "no Python 3.11 to 3.13 found" in done.stderr
