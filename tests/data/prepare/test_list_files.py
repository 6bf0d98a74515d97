"""`srzoo data list` and `meta-info`: lists that the datasets read again."""

import numpy as np
import pytest

from srzoo.data.gt_images import GTImages
from srzoo.data.lists import find_images, meta_info_line, read_pair_list
from srzoo.data.paired import PairedImages
from srzoo.images import write_image
from tests.support import photograph
from tests.test_convert import srzoo


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run `srzoo data ACTION ...` in tmp_path; return its exit code."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: srzoo(monkeypatch, "data", *words)


@pytest.fixture
def realsr(tmp_path):
    """RealSR's folders: two cameras, two parts, two scales, GT in each folder."""
    root = tmp_path / "RealSR(V3)"
    for camera in ("Canon", "Nikon"):
        for part, number in (("Train", 1), ("Test", 2)):
            for scale in (2, 4):
                folder = root / camera / part / str(scale)
                image = photograph(48, 64, top=40 * number, left=10 if camera == "Canon" else 90)
                write_image(folder / f"{camera}_00{number}_HR.png", image)
                write_image(folder / f"{camera}_00{number}_LR{scale}.png", image[::scale, ::scale])
    return root


def test_realsr_becomes_a_list_that_d2c_sr_reads(realsr, command, tmp_path, capsys):
    words = ["--template", "realsr", "--scale", "4", "--only", "*/Test/*", "-o", "lists/test_x4.txt"]
    assert command("list", realsr, *words) == 0
    assert "wrote lists/test_x4.txt: 2 pairs" in capsys.readouterr().out
    folders = [realsr / camera / "Test" / "4" for camera in ("Canon", "Nikon")]
    assert (tmp_path / "lists" / "test_x4.txt").read_text() == "".join(
        f"{folder}/{camera}_002_LR4.png\t{folder}/{camera}_002_HR.png\n".replace("\t", " ")
        for folder, camera in zip(folders, ("Canon", "Nikon"), strict=True)
    )
    dataset = PairedImages(scale=4, phase="eval", pairs=tmp_path / "lists" / "test_x4.txt")
    assert len(dataset) == 2
    assert all(faults == [] for faults in dataset.check(full=True))


@pytest.mark.parametrize(
    ("high", "low", "names"),
    [
        ("test_HR", "test_LR", ("{}_x1", "{}_x4")),
        ("test_HR", "test_LR", ("{}", "{}")),
        ("HR", "LR", ("{}_HR", "{}_LR4")),
    ],
)
@pytest.mark.parametrize("template", ["drealsr", "d2crealsr"])
def test_halves_of_a_folder_are_paired_in_each_spelling(template, high, low, names, tmp_path, command):
    for name in ("sony_1", "panasonic_2"):
        write_image(tmp_path / "Test_x4" / high / f"{names[0].format(name)}.png", photograph(48, 64))
        write_image(tmp_path / "Test_x4" / low / f"{names[1].format(name)}.png", photograph(12, 16))
    assert command("list", "Test_x4", "--template", template, "--scale", "4", "-o", "x4.txt") == 0
    assert len(read_pair_list(tmp_path / "x4.txt").pairs) == 2


def test_paths_with_spaces_and_commas_are_read_again(tmp_path, command):
    for name in ("with space", "a, b", "x,y"):
        write_image(tmp_path / "gt" / f"{name}.png", photograph(24, 32))
        write_image(tmp_path / "lq" / f"{name}x2.png", photograph(12, 16))
    words = ["--lq-template", "{}x2", "--scale", "2", "--relative", "-o", "pairs/list.txt"]
    assert command("list", "gt", "lq", *words) == 0
    text = (tmp_path / "pairs" / "list.txt").read_text()
    assert str(tmp_path) not in text
    listing = read_pair_list(tmp_path / "pairs" / "list.txt")
    assert listing.faults == []
    assert {pair.key for pair in listing.pairs} == {"with space", "a, b", "x,y"}


def test_pairs_at_fault_are_reported_and_the_others_are_listed(tmp_path, command, capsys):
    for name, size in (("good", (12, 16)), ("wrong", (16, 16))):
        write_image(tmp_path / "gt" / f"{name}.png", photograph(24, 32))
        write_image(tmp_path / "lq" / f"{name}.png", photograph(*size))
    write_image(tmp_path / "gt" / "alone.png", photograph(24, 32))
    write_image(tmp_path / "lq" / "spare.png", photograph(12, 16))
    (tmp_path / "gt" / "text.png").write_text("no image")
    write_image(tmp_path / "lq" / "text.png", photograph(12, 16))
    assert command("list", "gt", "lq", "--scale", "2", "-o", "list.txt") == 2
    error = capsys.readouterr().err
    for line in (
        "gt/wrong.png: of 24x32 is not 2 times as large as lq/wrong.png, 16x16",
        "gt/alone.png: has no partner",
        "lq/spare.png: extra",
        "gt/text.png: not a readable image",
    ):
        assert line in error
    assert [pair.key for pair in read_pair_list(tmp_path / "list.txt").pairs] == ["good"]


def test_one_folder_for_both_needs_templates(tmp_path, command, capsys):
    write_image(tmp_path / "gt" / "a.png", photograph(24, 32))
    assert command("list", "gt", "-o", "list.txt") == 2
    assert "is GT and LQ at once" in capsys.readouterr().err
    assert not (tmp_path / "list.txt").exists()


def test_meta_info_is_read_again_with_sizes_and_channels(tmp_path, command):
    write_image(tmp_path / "gt" / "sub" / "with space.png", photograph(24, 32))
    write_image(tmp_path / "gt" / "grey (1).png", photograph(20, 30)[:, :, :1])
    write_image(tmp_path / "gt" / "deep.png", photograph(24, 32).astype(np.uint16))
    assert command("meta-info", "gt", "-o", "meta.txt") == 0
    lines = (tmp_path / "meta.txt").read_text().splitlines()
    assert lines == ["deep.png (24,32,3)", "grey (1).png (20,30,1)", "sub/with space.png (24,32,3)"]
    listing = find_images(tmp_path / "gt", tmp_path / "meta.txt")
    assert listing.faults == []
    assert {image.key: image.size for image in listing.images} == {
        "deep": (24, 32),
        "grey (1)": (20, 30),
        "sub/with space": (24, 32),
    }
    dataset = GTImages(scale=2, phase="eval", gt=tmp_path / "gt", meta_info=tmp_path / "meta.txt")
    assert all(faults == [] for faults in dataset.check(full=True))


def test_meta_info_of_realsr_names_gt_alone(realsr, command, capsys):
    assert command("meta-info", realsr, "--template", "realsr", "--only", "*/Test/4/*") == 0
    assert capsys.readouterr().out.splitlines() == [
        "Canon/Test/4/Canon_002_HR.png (48,64,3)",
        "Nikon/Test/4/Nikon_002_HR.png (48,64,3)",
    ]


@pytest.mark.parametrize("name", ["#comment.png", "two\nlines.png", " space.png"])
def test_names_that_no_list_can_hold_are_reported(name, tmp_path, command, capsys):
    write_image(tmp_path / "gt" / "good.png", photograph(24, 32))
    (tmp_path / "gt" / "good.png").rename(tmp_path / "gt" / name)
    write_image(tmp_path / "gt" / "good.png", photograph(24, 32))
    assert command("meta-info", "gt", "-o", "meta.txt") == 2
    assert "a list cannot name" in capsys.readouterr().err
    assert (tmp_path / "meta.txt").read_text() == "good.png (24,32,3)\n"


def test_names_that_are_no_utf_8_are_refused():
    with pytest.raises(ValueError, match="a list cannot name"):
        meta_info_line("\udcff.png", (24, 32), 3)


def test_lists_are_written_once_and_others_are_kept(tmp_path, command, capsys):
    write_image(tmp_path / "gt" / "a.png", photograph(24, 32))
    assert command("meta-info", "gt", "-o", "meta.txt", "--dry-run") == 0
    assert "would write meta.txt: 1 images, 16 bytes" in capsys.readouterr().out
    assert not (tmp_path / "meta.txt").exists()
    assert command("meta-info", "gt", "-o", "meta.txt") == 0
    assert command("meta-info", "gt", "-o", "meta.txt") == 0
    assert "meta.txt is up to date" in capsys.readouterr().out
    write_image(tmp_path / "gt" / "b.png", photograph(24, 32))
    assert command("meta-info", "gt", "-o", "meta.txt") == 2
    assert "meta.txt exists" in capsys.readouterr().err
    assert command("meta-info", "gt", "-o", "meta.txt", "--overwrite") == 0
    assert len((tmp_path / "meta.txt").read_text().splitlines()) == 2


def test_templates_that_fit_nothing_are_an_error(tmp_path, command, capsys):
    write_image(tmp_path / "gt" / "a.png", photograph(24, 32))
    assert command("meta-info", "gt", "--gt-template", "{}_HR") == 2
    assert "no image of this form in gt (1 images have other names)" in capsys.readouterr().err
    assert command("list", "gt", "--template", "realsr", "-o", "x.txt") == 2
    assert "add --scale N" in (error := capsys.readouterr().err)
    assert "--gt-template" not in error
    assert command("list", "gt", "--template", "realsr", "--scale", "4", "--gt-template", "{}", "-o", "x.txt") == 2
    assert "leave out --gt-template and --lq-template" in capsys.readouterr().err
