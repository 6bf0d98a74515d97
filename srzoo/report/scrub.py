"""Paths of the machine taken out of texts that leave it: options, command lines, manifests.

A path below the working directory becomes relative to it, any other absolute path its last part.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

# The start of an absolute path: at the start of a text, behind a space, or behind a sign that a path may follow.
_START = r"""(?:(?<=[\s"'`=(\[{,;:<>|@])|^)"""
_PART = r"""[^\s"'`<>|:;,()\[\]{}]+"""
_POSIX = re.compile(rf"{_START}(?:file://)?(/(?![/\s]){_PART})")
_WINDOWS = re.compile(rf"{_START}([A-Za-z]:[\\/]{_PART}|\\\\{_PART})")


def without_paths(value: object, *, base: Path | None = None) -> object:
    """Return nested mappings, lists and texts without absolute paths; other values as they are.

    Args:
        value: what to clean; keys of mappings too.
        base: the folder that paths are made relative to; None: the working directory.
    """
    base = base or Path.cwd()
    if isinstance(value, Path):
        return short_path(str(value), base=base)
    if isinstance(value, str):
        return text_without_paths(value, base=base)
    if isinstance(value, Mapping):
        return {without_paths(key, base=base): without_paths(item, base=base) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [without_paths(item, base=base) for item in value]
    return value


def text_without_paths(text: str, *, base: Path | None = None) -> str:
    """Return a text in which every absolute path is shortened."""
    base = base or Path.cwd()
    stripped = text.strip()
    # A text that is a path as a whole may have spaces in it, which other texts end a path at.
    if "\n" not in stripped and _is_absolute(stripped):
        return short_path(stripped, base=base)
    # Known folders may have spaces too.
    for folder in (base, Path.home()):
        if len(folder.parts) > 1:
            text = text.replace(f"{folder}/", "")
    text = _POSIX.sub(lambda found: short_path(found[1], base=base), text)
    return _WINDOWS.sub(lambda found: short_path(found[1], base=base), text)


def short_path(path: str, *, base: Path | None = None) -> str:
    """Return a path relative to `base` if it lies below it, and the last part of any other absolute path."""
    if PurePosixPath(path).is_absolute():
        relative = Path(path).is_relative_to(base or Path.cwd())
        short = PurePosixPath(path).relative_to(base or Path.cwd()) if relative else PurePosixPath(path).name
        return str(short) or "."
    if _is_absolute(path):
        return PureWindowsPath(path).name or "."
    return path


def command_without_paths(command: str, *, base: Path | None = None) -> str:
    """Return a command line without absolute paths; srzoo's programs are called by the name of its command."""
    try:
        words = shlex.split(command)
    except ValueError:
        return text_without_paths(command, base=base)
    program = [PurePosixPath(word).name for word in words[:2]]
    if len(words) > 1 and program[0].startswith("python"):
        parent = PurePosixPath(words[1]).parent.name
        known = {("srzoo", "train.py"): ["train"], ("srzoo", "test.py"): ["test"]}
        if program[1] == "srzoo" or (parent, program[1]) in (("srzoo", "cli.py"), ("srzoo", "__main__.py")):
            words = ["srzoo", *words[2:]]
        elif (parent, program[1]) in known:
            words = ["srzoo", *known[parent, program[1]], *words[2:]]
        else:
            words = ["python", *words[1:]]
    return shlex.join(_word_without_paths(word, base) for word in words)


def _word_without_paths(word: str, base: Path | None) -> str:
    """Shorten a path in an argument, which may be KEY=PATH."""
    key, equals, value = word.partition("=")
    if equals and _is_absolute(value):
        return f"{key}={short_path(value, base=base)}"
    return text_without_paths(word, base=base)


def _is_absolute(text: str) -> bool:
    """Return True for absolute paths of any system, which are longer than their root."""
    return re.match(r"/[^/\s]|[A-Za-z]:[\\/]|\\\\", text) is not None and "\n" not in text
