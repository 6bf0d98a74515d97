"""Texts that leave the machine name no path of it."""

from pathlib import Path

import pytest

from srzoo.report.scrub import command_without_paths, text_without_paths, without_paths

BASE = Path("/home/someone/my projects")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/Set5/GT", "GT"),
        ("/data of mine/Set5 GT", "Set5 GT"),
        ("/home/someone/my projects/options/x.yml", "options/x.yml"),
        ("/home/someone/my projects", "."),
        ("relative/path.yml", "relative/path.yml"),
        ("file:///data/x.png and '/data/y.png'", "x.png and 'y.png'"),
        ("wrote /home/someone/my projects/a/b.png (2 MB)", "wrote a/b.png (2 MB)"),
        ("gt=/data/a,lq=/data/b", "gt=a,lq=b"),
        (r"C:\Users\someone\x.png", "x.png"),
        (r"read D:\data\x.png", "read x.png"),
        ("psnr/Set5, 3 dB/step, a / b, 1/2", "psnr/Set5, 3 dB/step, a / b, 1/2"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("protocol: basicsr-y", "protocol: basicsr-y"),
    ],
)
def test_absolute_paths_are_shortened_and_nothing_else(text, expected):
    assert text_without_paths(text, base=BASE) == expected


def test_nested_values_are_cleaned_with_their_keys():
    value = {"/data/x": ["/data/y", 3, None, {"z": Path("/data/z")}], "scale": 4}
    assert without_paths(value, base=BASE) == {"x": ["y", 3, None, {"z": "z"}], "scale": 4}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/usr/bin/python3 /code/srzoo/train.py -opt /code/options/x.yml", "srzoo train -opt x.yml"),
        ("/env/bin/python /code/srzoo/cli.py test -opt '/my data/x.yml'", "srzoo test -opt x.yml"),
        ("/env/bin/python /env/bin/srzoo test --set path.root=/data/a", "srzoo test --set path.root=a"),
        ("python3.11 /code/mine.py --out=/data/b", "python mine.py --out=b"),
    ],
)
def test_commands_call_srzoo_by_its_name(command, expected):
    assert command_without_paths(command, base=BASE) == expected
