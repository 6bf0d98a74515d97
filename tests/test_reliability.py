"""The page on reliability: every test that it names exists."""

import re

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)(?:\[(\w+)\])?`", PAGE)))


def test_no_test_is_named_in_another_way():
    assert len(re.findall(r"tests/", PAGE)) == len(re.findall(r"`tests/[\w/]+\.py::\w+(?:\[\w+\])?`", PAGE))
    assert len(NAMED) >= 30


@pytest.mark.parametrize(("file", "name", "case"), NAMED, ids=lambda value: value)
def test_named_tests_exist(file, name, case):
    text = (ROOT / file).read_text()
    assert f"def {name}(" in text
    assert not case or f'"{case}"' in text
