"""`srzoo options explain`: short answers for options, sections, types and unknown words."""

import pytest

from srzoo.options.explain import explain
from srzoo.options.lookup import FAMILIES, all_options
from srzoo.registry import BACKBONES


def test_a_section_lists_its_options():
    text = explain("val")
    assert text.startswith("val\n  scoring of the network.\n")
    assert "    val_freq (integer > 0 or null; default null): interval between validations" in text
    assert "    tile_overlap (integer >= 0; default 32): margin around each tile" in text
    # The dataset of that name comes second: it lies deeper.
    assert text.index("\ndatasets.val\n") > text.index("tile_overlap")


def test_a_block_lists_its_types_and_the_options_of_the_framework():
    text = explain("train.losses")
    assert "types (explain one for its options): CharbonnierLoss" in text
    assert "    weight (number >= 0; default 1): factor of this loss in the sum." in text


def test_a_type_is_summarised_with_its_options():
    assert explain("L1Loss") == (
        "L1Loss  (loss: train.losses.<name>.type)\n"
        "  Mean absolute difference of two images (B, C, H, W) of any range -> scalar.\n"
        "  options:\n"
        "    weight (number >= 0; default 1): factor of this loss in the sum."
    )
    text = explain("RCAN")
    assert "RCAN  (network: network_g.type)" in text
    assert "    num_group (integer > 0; default 10): residual groups." in text
    assert "RCAN  (backbone)" in text


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=f"{family.family} {name}") for family in (*FAMILIES, BACKBONES) for name in family]
)
def test_every_type_has_a_short_answer(name):
    lines = explain(name).splitlines()
    assert lines[0].startswith(name)
    assert "no description" not in lines[1]
    assert len(lines) <= 40


@pytest.mark.parametrize("path", sorted({option.path for option in all_options()}))
def test_every_path_leads_to_its_option(path):
    assert any(path in line.partition("  (type:")[0].split(", ") for line in explain(path).splitlines())


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("train.losses.pixel.weight", "train.losses.<name>.weight"),
        ("pixel.weight", "train.losses.<name>.weight"),
        ("datasets.val.Set5.sources.mine.limit", "datasets.val.<name>.sources.<name>.limit"),
        ("degradation.stages[3].prob", "degradation.stages[].prob"),
        ("stages.prob", "degradation.stages[].prob"),
    ],
)
def test_names_that_a_user_chose_are_no_obstacle(word, path):
    assert path in explain(word).splitlines()[0]


def test_keys_of_the_file_are_explained():
    assert explain("base") == "base\n  option file(s) to inherit from, relative to this one"
    assert explain("stages").startswith("stages\n  trainings in order, by name")
    assert "degradation.stages\n" in explain("stages")


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("total_itr", "did you mean 'total_iter'"),
        ("L1loss", "did you mean 'L1Loss'"),
        ("IMDM", "did you mean 'IMDN'"),
        ("trian.losses", "did you mean 'train.losses'"),
        ("qwertz", "the sections are name, scale, network_g"),
        ("train.losses.pixel", "did you mean"),
    ],
)
def test_unknown_words_get_one_short_line(word, answer):
    with pytest.raises(LookupError) as error:
        explain(word)
    message = str(error.value)
    assert message.startswith(f"no option, section or type {word!r}; ")
    assert answer in message
    assert len(message) < 250
