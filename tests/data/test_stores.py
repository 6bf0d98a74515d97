"""Sources, trees and lists over any store: the samples of the folders that it was made from."""

import shutil

import pytest

from srzoo.cli import parse
from srzoo.command import execute
from srzoo.data.gt_images import GTImages, Source
from srzoo.data.lq_images import LQImages
from srzoo.data.paired import PairedImages
from srzoo.images import write_image
from tests.data.packs import assert_same, draws
from tests.support import photograph


@pytest.fixture
def tree(tmp_path):
    """A tree as ImageNet's, whose folders share names of files, and LQ at x2 beside it; sub-images of one picture."""
    names = [f"{group}/{stem}" for group in ("n01", "n02", "n10") for stem in ("a_s001", "a_s002", "b")]
    for number, name in enumerate(names):
        write_image(tmp_path / "gt" / f"{name}.png", photograph(40, 48, top=9 * number))
        write_image(tmp_path / "lq" / f"{name}x2.png", photograph(20, 24, top=9 * number))
    return tmp_path


@pytest.fixture(params=["mmap", "lmdb"])
def stores(tree, request):
    """The tree and, as gt.store and lq.store, its stores."""
    if request.param == "lmdb":
        pytest.importorskip("lmdb")
    for kind in ("gt", "lq"):
        words = [
            "data",
            "pack",
            "--store",
            request.param,
            "--workers",
            "1",
            str(tree / kind),
            str(tree / f"{kind}.store"),
        ]
        arguments = parse(words)
        assert execute(arguments.run, arguments) == 0
    return tree


TRAINING = {"scale": 2, "phase": "train", "gt_size": 32, "use_hflip": True, "use_rot": True}


def assert_same_data(ours, theirs):
    assert [pair.key for pair in ours.pairs] == [pair.key for pair in theirs.pairs]
    assert list(ours.candidates) == list(theirs.candidates)
    assert_same(draws(ours, 3), draws(theirs, 3))
    assert [fault for found in ours.check(full=True) for fault in found] == []


def test_trees_are_read_with_their_folders(stores):
    dataset = GTImages(gt=stores / "gt.store", **TRAINING)
    assert_same_data(dataset, GTImages(gt=stores / "gt", **TRAINING))
    assert "n10/a_s002" in [pair.key for pair in dataset.pairs]


def test_weighted_sources_with_limits_draw_the_same(stores):
    def sources(end):
        limited = Source(gt=stores / f"gt{end}", limit=3, weight=1.5)  # three pictures of five files
        return {"few": limited, "all": Source(gt=stores / f"gt{end}", weight=0.5), "lq": Source(gt=stores / f"lq{end}")}

    options = {**TRAINING, "gt_size": 16}
    dataset = GTImages(sources=sources(".store"), **options)
    assert_same_data(dataset, GTImages(sources=sources(""), **options))
    assert [pair.key for pair in dataset.pairs][:6] == [
        "few/n01/a_s001",
        "few/n01/a_s002",
        "few/n01/b",
        "few/n02/a_s001",
        "few/n02/a_s002",
        "all/n01/a_s001",
    ]


def test_lists_of_images_name_those_of_a_store(stores):
    meta = stores / "meta.txt"
    meta.write_text("n10/b.png (40,48,3)\nn01/a_s001.png\nn02/b.png (40,48,3)\n")
    dataset = GTImages(gt=stores / "gt.store", meta_info=meta, **TRAINING)
    assert_same_data(dataset, GTImages(gt=stores / "gt", meta_info=meta, **TRAINING))
    assert [pair.key for pair in dataset.pairs] == ["n10/b", "n01/a_s001", "n02/b"]
    assert dataset.pairs[0].listed == f"{meta}:1"
    options = {"lq_template": "{}x2", "meta_info": meta, **TRAINING}
    ours = PairedImages(gt=stores / "gt.store", lq=stores / "lq.store", **options)
    assert_same_data(ours, PairedImages(gt=stores / "gt", lq=stores / "lq", **options))
    alone = LQImages(lq=stores / "gt.store", meta_info=meta, scale=2, phase="eval")
    assert [pair.key for pair in alone.pairs] == ["n10/b", "n01/a_s001", "n02/b"]


def test_lists_of_pairs_name_those_of_stores(stores):
    lines = ["n10/bx2.png n10/b.png", "n01/a_s001x2.png n01/a_s001.png", "n02/a_s002.png, n02/a_s002x2.png"]
    (stores / "pairs.txt").write_text("\n".join(lines))
    ours = PairedImages(pairs=stores / "pairs.txt", gt=stores / "gt.store", lq=stores / "lq.store", **TRAINING)
    assert [pair.key for pair in ours.pairs] == ["b", "a_s001", "a_s002"]
    assert_same_data(ours, PairedImages(pairs=stores / "pairs.txt", gt=stores / "gt", lq=stores / "lq", **TRAINING))
    both = stores / "whole.txt"
    both.write_text("lq.store/n10/bx2.png gt.store/n10/b.png\nlq/n01/bx2.png gt.store/n02/a_s001.png\n")
    assert [pair.key for pair in PairedImages(pairs=both, **TRAINING).pairs] == ["b", "a_s001"]


def test_names_that_collide_after_templates_are_reported(tree):
    shutil.copytree(tree / "gt", tree / "named")
    for path in sorted((tree / "named").rglob("*.png")):
        path.rename(path.with_name(f"{path.stem}_HR.png"))
    write_image(tree / "named" / "n01" / "b_HR.bmp", photograph(40, 48))
    write_image(tree / "lq" / "n02" / "bx2.bmp", photograph(20, 24))
    options = {"gt_template": "{}_HR", "lq_template": "{}x2", **TRAINING}
    dataset = PairedImages(gt=tree / "named", lq=tree / "lq", **options)
    found = [(fault.file.name, fault.reason) for faults in dataset.check(full=False) for fault in faults]
    assert found == [
        ("b_HR.png", "b_HR.bmp has the same partner under these templates: rename one"),
        ("b_HR.png", "has 2 partners: bx2.bmp, bx2.png"),
    ]
