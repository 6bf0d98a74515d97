"""YAML with lines, inheritance, overrides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srzoo.options.inheritance import read_tree


def tree(tmp_path, text, *overrides, name="file.yml"):
    path = tmp_path / name
    path.write_text(text)
    return read_tree(path, overrides)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("1.e-4", 1e-4), ("2E3", 2000), ("1e6", 1_000_000), ("-3", -3), ("0.5", 0.5), (".5", 0.5),
        ("true", True), ("False", False), ("on", "on"), ("no", "no"), ("yes", "yes"), ("off", "off"),
        ("null", None), ("~", None), ('"1e-4"', "1e-4"), ("'true'", "true"), ("12:30:00", "12:30:00"),
        ("2026-01-01", "2026-01-01"), ("[1, 2e-1]", [1, 0.2]), ("1_000", "1_000"),
    ],
)  # fmt: skip
def test_scalars_are_what_they_look_like(tmp_path, text, value):
    found = tree(tmp_path, f"key: {text}").value["key"]
    assert found == value
    assert type(found) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_printed_number_is_a_number(tmp_path_factory, number):
    found = tree(tmp_path_factory.mktemp("yaml"), f"key: {number!r}").value["key"]
    assert not isinstance(found, str)
    assert float(found) == number


def test_a_repeated_key_is_a_fault_with_both_lines(tmp_path):
    (fault,) = tree(tmp_path, "a: 1\nb:\n  c: 1\n  c: 2\n").faults
    assert str(fault).endswith(f"file.yml:4: b.c: given twice, first at {tmp_path}/file.yml:3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not valid YAML"),
        ("- a\n- b", "expected `key: value` lines"),
        ("a: !!python/object:os.system x", "YAML tag"),
        ("<<: {a: 1}", "keys must be plain names"),
        ("a: &x {b: *x}", "an anchor that contains itself"),
        ("base: missing.yml", "missing.yml does not exist"),
        ("base: file.yml", "inherits from itself"),
        ("base: 3", "expected a file name"),
    ],
)
def test_faults_of_form_are_reported_with_the_file(tmp_path, text, message):
    faults = [str(fault) for fault in tree(tmp_path, text).faults]
    assert any(message in fault and "file.yml" in fault for fault in faults), faults


def test_bases_merge_and_null_removes(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "grand.yml").write_text("a: {x: 1, y: [1, 2], z: {deep: 1}}\nkeep: yes\n")
    (tmp_path / "base.yml").write_text("base: sub/grand.yml\na: {x: 2}\n")
    (tmp_path / "other.yml").write_text("b: 5\n")
    result = tree(tmp_path, "base: [base.yml, other.yml]\na: {y: [3], z: null}\nb: null\nc: null\n")
    assert result.value == {"a": {"x": 2, "y": [3]}, "keep": "yes", "c": None}
    assert result.location(("a", "x")).endswith("base.yml:2")
    assert result.location(("a", "y", 0)).endswith("file.yml:2")
    assert not result.faults


def test_overrides_come_last_and_say_so(tmp_path):
    result = tree(tmp_path, "a: {x: 1}\n", "a.x=1e-3", "a.list=[1, 2]", "new.deep.key=text", "broken", "a.=3")
    assert result.value["a"] == {"x": 1e-3, "list": [1, 2]}
    assert result.value["new"] == {"deep": {"key": "text"}}
    assert result.location(("a", "x")) == "--set a.x=1e-3"
    assert len(result.faults) == 2


def test_plugins_are_relative_to_the_file_that_names_them(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "base.yml").write_text("plugins: [mine.py]\n")
    assert tree(tmp_path, "base: sub/base.yml").value["plugins"] == [str(tmp_path / "sub" / "mine.py")]
