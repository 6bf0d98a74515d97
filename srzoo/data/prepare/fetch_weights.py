"""Published weights, from their public address or from a local mirror, compared with the released files."""

from pathlib import Path

from srzoo.atomic import write_atomic
from srzoo.catalogue import PublishedWeights
from srzoo.data.prepare.download import download
from srzoo.data.prepare.fetch import Place
from srzoo.tensor_files import read_tensor_file, sha256


def get_weights(weights: PublishedWeights, place: Place) -> list[str]:
    """Fetch a weights file and return a report in lines.

    Raises:
        FileNotFoundError: the mirror has no such file, or there is no public address.
        ValueError: the file, or one of its name that is there already, differs from the published one.
        OSError: no network.
    """
    target = place.to / "weights" / weights.file
    if target.is_file():
        if weights.sha256 and sha256(target) != weights.sha256:
            raise ValueError(f"{target} differs from the published file: rename or remove it, and run again")
        return [f"{weights.name}: {target} is there already, left alone"]
    checked = (
        "its SHA-256 is that of the released file" if weights.sha256 else "no checksum is known to compare it with"
    )
    if place.mirror is not None:
        source = _find(place.mirror, weights)
        if place.dry_run:
            return [f"{weights.name}: would write 1 file, {target}, {source.stat().st_size:,} bytes"]
        content = source.read_bytes()
        write_atomic(target, lambda file: file.write(content))
        return [f"{weights.name}: copied {source} to {target}; {checked}"]
    if not weights.url:
        raise FileNotFoundError(
            f"{weights.name} has no public address for programs: get it from {weights.page} (licence: "
            f"{weights.licence}) and save it as {target}; --from takes a folder that holds it"
        )
    if place.dry_run:
        return [f"{weights.name}: would download {weights.url} to {target}, 1 file"]
    # The folder of `target` never holds anything but whole files.
    partial = place.work / weights.file
    try:
        download(weights.url, partial, "sha256", weights.sha256)
    except OSError as error:
        raise OSError(f"{weights.name}: {error}; it is published at {weights.page}") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(target)
    return [f"{weights.name}: downloaded {weights.url} to {target}; {checked}"]


def _find(mirror: Path, weights: PublishedWeights) -> Path:
    """Return the file of a mirror, in the folder itself or one below, with or without suffix.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it differs from the published one, or is no weights file.
    """
    if not mirror.is_dir():
        raise FileNotFoundError(f"--from: {mirror} is no folder")
    names = (weights.file.lower(), weights.name.lower())
    folders = [mirror, *(path for path in sorted(mirror.iterdir()) if path.is_dir())]
    found = [p for folder in folders for p in sorted(folder.iterdir()) if p.name.lower() in names and p.is_file()]
    if not found:
        raise FileNotFoundError(f"{weights.name}: {mirror} holds no file {weights.file}")
    if not weights.sha256:
        read_tensor_file(found[0])  # a web page, for example, is refused
        return found[0]
    for path in found:
        if sha256(path) == weights.sha256:
            return path
    raise ValueError(
        f"{found[0]} differs from the published {weights.file} (SHA-256 {sha256(found[0])}, expected {weights.sha256})"
        ": it was not copied"
    )
