"""Image files of one folder."""

from collections.abc import Sequence
from pathlib import Path

from srzoo.data.hashes import file_hashes
from srzoo.data.storage.store import ImageStore
from srzoo.images import Header, Picture, colour_profile, read_header, read_image


class FolderStore(ImageStore):
    """The files of a folder; their names may lead into sub-folders."""

    @property
    def names(self) -> Sequence[str]:
        return sorted(path.name for path in self.root.iterdir())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._file(name).is_file()

    def header(self, name: str, max_pixels: int) -> Header:
        return read_header(self._file(name), max_pixels)

    def read(self, name: str, max_pixels: int) -> Picture:
        return read_image(self._file(name), max_pixels)

    def num_bytes(self, name: str) -> int:
        return self._file(name).stat().st_size

    def sha256(self, names: Sequence[str]) -> list[str]:
        files = [self._file(name) for name in names]
        hashes = file_hashes(files)
        return [hashes[file] for file in files]

    def colour_profile(self, name: str, num_channels: int) -> bytes | None:
        return colour_profile(self._file(name), num_channels)

    def _file(self, name: str) -> Path:
        return self.root / name
