"""`srzoo data check`: faults planted in a dataset are found; clean data is left in peace."""

import base64
import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
import skimage.data
import yaml
from torch.utils.data import Dataset

from srzoo.data.examine.examination import examine
from srzoo.data.examine.findings import Case, Examination, Examined, Finding
from srzoo.data.reduction import reduced
from srzoo.images import decode_image, jpeg_decoded, write_image
from tests.data.test_packs import packed
from tests.support import SHARED, needs_shared, training_options, write_options
from tests.test_convert import srzoo


def sources():
    """Return five clean photographs of 152x152: parts of larger ones, reduced until no trace of JPEG is left."""
    photos = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]
    small = [cv2.resize(p, None, fx=2 / 3, fy=2 / 3, interpolation=cv2.INTER_AREA) for p in photos]
    return [
        small[0][20:172, 60:212], small[0][180:332, 180:332], small[1][10:162, 20:172],
        small[1][100:252, 230:382], small[2][20:172, 60:212],
    ]  # fmt: skip


class Checked:
    """Datasets below a folder, and the command run over them.

    Three pairs for training, two for validation, scale 2.
    """

    def __init__(self, folder, monkeypatch, capsys):
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        self.gt = sources()
        for number, image in enumerate(self.gt):
            self.write(number, image, reduced(image, 2))
        self.options = training_options(folder)
        self.options["datasets"] = {
            "train": {**self.paired("train"), "gt_size": 32, "batch_size": 2, "num_workers": 0},
            "val": {"own": self.paired("val")},
        }

    def paired(self, name):
        return {"type": "PairedImages", "gt": str(self.folder / name / "GT"), "lq": str(self.folder / name / "LQ")}

    def path(self, number, kind="GT"):
        return self.folder / ("train" if number < 3 else "val") / kind / f"{number}.png"

    def write(self, number, gt=None, lq=None):
        for kind, image in (("GT", gt), ("LQ", lq)):
            if image is not None:
                write_image(self.path(number, kind), np.ascontiguousarray(image))

    def __call__(self, *words):
        """Run the command; return its exit code, what it prints, and (check, dataset, severity) -> finding as JSON."""
        file = write_options(self.folder / "x.yml", self.options)
        report = self.folder / "report.json"
        code = srzoo(
            self.monkeypatch, "data", "check", "-opt", file, "--json", report, "--overwrite", "--workers", "1", *words
        )
        out = self.capsys.readouterr()
        (stage,) = json.loads(report.read_text())["stages"]
        findings = {(one["check"], one["dataset"], one["severity"]): one for one in stage["findings"]}
        return code, out.out + out.err, findings


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    return Checked(tmp_path, monkeypatch, capsys)


def names(finding):
    return [[file.rpartition("/")[2] for file in case["files"]] for case in finding["cases"]]


def test_clean_data_has_no_findings(check):
    code, out, findings = check()
    assert (code, findings) == (0, {})
    assert "train: 3 images, all examined\nval/own: 2 images, all examined\n" in out
    assert "0 faults, 0 warnings, 0 notes" in out


def moved(check):
    check.write(1, lq=check.gt[1][::2, ::2])


def swapped(check):
    check.write(4, lq=reduced(check.gt[4], 2)[..., ::-1])


def other_kernel(check):
    for number in (0, 1, 2):
        check.write(number, lq=reduced(check.gt[number], 2, "area"))


def nearly_the_kernel(check):
    check.write(3, lq=reduced(check.gt[3], 2, "matlab-legacy"))


def edited(check):
    check.write(2, lq=jpeg_decoded(reduced(check.gt[2], 2), 60))


def enlarged(check):
    small = cv2.resize(check.gt[0], (76, 76), interpolation=cv2.INTER_AREA)
    image = cv2.resize(small, (152, 152), interpolation=cv2.INTER_CUBIC)
    check.write(0, image, reduced(image, 2))


def compressed(check):
    image = jpeg_decoded(np.ascontiguousarray(check.gt[1]), 75)
    check.write(1, image, reduced(image, 2))


def sixteen_bits(check):
    image = check.gt[2].astype(np.uint16) * 256 + 7
    check.write(2, image, reduced(image, 2))


def unequal_depths(check):
    check.write(3, check.gt[3].astype(np.uint16) * 257)
    check.write(4, check.gt[4].astype(np.uint16) * 257)


def leaked(check):
    image = jpeg_decoded(np.ascontiguousarray(check.gt[3][:, ::-1]), 92)
    check.write(1, image, reduced(image, 2))


def repeated(check):
    image = cv2.resize(check.gt[0], (128, 128), interpolation=cv2.INTER_AREA)
    check.write(2, image, reduced(image, 2))


def without_colour(check):
    grey = reduced(check.gt[0], 2).mean(2, keepdims=True).round().astype(np.uint8)
    check.write(0, lq=np.repeat(grey, 3, 2))


def damaged(check):
    path = check.path(1)
    path.write_bytes(path.read_bytes()[:5000])


def damaged_inside(check):
    path = check.path(4, "LQ")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    path.write_bytes(content)


FAULTS = {
    moved: ("alignment", "train", "fault", [["1.png", "1.png"]], "right of GT"),
    swapped: ("colours", "val/own", "fault", [["4.png", "4.png"]], "LQ is stored as BGR"),
    other_kernel: ("kernel", "train", "fault", [[f"{n}.png"] * 2 for n in range(3)], "block means"),
    nearly_the_kernel: ("kernel", "val/own", "warning", [["3.png", "3.png"]], "older MATLAB releases"),
    edited: ("kernel", "train", "warning", [["2.png", "2.png"]], "unlike the others"),
    enlarged: ("enlarged", "train", "warning", [["0.png"]], "as if enlarged x2"),
    compressed: ("compression", "train", "warning", [["1.png"]], "quality about 75"),
    sixteen_bits: ("depth", "train", "warning", [["2.png"]], "16-bit GT files in a dataset of 8 bits"),
    unequal_depths: ("depth", "val/own", "warning", [["3.png"] * 2, ["4.png"] * 2], "LQ 8 bits, GT 16 bits"),
    leaked: ("duplicates", "val/own", "fault", [["1.png", "3.png"]], "mirrored"),
    repeated: ("duplicates", "train", "warning", [["0.png", "2.png"]], "near-duplicates within training"),
    without_colour: ("colours", "train", "warning", [["0.png", "0.png"]], "LQ is grey"),
    damaged_inside: ("pre-flight", "val/own", "fault", [["4.png"]], "cannot be decoded"),
    damaged: ("pre-flight", "train", "fault", [["1.png"]], "truncated"),
}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(check, plant):
    name, dataset, severity, files, words = FAULTS[plant]
    plant(check)
    code, out, findings = check("--page", check.folder / "report.html")
    assert code == 2
    assert names(findings[name, dataset, severity]) == files
    assert words in out
    # Other checks may notice the same files, but no other.
    for finding in findings.values():
        assert {n for case in names(finding) for n in case} <= {n for case in files for n in case}, finding
    look_at(check.folder / "report.html", pictures=name not in ("depth", "pre-flight"))


def look_at(path, pictures):
    """Check that a page is well-formed, loads nothing, and that each picture can be decoded and has a description."""
    text = path.read_text()
    images = []

    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, tag, attrs):
            values = dict(attrs)
            if tag == "img":
                assert values["alt"]
                images.append(values["src"])
            elif tag != "meta":
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import|<script", text)
    assert bool(images) == pictures
    for source in images:
        content = base64.b64decode(source.removeprefix("data:image/png;base64,"))
        assert min(decode_image(content, path).rgb.shape[:2]) > 8


def test_names_are_escaped(check):
    image = check.gt[0]
    odd = 'a <b>&".png'
    write_image(check.folder / "train/GT" / odd, image)
    write_image(check.folder / "train/LQ" / odd, reduced(image, 2)[..., ::-1])
    assert check("--page", check.folder / "report.html")[0] == 2
    text = (check.folder / "report.html").read_text()
    assert "<b>" not in text
    assert "a &lt;b&gt;&amp;&quot;.png" in text


def test_an_option_names_another_kernel(check):
    other_kernel(check)
    check.options["datasets"]["train"]["lq_kernel"] = "area"
    assert check()[0] == 0
    check.options["datasets"]["train"]["lq_kernel"] = "pil"
    assert check()[0] == 2
    check.options["datasets"]["train"]["lq_kernel"] = "other"
    assert check()[0] == 0


def test_lq_that_no_kernel_explains_is_a_note(check):
    for number, image in enumerate(check.gt):
        check.write(number, lq=reduced(cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), 1.5), 2))
    code, out, findings = check()
    assert code == 0
    assert set(findings) == {("kernel", "train", "note"), ("kernel", "val/own", "note")}
    assert "no known kernel explains LQ" in out


def test_sub_images_of_one_image_overlap_on_purpose(check):
    for number, (top, left) in enumerate([(0, 0), (0, 1), (1, 0)]):
        image = skimage.data.coffee()[100 + top : 252 + top, 200 + left : 352 + left]
        for kind, pixels in (("GT", image), ("LQ", reduced(np.ascontiguousarray(image), 2))):
            check.path(number, kind).unlink()
            name = f"a_s{number:03}" if number < 2 else "b"
            write_image(check.folder / "train" / kind / f"{name}.png", np.ascontiguousarray(pixels))
    (finding,) = [found for name, found in check()[2].items() if name[0] == "duplicates"]
    assert names(finding) == [["a_s000.png", "b.png"], ["a_s001.png", "b.png"]]


def test_colours_do_not_matter_for_a_grey_dataset(check):
    without_colour(check)
    # Luma of GT and means of channels differ, which is no kernel.
    assert ("colours", "train", "warning") in check("--skip", "kernel")[2]
    check.options["network_g"]["num_in_ch"] = 1
    for entry in (check.options["datasets"]["train"], check.options["datasets"]["val"]["own"]):
        entry["color"] = "grey"
    assert check("--skip", "kernel")[0] == 0


def test_checks_can_be_left_out(check):
    moved(check)
    compressed(check)
    assert check("--skip", "alignment", "kernel", "compression")[0] == 0
    assert check("--skip", "alignment")[0] == 2


def test_a_sample_is_stated_and_full_examines_all(check):
    compressed(check)
    code, out, findings = check("--images", "1")
    assert (code, findings) == (0, {})
    assert "train: 3 images, 1 examined, evenly chosen" in out
    assert "--full examines all images" in out
    assert check("--images", "1", "--full")[0] == 2


def test_overlap_that_is_allowed_is_a_note(check):
    leaked(check)
    check.options["data"] = {"allow_overlap": True}
    code, _, findings = check("--skip", "compression")
    assert code == 0
    assert ("duplicates", "val/own", "note") in findings


def test_one_set_for_validation_and_test_is_no_fault(check):
    check.options["datasets"]["test"] = dict(check.options["datasets"]["val"])
    code, out, findings = check()
    assert (code, findings) == (0, {})
    assert "test/own: 2 images" in out


def test_a_file_of_both_sets_is_reported_once(check):
    check.write(1, check.gt[3], reduced(check.gt[3], 2))
    code, out, findings = check()
    assert code == 2
    assert [name for name, _, _ in findings] == ["pre-flight"]
    assert "is also in val/own" in out
    assert "[pre-flight; 1]" in out  # faults are no share of the images: there may be more


def test_packs_are_examined_like_folders(check):
    swapped(check)
    for kind in ("GT", "LQ"):
        assert packed(check.folder / "val" / kind, check.folder / f"packed_{kind}") == 0
        check.options["datasets"]["val"]["own"][kind.lower()] = str(check.folder / f"packed_{kind}")
    assert check()[2].keys() == {("colours", "val/own", "fault")}


def test_workers_change_nothing(check):
    swapped(check)
    leaked(check)
    assert check("--workers", "2")[2] == check()[2]


def test_gt_alone_is_examined(check):
    compressed(check)
    check.options["datasets"]["train"] = {
        "type": "GTImages", "gt": str(check.folder / "train/GT"), "gt_size": 32, "batch_size": 2,
    }  # fmt: skip
    assert check()[2].keys() == {("compression", "train", "warning")}


def test_gt_that_is_stored_as_jpeg_is_a_note(check):
    for number in range(3):
        check.path(number).unlink()
        write_image(check.path(number).with_suffix(".jpg"), np.ascontiguousarray(check.gt[number]))
    check.options["datasets"]["train"]["lq_kernel"] = "other"
    code, _, findings = check()
    assert code == 0
    assert names(findings["compression", "train", "note"]) == [["0.jpg"], ["1.jpg"], ["2.jpg"]]


def test_a_dataset_of_another_class_is_named():
    class Own(Dataset):
        def __len__(self):
            return 3

    (finding,) = examine({"train": Own()}, []).findings
    assert (finding.severity, finding.dataset) == ("note", "train")
    assert finding.problem.startswith("Own is not examined")


def test_stages_are_examined_one_by_one(check):
    swapped(check)
    check.options["stages"] = {"first": {}, "second": {"train": {"total_iter": 2}}}
    file = write_options(check.folder / "x.yml", check.options)
    html = check.folder / "report.html"
    assert srzoo(check.monkeypatch, "data", "check", "-opt", file, "--page", html) == 2
    look_at(html, pictures=True)
    assert html.read_text().count("<h1>") == 2
    out = check.capsys.readouterr()
    assert "stage first\n" in out.out
    assert "stage second\n" in out.out
    assert "2 faults in the data of" in out.err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--skip", "kernels"], "unknown check 'kernels'; known: depth, colours, alignment, kernel"),
        (["--images", "0"], "--images must be at least 1"),
        (["--page", "x.txt"], "expected an output name ending in .html"),
    ],
)
def test_wrong_arguments(check, words, answer):
    file = write_options(check.folder / "x.yml", check.options)
    assert srzoo(check.monkeypatch, "data", "check", "-opt", file, *words) == 2
    assert answer in check.capsys.readouterr().err


def test_a_report_is_not_overwritten(check):
    file = write_options(check.folder / "x.yml", check.options)
    (check.folder / "r.json").write_text("mine")
    assert srzoo(check.monkeypatch, "data", "check", "-opt", file, "--json", check.folder / "r.json") == 2
    assert "exists: choose another name" in check.capsys.readouterr().err
    assert (check.folder / "r.json").read_text() == "mine"


def test_long_lists_are_shortened(tmp_path):
    cases = [Case((tmp_path / f"{number}.png",)) for number in range(10)]
    finding = Finding("note", "depth", "train", "odd", "look", cases, 12)
    text = Examination([Examined("train", 12, 12)], [finding]).text()
    assert "* train: odd [depth; 10 of 12]" in text
    assert "7.png" in text
    assert "8.png" not in text
    assert "... and 2 more (--json lists all)" in text


@needs_shared
@pytest.mark.slow
def test_published_datasets_have_notes_alone(tmp_path, monkeypatch, capsys):
    options = training_options(tmp_path, scale=4)
    root = SHARED / "data"
    options["datasets"] = {
        "train": {"type": "GTImages", "gt": str(root / "BSDS400"), "gt_size": 64, "batch_size": 2},
        "val": {
            name: {
                "type": "PairedImages", "gt": str(root / name / "GT"), "lq": str(root / name / "LRbicx4"),
                "lq_template": "{}x4",
            }
            for name in ("Set5", "Set14", "BSD100")
        },
    }  # fmt: skip
    file = write_options(tmp_path / "x.yml", options)
    assert srzoo(monkeypatch, "data", "check", "-opt", file) == 0
    out = capsys.readouterr().out
    assert "0 faults, 0 warnings, 3 notes" in out
    assert yaml.safe_load(file.read_text()) == options
