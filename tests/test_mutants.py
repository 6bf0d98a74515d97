"""The table of mutants applies to the code as it is, and its runner tells killed from survived."""

import importlib.util
import sys

import pytest

from tests.support import ROOT

spec = importlib.util.spec_from_file_location("mutants", ROOT / "scripts" / "mutants.py")
sys.path.insert(0, str(ROOT / "scripts"))  # as for a program of that folder
assert spec is not None
assert spec.loader is not None
mutants = importlib.util.module_from_spec(spec)
sys.modules["mutants"] = mutants
spec.loader.exec_module(mutants)


def test_every_entry_applies():
    table = mutants.read_table()
    assert mutants.problems(table) == []
    assert len(table) >= 80


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Write a package of one function with a test of one of its two lines."""
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "code.py").write_text("def double(x):\n    unused = 1\n    return 2 * x\n")
    (tmp_path / "checkout" / "test_code.py").write_text(
        "from code import double\n\ndef test_double():\n    assert double(3) == 6\n"
    )
    monkeypatch.setattr(mutants, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr(mutants, "RESULTS", tmp_path / "checkout" / "build" / "mutants.jsonl")
    monkeypatch.setattr(mutants, "copy_checkout", lambda target: copy(tmp_path / "checkout", target))
    return tmp_path / "checkout"


def copy(source, target):
    target.mkdir(parents=True)
    for file in source.glob("*.py"):
        (target / file.name).write_text(file.read_text())


def mutant(old, new, what="a fault"):
    return mutants.Mutant(what=what, file="code.py", old=old, new=new, tests=("test_code.py",))


@pytest.mark.slow
def test_killed_and_survived_are_told_apart_and_remembered(checkout, monkeypatch):
    table = [mutant("2 * x", "3 * x", "wrong factor"), mutant("unused = 1", "unused = 2", "nobody looks")]
    results = mutants.run(table, jobs=1)
    assert {what: result["verdict"] for what, result in results.items()} == {
        "wrong factor": "killed",
        "nobody looks": "survived",
    }
    assert (checkout / "code.py").read_text().count("2 * x") == 1
    monkeypatch.setattr(mutants, "examine", lambda *_: pytest.fail("examined again"))
    assert mutants.run(table, jobs=1).keys() == results.keys()
    # A changed file makes its results void.
    (checkout / "code.py").write_text((checkout / "code.py").read_text() + "\n")
    assert all(entry.fingerprint(checkout) not in mutants.earlier_results() for entry in table)


@pytest.mark.slow
def test_a_mutant_that_never_ends_is_killed(checkout, monkeypatch):
    monkeypatch.setattr(mutants, "LONGEST", 8)  # [seconds]
    results = mutants.run([mutant("unused = 1", "__import__('time').sleep(900)")], jobs=1)
    assert results["a fault"]["verdict"] == "killed (too slow)"
    assert "unused = 1" in (checkout / "code.py").read_text()


@pytest.mark.slow
def test_tests_that_fail_without_a_mutation_prove_nothing(checkout):
    (checkout / "test_code.py").write_text("def test_double():\n    assert False\n")
    with pytest.raises(ValueError, match="fail without any mutation"):
        mutants.run([mutant("2 * x", "3 * x")], jobs=1)


def test_entries_that_do_not_apply_are_named(checkout):
    table = [
        mutant("4 * x", "3 * x", "absent"),
        mutant("2 * x", "2 *", "no Python"),
        mutant("2 * x", "2 + x", "first"),
        mutant("2 * x", "2 + x", "second"),
        mutants.Mutant(what="no test", file="code.py", old="2 * x", new="x", tests=("test_none.py",)),
        mutants.Mutant(what="no case", file="code.py", old="2 * x", new="0", tests=("test_code.py::test_none",)),
    ]
    found = "\n".join(mutants.problems(table, checkout))
    for text in (
        "absent: code.py",
        "no Python: code.py",
        "listed twice",
        "test_none.py does not exist",
        "has no test_none",
    ):
        assert text in found
