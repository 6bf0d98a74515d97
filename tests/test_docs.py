"""The documentation is true: links lead somewhere, and the blocks of "How do I ..." run as they are printed."""

import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from srzoo.images import read_image, write_image
from srzoo.options import load_options
from tests.compat.test_basicsr_options import EXAMPLE as OLD_OPTIONS
from tests.support import ROOT, write_photographs

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
HOW_DO_I = ROOT / "docs" / "how-do-i.md"


def anchors(text):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file.read_text()), f"{page.name}: {target}"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    assert [
        page.name for page in (ROOT / "docs").glob("*.md") if page.name != "index.md" and page.name not in index
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_option_files_and_scripts_named_in_the_docs_exist(page):
    for name in re.findall(
        r"(?<![\w/])(?:options/(?:train|test|degradations)|scripts)/[\w/.-]+\.(?:yml|py|sh)", page.read_text()
    ):
        assert (ROOT / name).is_file(), f"{page.name}: {name}"


def blocks(text):
    """(language, content) of the fenced blocks of a page, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def command_of(line):
    """Turn a printed command into one that runs here, shortened to two updates of a small batch."""
    words = shlex.split(line, comments=True)
    programs = {
        "python": [sys.executable],
        "torchrun": [sys.executable, "-m", "torch.distributed.run", "--standalone"],
        "srzoo": [sys.executable, "-m", "srzoo.cli"],
    }
    words = programs[words[0]] + [str(ROOT / word) if word.startswith("srzoo/") else word for word in words[1:]]
    if str(ROOT / "srzoo/train.py") in words or words[3:4] == ["sweep"]:
        short = ["train.total_iter=2", "datasets.train.batch_size=2", "datasets.train.num_workers=0"]
        words += ["--set", *short, "logger.print_freq=1"]
    return words


@pytest.mark.slow(minutes=3)
@pytest.mark.ranks
def test_the_blocks_of_how_do_i_run_as_printed(tmp_path):
    write_photographs(tmp_path / "photographs", 3, 208, 200)
    for file in (tmp_path / "photographs").glob("*.png"):
        write_image(tmp_path / "photographs_x2" / f"{file.stem}x2.png", read_image(file).rgb[::2, ::2])
    for file in write_photographs(tmp_path / "held_out", 2, 66, 70):
        file.write_bytes(file.read_bytes() + b"\n")  # not the files of the training set
    (tmp_path / "old.yml").write_text(yaml.safe_dump(OLD_OPTIONS))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = []
    for language, content in blocks(HOW_DO_I.read_text()):
        named = re.match(r"# (\w+\.(?:py|yml))\n", content)
        if language == "bash":
            for line in content.strip().splitlines():
                done = subprocess.run(
                    command_of(line), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
                ran.append(line)
        elif named:
            (tmp_path / named.group(1)).write_text(content)
    assert len(ran) >= 10
    runs = tmp_path / "experiments"
    for variant in ("num_feat-32_s0", "num_feat-48_s1", "num_feat-64_s1"):
        assert (runs / "widths" / variant / "models" / "net_g_2.safetensors").is_file()
    assert "not distinguishable" in (runs / "widths" / "results.md").read_text()
    assert "edges" in (runs / "with_my_loss" / "train.log").read_text()
    assert "error" in (runs / "with_my_metric" / "results" / "held_out.json").read_text()
    assert load_options(tmp_path / "new.yml").options.network_g.type == "DRCT"
