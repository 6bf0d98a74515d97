"""LQ and GT that are exchanged: called so, once per pair, whatever else would follow from it."""

import pytest

from srzoo.data.paired import PairedImages
from srzoo.images import write_image
from srzoo.options import OptionsError, load_options
from tests.support import photograph, run_train, training_options, write_options, write_photographs


@pytest.fixture
def folders(tmp_path):
    write_photographs(tmp_path / "large", 2, 96, 120)
    write_photographs(tmp_path / "small", 2, 24, 30)
    return tmp_path


def faults(dataset):
    return [fault.reason for found in dataset.check(full=False) for fault in found]


@pytest.mark.parametrize("phase", [{"phase": "train", "gt_size": 64}, {"phase": "eval"}])
@pytest.mark.parametrize("scale", [2, 4])
def test_exchanged_folders_are_called_so(folders, scale, phase):
    dataset = PairedImages(scale=scale, gt=folders / "small", lq=folders / "large", **phase)
    first, second = faults(dataset)
    assert first == (
        "LQ and GT (LR and HR) are swapped: is 96x120, larger than GT 00.png of 24x30; exchange the folders of `lq` "
        "and `gt`, or the columns of `pairs`"
    )
    assert "GT 01.png" in second


def test_exchanged_columns_of_a_list_are_called_so(folders):
    (folders / "pairs.txt").write_text("large/00.png small/00.png\n")
    (reason,) = faults(PairedImages(scale=4, phase="eval", pairs=folders / "pairs.txt"))
    assert reason.startswith("LQ and GT (LR and HR) are swapped")


def test_exchanged_folders_are_recognised_by_their_names(folders):
    for number in range(2):
        (folders / "small" / f"0{number}.png").rename(folders / "small" / f"0{number}x4.png")
    with pytest.raises(ValueError, match=r"LQ and GT \(LR and HR\) are swapped: files of gt .*small are named '{}x4'"):
        PairedImages(scale=4, phase="eval", gt=folders / "small", lq=folders / "large", lq_template="{}x4")
    right = PairedImages(scale=4, phase="eval", gt=folders / "large", lq=folders / "small", lq_template="{}x4")
    assert faults(right) == []


def test_a_wrong_scale_is_no_exchange_and_the_right_one_is_named(folders):
    first, _ = faults(PairedImages(scale=2, phase="eval", gt=folders / "large", lq=folders / "small"))
    assert first == ("wrong scale ratio: is 24x30, but GT 00.png of 96x120 at scale 2 asks for 48x60; it fits scale 4")
    write_image(folders / "small" / "00.png", photograph(25, 30))
    first, _ = faults(PairedImages(scale=2, phase="eval", gt=folders / "large", lq=folders / "small"))
    assert first.endswith("asks for 48x60")


def test_a_training_says_so_before_it_starts(folders, capsys):
    pairs = {"type": "PairedImages", "gt": str(folders / "small"), "lq": str(folders / "large")}
    file = write_options(folders / "x.yml", training_options(folders, datasets={"train": pairs}))
    assert run_train(file) == 2
    assert "train: " in (error := capsys.readouterr().err)
    assert error.count("are swapped") == 2
    assert len(error.splitlines()) == 3


def test_a_scale_below_one_is_turned_round(tmp_path):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, scale=0.25))
    with pytest.raises(OptionsError) as error:
        load_options(file)
    (fault,) = error.value.faults
    assert "scale: expected integer > 0, got 0.25; the scale is that of the output: 4 if LQ has 0.25 times" in str(
        fault
    )
