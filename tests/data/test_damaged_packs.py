"""Packs that are damaged, outdated or foreign: refused or reported by name."""

import json
import os
import shutil
import struct

import pytest

from srzoo.data.fingerprint import fingerprint
from srzoo.data.gt_images import GTImages
from srzoo.data.storage import open_store, pack_index, read_image
from srzoo.images import write_image
from tests.data.packs import packed, write_folder
from tests.support import photograph


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "gt")


def test_a_pack_older_than_its_folder_is_noticed(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0

    def faults():
        dataset = GTImages(gt=tmp_path / "p", scale=2, phase="eval")
        return [fault.reason for found in dataset.check(full=False) for fault in found]

    os.utime(folder / "01.png", ns=(1, 1))
    assert faults() == []
    write_image(folder / "00.png", photograph(48, 64, top=3))
    write_image(folder / "new.png", photograph(48, 64, top=3))
    (reason,) = faults()
    assert "older than its folder" in reason
    assert "1 changed, 00.png first; 1 new, new.png first" in reason
    shutil.move(tmp_path, tmp_path.with_name("moved"))  # both move: the folder is found beside the pack
    shutil.copytree(tmp_path.with_name("moved"), tmp_path)
    assert len(faults()) == 1
    shutil.rmtree(tmp_path.with_name("moved"))
    shutil.rmtree(folder)
    assert faults() == []


def change(path, place, content):
    with path.open("r+b") as file:
        file.seek(place, os.SEEK_END if place < 0 else os.SEEK_SET)
        file.write(content)


def test_a_damaged_index_is_refused(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    index = tmp_path / "p" / "index.srzoo"
    whole = index.read_bytes()
    # Magic word, description, names, places.
    names = whole.index(b"00.jpg00.png")
    for place in (3, 60, names, names + 200):
        change(index, place, b"\xee")
        with pytest.raises(ValueError, match=r"index.srzoo: (not the index|the index of this pack is damaged)"):
            open_store(tmp_path / "p")
        index.write_bytes(whole)
    index.write_bytes(whole[:20])
    with pytest.raises(ValueError, match="truncated"):
        open_store(tmp_path / "p")
    index.write_bytes(whole)
    change(index, -80, b"\xee")  # checksums of contents are compared when they are used
    with pytest.raises(ValueError, match="damaged"):
        fingerprint(GTImages(gt=tmp_path / "p", scale=2, phase="eval"))


def test_damaged_pixels_are_found(folder, tmp_path, capsys):
    assert packed(folder, tmp_path / "p") == 0
    shard = tmp_path / "p" / "shard-00000.bin"
    change(shard, 100, b"\x12\x34\x56")
    assert packed(tmp_path / "p", "--verify") == 2
    assert "1 of 8 images are damaged" in capsys.readouterr().err
    dataset = GTImages(gt=tmp_path / "p", scale=2, phase="eval")
    found = [(fault.file.name, fault.reason) for found in dataset.check(full=True) for fault in found]
    assert found == [("00.jpg", "damaged in shard-00000.bin (its checksum differs)")]
    os.truncate(shard, 5000)
    with pytest.raises(ValueError, match="has 5000 of"):
        open_store(tmp_path / "p")
    shard.unlink()
    with pytest.raises(ValueError, match="is missing"):
        open_store(tmp_path / "p")


def test_another_byte_order_or_version_is_refused(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    index = tmp_path / "p" / "index.srzoo"
    content = index.read_bytes()
    length = struct.unpack_from("<I", content, 8)[0]
    head = json.loads(content[44 : 44 + length])
    for change in ({"byte_order": "big"}, {"version": 2}):
        text = json.dumps(head | change).encode()
        index.write_bytes(
            pack_index._START.pack(pack_index._MAGIC, len(text), pack_index.hashlib.sha256(text).digest()) + text
        )
        with pytest.raises(ValueError, match="version 1 with little-endian numbers"):
            open_store(tmp_path / "p")


def test_images_beyond_max_pixels_are_refused(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    with pytest.raises(ValueError, match=r"data.max_pixels"):
        read_image(tmp_path / "p" / "01.png", 1000)
    with pytest.raises(FileNotFoundError, match="does not exist in this pack"):
        read_image(tmp_path / "p" / "none.png")
