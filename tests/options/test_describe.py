"""The option reference: complete, fresh, and useful."""

import json

import pytest
import torch

from srzoo.options.annotations import type_name
from srzoo.options.describe import editor_schema, explain, markdown
from srzoo.options.lookup import all_options
from tests.support import ROOT


def test_every_framework_option_is_explained():
    assert [option.path for option in all_options() if not option.field.meaning and not option.plugin] == []


@pytest.mark.skipif(not torch.__version__.startswith("2.12."), reason="optimiser arguments are those of torch 2.12")
def test_the_generated_pages_are_fresh():
    assert (ROOT / "docs" / "options.md").read_text() == markdown(), "run: srzoo options docs"
    assert json.loads((ROOT / "docs" / "options.schema.json").read_text()) == editor_schema(), "run: srzoo options docs"


def test_explain_prints_type_unit_default_and_meaning():
    text = explain("train.total_iter")
    for part in ("train.total_iter", "length of the training", "integer > 0", "required", "updates"):
        assert part in text
    assert explain("gt_size").count("type: GTImages") == 1
    assert "  unit:    GT pixels" in explain("gt_size")
    assert "decay of the running first and second moments" in explain("optim_g.betas")
    with pytest.raises(LookupError, match="did you mean 'total_iter'"):
        explain("total_itr")


def test_explain_lists_the_options_of_a_section_and_the_types_of_a_block():
    first, _, rest = explain("train").partition("\n\n")
    assert first.startswith("train\n  training of the network.")
    assert "options: total_iter, optim_g, losses" in first
    assert rest.startswith("datasets.train\n")
    assert "types:   CharbonnierLoss, " in explain("train.losses")


def test_explain_describes_a_type_by_its_options():
    text = explain("GTImages")
    for part in (
        "GTImages  (dataset)\n  ", "type of: datasets.train, datasets.val.<name>, datasets.test.<name>\n",
        "\n  gt (", "\n  batch_size (required): samples per update", " [GT pixels]\n",
    ):  # fmt: skip
        assert part in text
    assert "\n  weight (1): factor of this loss in the sum" in explain("L1Loss")
    assert len(explain("L1Loss").splitlines()) <= 6


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("train.losses.pixel.weight", "train.losses.<name>.weight"),
        ("datasets.val.Set5.sources.mine.limit", "datasets.val.<name>.sources.<name>.limit"),
        ("degradation.stages[3].prob", "degradation.stages[].prob"),
    ],
)
def test_explain_takes_names_and_numbers_that_a_user_chose(key, path):
    assert path in explain(key).splitlines()[0]


def test_explain_answers_unknown_words_in_one_short_line():
    with pytest.raises(LookupError) as error:
        explain("qqqqqq")
    assert str(error.value) == "no option, section or type 'qqqqqq'; docs/options.md lists all"
    with pytest.raises(LookupError, match="did you mean 'PSNR'"):
        explain("psnr")


def test_types_read_as_words():
    assert type_name(tuple[float, float]) == "list of 2: number, number"
    assert type_name(int | None) == "integer or null"
    assert type_name(list[str]) == "list of text"


def test_editor_schema_knows_sections_plugins_and_base():
    schema = editor_schema()
    assert {"base", "train", "network_g"} <= schema["properties"].keys()
    assert schema["additionalProperties"] is False
    names = [member["properties"]["type"]["const"] for member in schema["properties"]["network_g"]["anyOf"]]
    assert "IMDN" in names
    assert "required" not in json.dumps(list(schema.keys()))
