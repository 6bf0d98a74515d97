"""`srzoo data get` from a local mirror: any packing, checksums, whole or not at all."""

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from srzoo import catalogue
from srzoo.data.gt_images import GTImages
from srzoo.data.lists import read_pair_list
from srzoo.data.paired import PairedImages
from srzoo.images import write_image
from srzoo.options import load_options
from srzoo.options.paths import paths_in
from srzoo.weights import load_weights
from tests.support import ROOT, SHARED, needs_shared, photograph
from tests.test_convert import srzoo


@pytest.fixture
def get(tmp_path, monkeypatch):
    """Run the command from tmp_path/mirror into tmp_path/here; return its exit code."""
    (tmp_path / "mirror").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return lambda *words: srzoo(monkeypatch, "data", "get", *words, "--from", tmp_path / "mirror")


def write_set5(folder: Path, gt="GT", lr="LRbicx{}", lr_name="{}x{}"):
    """Write five GT images and their LR files at x2 and x4."""
    for number, name in enumerate(("baby", "bird", "butterfly", "head", "woman")):
        image = photograph(24, 32, top=20 * number)
        write_image(folder / gt / f"{name}.png", image)
        for scale in (2, 4):
            lr_file = folder / lr.format(scale) / f"{lr_name.format(name, scale)}.png"
            write_image(lr_file, image[::scale, ::scale])


def pack(folder: Path, archive: Path, top: str):
    """Pack a folder as an archive in which it is called `top`; "" packs its content."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted(folder.rglob("*")):
                file.write(path, (Path(top) / path.relative_to(folder)).as_posix())
    else:
        with tarfile.open(archive, "w:gz" if archive.name.endswith("gz") else "w") as file:
            file.add(folder, top or ".")


def assert_set5(root: Path, scales=(2, 4)):
    folder = root / "datasets" / "Set5"
    assert len(list((folder / "GT").iterdir())) == 5
    for scale in scales:
        pairs = PairedImages(
            scale=scale,
            phase="eval",
            gt=folder / "GT",
            lq=folder / f"LRbicx{scale}",
            lq_template=f"{{}}x{scale}",
        )
        assert all(faults == [] for faults in pairs.check(full=True))
        assert len(pairs) == 5
    assert sorted(path.name for path in (root / "datasets").iterdir()) == ["Set5"]


@pytest.mark.parametrize(
    ("gt", "lr"),
    [("GT", "LRbicx{}"), ("HR", "LR_bicubic/X{}"), ("hr", "x{}"), ("original", "LRbicx{}"), ("HR", "LR/x{}")],
)
def test_folders_of_every_packing_become_those_of_the_option_files(gt, lr, tmp_path, get):
    write_set5(tmp_path / "mirror" / "set5", gt, lr)
    assert get("Set5") == 0
    assert_set5(tmp_path / "here")


@pytest.mark.parametrize("name", ["Set5.zip", "set5.ZIP", "SET5.tar.gz", "Set5.tar", "Set5.tgz"])
@pytest.mark.parametrize("top", ["", "Set5", "set5", "benchmark/Set5", "data"])
def test_archives_of_every_packing_are_taken(name, top, tmp_path, get):
    write_set5(tmp_path / "folder", "HR", "LR_bicubic/X{}")
    archive = tmp_path / "mirror" / name
    pack(tmp_path / "folder", archive.with_name(name.replace("ZIP", "zip")), top)
    archive.with_name(name.replace("ZIP", "zip")).rename(archive)
    assert get("Set5") == 0
    assert_set5(tmp_path / "here")


def test_flat_archives_are_gt_with_lr_beside(tmp_path, get, capsys):
    write_set5(tmp_path / "folder", ".", ".")
    pack(tmp_path / "folder", tmp_path / "mirror" / "Set5.zip", "")
    assert get("Set5") == 0
    assert_set5(tmp_path / "here")
    assert "no LR files at x3: srzoo data make-lr" in capsys.readouterr().out


def test_lr_files_without_a_scale_in_their_name_get_it(tmp_path, get):
    write_set5(tmp_path / "mirror" / "Set5", lr_name="{}")
    assert get("Set5") == 0
    assert_set5(tmp_path / "here")


@needs_shared
def test_an_option_file_runs_with_what_was_got(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SHARED / "data" / "Set5", tmp_path / "mirror" / "Set5")
    for name in ("IMDN_x2", "rt4ksr_x3"):
        shutil.copy(SHARED / "checkpoints" / f"{name}.pth", tmp_path / "mirror")
    assert srzoo(monkeypatch, "data", "get", "Set5", "IMDN_x2", "rt4ksr_x3.pth", "--from", "mirror") == 0
    options = load_options(ROOT / "options" / "test" / "imdn" / "IMDN_x2.yml").options
    named = {path.as_posix() for _, path in paths_in(options) if "Set5" in path.parts or path.suffix == ".pth"}
    assert named == {"datasets/Set5/GT", "datasets/Set5/LRbicx2", "weights/IMDN_x2.pth"}
    assert all((tmp_path / name).exists() for name in named)


@needs_shared
@pytest.mark.parametrize("name", [n for n, w in catalogue.WEIGHTS.items() if w.sha256])
def test_checksums_are_those_of_the_released_files(name, tmp_path, monkeypatch):
    words = ["--from", SHARED, "--to", tmp_path]
    assert srzoo(monkeypatch, "data", "get", name, *words) == 0
    file = tmp_path / "weights" / catalogue.WEIGHTS[name].file
    assert file.read_bytes() == (SHARED / "checkpoints" / file.name).read_bytes()


@needs_shared
def test_weights_that_differ_are_refused_and_not_left_under_their_name(tmp_path, get, capsys):
    content = bytearray((SHARED / "checkpoints" / "model_RTC.pth").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "mirror" / "model_RTC.pth").write_bytes(content)
    assert get("model_RTC") == 2
    assert "differs from the published model_RTC.pth (SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "here" / "weights").exists()
    # A good copy beside it is found; one that is in place and differs is named.
    (tmp_path / "mirror" / "checkpoints").mkdir()
    shutil.copy(SHARED / "checkpoints" / "model_RTC.pth", tmp_path / "mirror" / "checkpoints" / "model_RTC")
    assert get("model_RTC") == 0
    assert get("model_RTC") == 0
    assert "is there already, left alone" in capsys.readouterr().out
    (tmp_path / "here" / "weights" / "model_RTC.pth").write_bytes(content)
    assert get("model_RTC") == 2
    assert "differs from the published file" in capsys.readouterr().err


def test_weights_without_a_known_checksum_must_be_weights(tmp_path, get, capsys):
    (tmp_path / "mirror" / "DRCT_SRx4.pth").write_text("<!DOCTYPE html>")
    assert get("DRCT_SRx4") == 2
    assert "a web page" in capsys.readouterr().err
    torch.save({"params": {"weight": torch.zeros(1)}}, tmp_path / "mirror" / "DRCT_SRx4.pth")
    assert get("DRCT_SRx4") == 0
    assert "no checksum is known" in capsys.readouterr().out
    assert (tmp_path / "here" / "weights" / "DRCT_SRx4.pth").is_file()


def test_what_is_there_is_left_alone_and_missing_folders_are_added(tmp_path, get, capsys):
    write_set5(tmp_path / "mirror" / "Set5")
    own = tmp_path / "here" / "datasets" / "Set5" / "GT" / "mine.png"
    write_image(own, photograph(24, 32))
    content = own.read_bytes()
    assert get("Set5") == 0
    assert "WARNING: datasets/Set5/GT has 1 images, published are 5" in capsys.readouterr().out
    assert [path.name for path in own.parent.iterdir()] == ["mine.png"]
    assert own.read_bytes() == content
    assert len(list((own.parent.parent / "LRbicx2").iterdir())) == 5
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "here").rglob("*")}
    assert get("Set5") == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "here").rglob("*")}


def test_a_dry_run_says_how_much_and_writes_nothing(tmp_path, get, capsys):
    write_set5(tmp_path / "mirror" / "Set5")
    write_set5(tmp_path / "folder")
    pack(tmp_path / "folder", tmp_path / "mirror" / "Set14.zip", "Set14")
    size = sum(path.stat().st_size for path in (tmp_path / "mirror" / "Set5").rglob("*.png"))
    assert get("Set5", "Set14", "--dry-run") == 0
    out = capsys.readouterr().out
    assert f"Set5: would write 15 files of {tmp_path / 'mirror'}/Set5 to datasets/Set5, {size:,} bytes" in out
    assert f"Set14.zip to datasets/Set14, {size:,} bytes" in out
    assert list((tmp_path / "here").iterdir()) == []


def test_df2k_is_joined_of_its_parts(tmp_path, get):
    for name in ("0001.png", "0002.png"):
        write_image(tmp_path / "mirror" / "DIV2K_train_HR" / name, photograph(24, 32))
    write_image(tmp_path / "folder" / "Flickr2K_HR" / "000001.png", photograph(24, 32))
    pack(tmp_path / "folder", tmp_path / "mirror" / "Flickr2K.tar", "Flickr2K")
    assert get("DF2K") == 0
    folder = tmp_path / "here" / "datasets"
    assert len(GTImages(scale=2, phase="eval", gt=folder / "DF2K" / "GT")) == 3
    assert len(list((folder / "DIV2K" / "train_HR").iterdir())) == 2
    assert len(list((folder / "Flickr2K" / "HR").iterdir())) == 1


def test_realsr_keeps_its_folders_and_gets_its_lists(tmp_path, get):
    for part in ("Train", "Test"):
        folder = tmp_path / "mirror" / "RealSR(V3)" / "Canon" / part / "4"
        write_image(folder / "Canon_001_HR.png", photograph(24, 32))
        write_image(folder / "Canon_001_LR4.png", photograph(6, 8))
    assert get("RealSR") == 0
    lists = tmp_path / "here" / "datasets" / "RealSR"
    assert [path.name for path in sorted(lists.glob("*.txt"))] == ["test_x4.txt", "train_x4.txt"]
    assert [pair.gt for pair in read_pair_list(lists / "test_x4.txt").pairs] == [
        lists / "Canon" / "Test" / "4" / "Canon_001_HR.png"
    ]


def evil(archive: Path, **members: tuple[str, bytes]):
    """Write an archive with members of given names."""
    with tarfile.open(archive, "w:gz") as file:
        for kind, (name, content) in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if kind in ("symlink", "hardlink", "device"):
                kinds = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}
                member.type, member.size, member.linkname = kinds[kind], 0, "/etc/passwd"
            file.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("plain", "../escaped.png"),
        ("plain", "GT/../../escaped.png"),
        ("plain", "/tmp/escaped.png"),
        ("plain", "..\\escaped.png"),
        ("symlink", "GT/link.png"),
        ("hardlink", "GT/link.png"),
        ("device", "GT/device.png"),
    ],
)
def test_dangerous_archives_are_refused_whole(kind, name, tmp_path, get, capsys):
    write_image(tmp_path / "good.png", photograph(24, 32))
    content = (tmp_path / "good.png").read_bytes()
    evil(tmp_path / "mirror" / "Set5.tar.gz", plain0=("GT/a.png", content), **{kind: (name, content)})
    assert get("Set5") == 2
    assert "refused" in capsys.readouterr().err
    assert not list((tmp_path / "here" / "datasets").rglob("*.png"))
    assert not list(tmp_path.rglob("escaped*"))


def test_links_in_zip_files_are_refused(tmp_path, get, capsys):
    with zipfile.ZipFile(tmp_path / "mirror" / "Set5.zip", "w") as file:
        member = zipfile.ZipInfo("GT/a.png")
        member.external_attr = 0o120777 << 16
        file.writestr(member, "/etc/passwd")
    assert get("Set5") == 2
    assert "a link or device: refused" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_bombs_are_refused_before_they_fill_the_disk(suffix, tmp_path, get, capsys):
    zeros = bytes(100 * 2**20)
    archive = tmp_path / "mirror" / f"Set5{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("GT/a.png", zeros)
    else:
        evil(archive, plain=("GT/a.png", zeros))
    assert archive.stat().st_size < 2**20
    assert get("Set5") == 2
    assert "grows beyond" in capsys.readouterr().err
    assert not (tmp_path / "here" / "datasets" / "Set5").exists()


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
@pytest.mark.parametrize("part", [0.5, 0.98])
def test_archives_cut_short_leave_nothing(part, suffix, tmp_path, get, capsys):
    write_set5(tmp_path / "folder")
    archive = tmp_path / "mirror" / f"Set5{suffix}"
    pack(tmp_path / "folder", archive, "Set5")
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * part)])
    assert get("Set5") == 2
    assert f"{archive}: " in capsys.readouterr().err
    assert not list((tmp_path / "here").rglob("*.png"))


def test_damaged_images_and_other_content_are_refused(tmp_path, get, capsys):
    write_set5(tmp_path / "mirror" / "Set5")
    (tmp_path / "mirror" / "Set5" / "GT" / "baby.png").write_text("no image")
    (tmp_path / "mirror" / "Set14").mkdir()
    (tmp_path / "mirror" / "Set14" / "readme.txt").write_text("none")
    assert get("Set5", "Set14") == 2
    error = capsys.readouterr().err
    assert "2 of 2 could not be got" in error
    assert "1 file(s) of Set5 are damaged" in error
    assert "holds no images of Set14; expected GT/NAME.png" in error
    assert not list((tmp_path / "here").rglob("*.png"))


def test_all_faults_are_reported_after_the_others_are_done(tmp_path, get, capsys):
    write_set5(tmp_path / "mirror" / "Set5")
    assert get("Set14", "Set5", "IMDN_x2") == 2
    captured = capsys.readouterr()
    assert "2 of 3 could not be got; the others are done" in captured.err
    assert "Set5: wrote 15 files" in captured.out


def test_unknown_names_are_refused_before_anything_is_fetched(tmp_path, get, capsys):
    write_set5(tmp_path / "mirror" / "Set5")
    assert get("Set5", "IMDN_x5") == 2
    error = capsys.readouterr().err
    assert "did you mean IMDN_x" in error
    assert all(name in error for name in catalogue.names())
    assert list((tmp_path / "here").iterdir()) == []


def test_help_and_docs_list_every_name_with_its_licence(monkeypatch, capsys):
    assert srzoo(monkeypatch, "data", "get", "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    page = (ROOT / "docs" / "datasets.md").read_text()
    for name in catalogue.names():
        assert name in text
    for published in (*catalogue.DATASETS.values(), *catalogue.WEIGHTS.values()):
        row = next(line for line in page.splitlines() if line.startswith(f"| `{published.name}` |"))
        assert published.licence in row


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("datasets/Set5/GT", "srzoo data get Set5"),
        ("datasets/Urban100/LRbicx4", "srzoo data get Urban100"),
        ("datasets/DIV2K/train_HR", "srzoo data get DIV2K"),
        ("datasets/RealSR/test_x4.txt", "srzoo data get RealSR"),
        ("datasets/Set14_degraded/bicubic", "srzoo data get Set14"),
        ("/data/my project/datasets/Set5/GT", "srzoo data get Set5 --to '/data/my project'"),
        ("weights/DRCT-L_X4.pth", "srzoo data get DRCT-L_X4"),
        ("datasets/mine", ""),
        ("elsewhere/Set5/GT", ""),
        ("weights/mine.pth", ""),
    ],
)
def test_missing_paths_name_the_command(path, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert catalogue.hint(Path(path)) == (f"; to get it: {command}" if command else "")


def test_missing_paths_name_the_command_that_makes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("Set5/GT", "DIV2K/train_HR"):
        (tmp_path / "datasets" / folder).mkdir(parents=True)
    assert catalogue.hint(Path("datasets/Set5/LRbicx3")).endswith(
        "srzoo data make-lr datasets/Set5/GT datasets/Set5 --scale 3"
    )
    assert catalogue.hint(Path("datasets/DIV2K/train_HR_sub")).endswith(
        "srzoo data subimages datasets/DIV2K/train_HR datasets/DIV2K/train_HR_sub"
    )
    assert catalogue.hint(Path("datasets/Set5_degraded/bicubic")).endswith(
        "srzoo data degrade datasets/Set5/GT datasets/Set5_degraded"
    )


def test_messages_about_missing_files_name_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"to get it: srzoo data get Set5$"):
        GTImages(scale=2, phase="eval", gt=Path("datasets/Set5/GT"))
    with pytest.raises(FileNotFoundError, match=r"to get it: srzoo data get RealSR$"):
        PairedImages(scale=2, phase="eval", pairs=Path("datasets/RealSR/test_x2.txt"))
    with pytest.raises(FileNotFoundError, match=r"to get it: srzoo data get IMDN_x2$"):
        load_weights(torch.nn.Conv2d(3, 3, 1), Path("weights/IMDN_x2.pth"))


def test_every_path_of_the_shipped_option_files_is_known_or_made_here():
    unknown = set()
    for file in sorted((ROOT / "options").rglob("*.yml")):
        for word in file.read_text().replace(",", " ").replace("}", " ").split():
            if word.startswith(("datasets/", "weights/")) and not catalogue.hint(Path(word)):
                unknown.add(word.split("/")[1])
    assert unknown == {"demo", "mine"}  # made by scripts/demo.py; the user's own
