"""Downloads from a local server: continued, compared, refused."""

import hashlib
import http.server
import io
import re
import tarfile
import threading
from dataclasses import replace

import pytest

from srzoo import catalogue
from srzoo.data.prepare import download as module
from srzoo.data.prepare.download import download
from srzoo.images import write_image
from tests.support import photograph
from tests.test_convert import srzoo

CONTENT = bytes(range(256)) * 4096  # 1 MB


class Server(http.server.ThreadingHTTPServer):
    """Server of one file.

    Args:
        content: of the file.
        etag: sent with it; empty: none.
        ranges: whether Range is understood.
        cut: number of bytes after which each answer ends; 0: whole.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag, self.ranges, self.cut = CONTENT, '"one"', True, 0
        self.starts: list[int] = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers of the server: 404 for every name but /file and those that end in .tar or .pth."""

    def do_GET(self):
        server: Server = self.server  # pyright: ignore
        if not self.path.endswith(("/file", ".tar", ".pth")):
            self.send_error(404)
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", server.etag) == server.etag
        start = int(asked[1]) if asked and same and server.ranges else 0
        if start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.end_headers()
            return
        server.starts.append(start)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        end = start + server.cut if server.cut else len(server.content)
        self.wfile.write(server.content[start:end])

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def sha(content):
    return hashlib.sha256(content).hexdigest()


def test_lost_connections_are_continued(server, tmp_path):
    server.cut = 400_000
    download(f"{server.url}/file", tmp_path / "file", "sha256", sha(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.starts == [0, 400_000, 800_000]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("etag", ['"one"', ""])
def test_the_next_call_continues_an_interrupted_one(etag, server, tmp_path):
    server.cut, server.etag = 200_000, etag
    with pytest.raises(OSError, match=r"the connection ended after 800,000 of 1,048,576 bytes; 800,000 bytes are kept"):
        download(f"{server.url}/file", tmp_path / "file", "sha256", sha(CONTENT))
    assert not (tmp_path / "file").exists()
    server.cut = 0
    download(f"{server.url}/file", tmp_path / "file", "sha256", sha(CONTENT))
    assert server.starts[-1] == 800_000
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_part_that_was_complete_is_taken(server, tmp_path):
    server.cut = 300_000
    with pytest.raises(ValueError, match="differs"):
        download(f"{server.url}/file", tmp_path / "file", "sha256", sha(b"other"))
    server.cut = 0
    # A process that was killed between the last byte and the renaming.
    download(f"{server.url}/file", tmp_path / "file")
    (tmp_path / "file").rename(tmp_path / "file.part")
    (tmp_path / "file.part.json").write_text(f'{{"url": "{server.url}/file", "validator": ""}}')
    requests = len(server.starts)
    download(f"{server.url}/file", tmp_path / "file", "sha256", sha(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(server.starts) == requests


def test_another_version_on_the_server_is_fetched_from_its_beginning(server, tmp_path):
    server.cut = 200_000
    with pytest.raises(OSError, match="are kept"):
        download(f"{server.url}/file", tmp_path / "file")
    server.cut, server.etag, server.content = 0, '"two"', CONTENT[::-1]
    download(f"{server.url}/file", tmp_path / "file", "sha256", sha(CONTENT[::-1]))
    assert server.starts[-1] == 0
    assert (tmp_path / "file").read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_is_asked_again_for_all(server, tmp_path):
    server.cut, server.ranges = 200_000, False
    with pytest.raises(OSError, match="200,000 bytes are kept"):
        download(f"{server.url}/file", tmp_path / "file")
    server.cut = 0
    download(f"{server.url}/file", tmp_path / "file", "sha256", sha(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_leaves_nothing(server, tmp_path):
    with pytest.raises(
        ValueError, match=f"differs from the published file .sha256 {sha(CONTENT)}, expected {sha(b'')}"
    ):
        download(f"{server.url}/file", tmp_path / "file", "sha256", sha(b""))
    assert list(tmp_path.iterdir()) == []


def test_missing_files_and_networks_are_named(server, tmp_path):
    with pytest.raises(OSError, match="/none: 404 Not Found"):
        download(f"{server.url}/none", tmp_path / "file")
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match=f"{server.url}/file: .*refused"):
        download(f"{server.url}/file", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def published(name, **changes):
    """Return the entry of a dataset or of weights with other addresses, as monkeypatch.setitem takes it."""
    table = catalogue.DATASETS if name in catalogue.DATASETS else catalogue.WEIGHTS
    return {"name": name, "value": replace(table[name], **changes)}


def test_get_downloads_datasets_and_weights(server, tmp_path, monkeypatch, capsys):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        for number in range(5):
            write_image(tmp_path / "a.png", photograph(24, 32, top=number))
            file.add(tmp_path / "a.png", f"benchmark/Set5/HR/{number}.png")
            file.add(tmp_path / "a.png", f"benchmark/Set14/HR/{number}.png")
    server.content = archive.getvalue()
    md5 = hashlib.md5(server.content, usedforsecurity=False).hexdigest()
    source = catalogue.Archive(f"{server.url}/benchmark.tar", md5, 1)
    for name in ("Set5", "Set14"):
        monkeypatch.setitem(catalogue.DATASETS, **published(name, archives=(source,)))
    weights = published("IMDN_x2", url=f"{server.url}/IMDN_x2.pth", sha256=sha(server.content))
    monkeypatch.setitem(catalogue.WEIGHTS, **weights)
    monkeypatch.chdir(tmp_path)
    assert srzoo(monkeypatch, "data", "get", "Set5", "IMDN_x2", "--dry-run") == 0
    assert f"would download {server.url}/benchmark.tar, about 1 MB" in capsys.readouterr().out
    assert not (tmp_path / "datasets").exists()
    server.cut = len(server.content) // 6
    assert srzoo(monkeypatch, "data", "get", "Set5", "IMDN_x2") == 2
    assert "run again to continue" in capsys.readouterr().err
    assert not list((tmp_path / "datasets").rglob("*.png"))
    assert not (tmp_path / "weights").exists()
    # The archive is fetched once for both datasets, from where it stopped.
    server.cut, requests = 0, len(server.starts)
    assert srzoo(monkeypatch, "data", "get", "Set5", "Set14", "IMDN_x2") == 0
    assert len(server.starts) == requests + 2
    assert min(server.starts[requests:]) > 0
    assert "no LR files at x2, x3, x4: srzoo data make-lr datasets/Set5/GT" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "datasets" / "Set5" / "GT").iterdir()) == [
        f"{n}.png" for n in range(5)
    ]
    assert (tmp_path / "weights" / "IMDN_x2.pth").read_bytes() == server.content
    assert sorted(path.name for path in (tmp_path / "datasets").iterdir()) == ["Set14", "Set5"]


def test_without_an_address_the_page_and_the_folders_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert srzoo(monkeypatch, "data", "get", "Manga109", "DRCT_SRx4", "D2CRealSR") == 2
    error = capsys.readouterr().err
    assert "http://www.manga109.org/en/" in error
    assert "put it into datasets/Manga109: GT/NAME.png and LRbicx2/NAMEx2.png" in error
    assert "save it as weights/DRCT_SRx4.pth" in error
    assert "https://github.com/megvii-research/D2C-SR" in error
    assert list(tmp_path.iterdir()) == []
