"""The command that converts option files, run inside the test."""

import sys

import pytest
import yaml

from srzoo import cli
from srzoo.options import load_options


@pytest.fixture
def convert(tmp_path, monkeypatch, capsys):
    """(old options, arguments) -> (exit code, options of the new file or None, what was said)."""

    def run(old, *arguments):
        file, target = tmp_path / "old.yml", tmp_path / "new.yml"
        file.write_text(yaml.safe_dump(old, sort_keys=False))
        monkeypatch.setattr(sys, "argv", ["srzoo", "convert", "options", str(file), "-o", str(target), *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, load_options(target).options if not ended.value.code else None, said.out + said.err

    return run
