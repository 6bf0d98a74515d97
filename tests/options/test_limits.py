"""Option files beyond every real one: refused by what they ask for, before it is read, inherited or built."""

import pytest

from srzoo.options import OptionsError, load_options
from srzoo.options import limits as bounds
from srzoo.options.inheritance import OptionFiles
from srzoo.options.tree import merge
from tests.support import training_options, write_options


def refused(file, *overrides):
    """Return the faults of a file, one line each."""
    with pytest.raises(OptionsError) as error:
        load_options(file, overrides)
    lines = str(error.value).splitlines()
    assert len(lines) <= bounds.MAX_LISTED + 2
    assert all(len(line) < 3 * bounds.MAX_CHARACTERS for line in lines)
    return lines[1:]


def nested_blocks(depth):
    return "".join(" " * level + f"a{level}:\n" for level in range(depth)) + " " * depth + "x: 1\n"


def anchors_of_anchors(first, use, levels):
    lines = [f"a0: &a0 {first}"] + [f"a{n}: &a{n} {use.format(*[f'*a{n - 1}'] * 10)}" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo: " + "[" * 500 + "]" * 500, ":1: expected at most 32 mappings and lists inside each other"),
        ("foo: " + "{a: " * 500 + "1" + "}" * 500, ":1: expected at most 32 mappings and lists inside each other"),
        (nested_blocks(500), ":32: expected at most 32 mappings and lists inside each other"),
        # Each anchor is flat, its uses are nested.
        ("a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 500)), "at most 32 mappings"),
        ("foo: [" + "1, " * 100_000 + "1]", ":1: expected at most 40,000 values"),
        (anchors_of_anchors("[x]", "[{}, {}, {}, {}, {}, {}, {}, {}, {}, {}]", 10), "at most 40,000 values"),
        (anchors_of_anchors("{x: 1}", "{{a: {}, b: {}, c: {}, d: {}, e: {}, f: {}}}", 10), "at most 40,000 values"),
        ("# " + "x" * 2**20, "expected at most 1,048,576 bytes in an option file with its bases, got 1,048,578"),
        ("stages: {" + ", ".join(f"s{n}: {{}}" for n in range(101)) + "}", "a chain of trainings is for train.py"),
    ],
    ids=["lists", "mappings", "blocks", "deep anchors", "values", "anchors", "anchored mappings", "bytes", "stages"],
)
def test_a_file_beyond_a_limit_is_one_fault(tmp_path, text, message):
    (tmp_path / "x.yml").write_text(text)
    (line,) = refused(tmp_path / "x.yml")
    assert f"{tmp_path}/x.yml" in line
    assert message in line


def test_reading_stops_at_the_limit(tmp_path):
    """An anchor bomb describes 10^10 values; the count of values made is the limit, and no node is made twice."""
    files = OptionFiles()
    (tmp_path / "x.yml").write_text(anchors_of_anchors("[x]", "[{}, {}, {}, {}, {}, {}, {}, {}, {}, {}]", 10))
    assert files.read(tmp_path / "x.yml").unreadable
    assert files.budget.values == bounds.MAX_VALUES + 1


def diamond(folder, levels):
    """Write files of which each names the next one and its twin, so that 2^levels paths lead to the last."""
    for level in range(levels):
        for twin in "ab":
            bases = f"[a{level + 1}.yml, b{level + 1}.yml]" if level + 1 < levels else "[]"
            (folder / f"{twin}{level}.yml").write_text(f"base: {bases}\n{twin}{level}: {level}\nlast: {twin}\n")
    return folder / "a0.yml"


def test_a_diamond_reads_each_file_once(tmp_path, monkeypatch):
    reads = []
    real = OptionFiles._read_with_bases
    monkeypatch.setattr(OptionFiles, "_read_with_bases", lambda *words: (reads.append(words[1]), real(*words))[1])
    tree = OptionFiles().read(diamond(tmp_path, 12))
    assert not tree.faults
    assert tree.value["last"] == "a"
    assert list(tree.value)[:2] == ["a11", "last"]
    assert len(reads) <= 1 + 2 * 2 * 12


def test_bases_of_bases_have_a_limit(tmp_path):
    (line,) = refused(diamond(tmp_path, 22))
    assert line.endswith("a0.yml: expected at most 16 files, each a base of the one before, got more")


def test_inherited_values_have_a_limit(tmp_path):
    """Few values in few files, but each goes through many bases."""
    keys = "".join(f"k{n}: {n}\n" for n in range(2_000))
    (tmp_path / "common.yml").write_text(keys)
    for number in range(30):
        (tmp_path / f"b{number}.yml").write_text("base: common.yml\n")
    (tmp_path / "x.yml").write_text(f"base: [{', '.join(f'b{n}.yml' for n in range(30))}]\n")
    files = OptionFiles()
    tree = files.read(tmp_path / "x.yml")
    assert tree.unreadable
    assert "at most 25,000 values in all bases and stages together" in str(tree.faults[0])
    assert files.budget.inherited < bounds.MAX_INHERITED + 3_000


def test_a_base_stays_as_it_is_when_files_inherit_from_it(tmp_path):
    (tmp_path / "common.yml").write_text("a: {x: 1, list: [1]}\n")
    (tmp_path / "left.yml").write_text("base: common.yml\na: {x: 2}\n")
    (tmp_path / "right.yml").write_text("base: common.yml\na: {y: 3}\n")
    (tmp_path / "x.yml").write_text("base: [left.yml, right.yml]\n")
    tree = OptionFiles().read(tmp_path / "x.yml")
    assert tree.value == {"a": {"x": 1, "list": [1], "y": 3}}
    assert tree.location(("a", "x")) == f"{tmp_path}/common.yml:1"


def test_faults_of_a_base_are_reported_once(tmp_path):
    (tmp_path / "common.yml").write_text("a: 1\na: 2\n")
    for name in ("left", "right"):
        (tmp_path / f"{name}.yml").write_text("base: common.yml\n")
    (tmp_path / "x.yml").write_text("base: [left.yml, right.yml]\n")
    (fault,) = OptionFiles().read(tmp_path / "x.yml").faults
    assert "common.yml:2" in str(fault)


def test_merging_shares_no_values(tmp_path):
    (tmp_path / "x.yml").write_text("a: [{b: 1}]\n")
    top, tree = OptionFiles().read(tmp_path / "x.yml"), OptionFiles().read(tmp_path / "x.yml")
    merge(tree, top)
    tree.value["a"][0]["b"] = 2
    assert top.value["a"][0]["b"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"total_iter": "1" + "0" * 400}}, "train.total_iter: expected integer > 0, got '1000"),
        ({"train": {"total_iter": "1" + "0" * 5000}}, "(5,003 characters); numbers are at most 1.8e+308"),
        ({"train": {"total_iter": "1e999"}}, "got '1e999'; numbers are at most 1.8e+308"),
        ({"train": {"optim_g": {"lr": "1.0e999"}}}, "expected number, got '1.0e999'; numbers are at most 1.8e+308"),
        ({"train": {"optim_g": {"lr": "-1e999"}}}, "got '-1e999'; numbers are at most 1.8e+308"),
        ({"train": {"total_iter": "9223372036854775808"}}, "integers are at most 9223372036854775807"),
        ({"network_g": {"num_modules": "1e30"}}, "got 1e+30; integers are at most 9223372036854775807"),
    ],
)  # fmt: skip
def test_numbers_beyond_64_bits_are_refused(tmp_path, changes, message):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))
    # The numbers are text here, and plain scalars in the file.
    file.write_text(file.read_text().replace("'", ""))
    (line,) = refused(file)
    assert message in line


def test_large_numbers_keep_their_types(tmp_path):
    (tmp_path / "x.yml").write_text("a: 9223372036854775807\nb: 1e18\nc: 1e30\nd: 1.0e308\ne: '1e999'\n")
    value = OptionFiles().read(tmp_path / "x.yml").value
    assert value == {"a": 2**63 - 1, "b": 10**18, "c": 1e30, "d": 1e308, "e": "1e999"}
    assert [type(item) for item in value.values()] == [int, int, float, float, str]


def test_many_faults_are_counted_and_the_first_are_listed(tmp_path):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path))
    file.write_text(file.read_text() + "".join(f"key{number}: 1\n" for number in range(3_000)))
    lines = refused(file)
    assert "key0: unknown option" in lines[0]
    assert lines[-1] == "  and 2,980 more"


def test_long_values_are_shortened_in_messages(tmp_path):
    text = "x" * 100_000
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, scale=text, network_g={"type": text}))
    lines = refused(file, f"{'k' * 50_000}={text}")
    assert sum(map(len, lines)) < 5_000


@pytest.mark.parametrize("override", ["a=" + "[" * 500 + "]" * 500, ".".join("a" * 500) + "=1"])
def test_overrides_have_the_same_limits(tmp_path, override):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path))
    assert any("expected at most 32 mappings" in line for line in refused(file, override))


def test_a_chain_has_a_limit(tmp_path):
    from srzoo.options import load_chain

    stages = {f"s{number}": {} for number in range(101)}
    file = write_options(tmp_path / "x.yml", training_options(tmp_path) | {"stages": stages})
    with pytest.raises(OptionsError, match="expected at most 100 stages, got 101"):
        load_chain(file, (), lambda _: tmp_path)
