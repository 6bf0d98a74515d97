"""Downloads over HTTP that continue where they stopped, compared with a published checksum."""

import errno
import hashlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from srzoo.atomic import write_text
from srzoo.progress import shown

_BLOCK = 2**20
# Attempts of one call; each continues where the last one stopped.
_ATTEMPTS = 4
_PAUSE = 2.0  # before the second attempt, doubled for each further one [s]
_TIMEOUT = 60.0  # without a byte [s]


def download(url: str, target: Path, algorithm: str = "", digest: str = "") -> None:
    """Fetch a file; an interrupted call leaves its part beside it as NAME.part, where the next one continues.

    Args:
        url: address, HTTP or HTTPS.
        target: file to write, whole or not at all.
        algorithm: of the checksum, such as "sha256".
        digest: published checksum; "": not compared.

    Raises:
        ValueError: the file differs from the published one; it is removed.
        OSError: no network, no such address, or a connection that was lost too often.
    """
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        try:
            _continue(url, part)
            break
        except urllib.error.HTTPError as error:
            # The server has answered: asking again changes nothing.
            raise OSError(f"{url}: {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            # Without any connection, or on a full disk, a pause of seconds changes nothing either.
            hopeless = isinstance(error, urllib.error.URLError) or getattr(error, "errno", None) == errno.ENOSPC
            if attempt == _ATTEMPTS - 1 or hopeless:
                kept = f"; {part.stat().st_size:,} bytes are kept: run again to continue" if part.is_file() else ""
                raise OSError(f"{url}: {getattr(error, 'reason', None) or error}{kept}") from error
            time.sleep(_PAUSE * 2**attempt)
    if digest:
        with part.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != digest:
            remove_part(part)
            raise ValueError(
                f"{url}: differs from the published file ({algorithm} {found}, expected {digest}): removed"
            )
    part.replace(target)
    remove_part(part)


def remove_part(part: Path) -> None:
    """Remove a partial download and the note of its version."""
    part.unlink(missing_ok=True)
    _validator_of(part).unlink(missing_ok=True)


def _validator_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _continue(url: str, part: Path) -> None:
    """Fetch the rest of a file."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "srzoo", "Accept-Encoding": "identity"})
    validator = _read_validator(part, url)
    if have and validator is not None:
        request.add_header("Range", f"bytes={have}-")
        if validator:  # another version of the file is then sent from its beginning
            request.add_header("If-Range", validator)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # the range begins at the end: all is there, or the file has become shorter
            raise
        total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if total == str(have):
            return
        remove_part(part)
        raise ConnectionError("the file on the server has changed") from error
    with response:
        continued = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        start = have if continued else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        if not continued:
            part.unlink(missing_ok=True)
            etag = response.headers.get("ETag") or ""
            # Weak entity tags do not promise the same bytes.
            strong = etag if not etag.startswith("W/") else response.headers.get("Last-Modified") or ""
            write_text(_validator_of(part), json.dumps({"url": url, "validator": strong}))
        _refuse_full_disk(part, (total or 0) - start)
        with part.open("ab") as file:
            blocks = None if total is None else -(-(total - start) // _BLOCK)
            for block in shown(_blocks(response), part.stem, blocks, unit="MB"):
                file.write(block)
    size = part.stat().st_size
    if total is not None and size != total:
        raise ConnectionError(f"the connection ended after {size:,} of {total:,} bytes")


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while block := response.read(_BLOCK):
        yield block


def _read_validator(part: Path, url: str) -> str | None:
    """Return the entity tag or time of the file whose part this is, "" if the server named none; None: another file."""
    try:
        known = json.loads(_validator_of(part).read_text())
    except (OSError, ValueError):
        return None
    return str(known.get("validator", "")) if isinstance(known, dict) and known.get("url") == url else None


def _refuse_full_disk(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise OSError(f"{part.parent} has {free:,} bytes free, {needed:,} are needed")
