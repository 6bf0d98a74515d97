"""Files that decide a training, beside its options: recorded in its states, compared when it is resumed."""

from collections.abc import Mapping

from srzoo.data.fingerprint import PART_SUFFIXES, FileMark, FileRecord, changes
from srzoo.engine.log import logger

# Length of the checksums in states: it tells files apart, and keeps states of many small images small [hex digits].
_SHORT = 12


def encoded(inputs: Mapping[str, FileRecord]) -> dict[str, str]:
    """Write the files of each option as one text, which PyTorch reads much faster than a list of tuples.

    The text has name, size and checksum of each file, all separated by a zero, which no name of a file can have.
    """
    return {
        option: "\0".join(
            f"{name}{PART_SUFFIXES.get(part, '')}\0{mark.size}\0{mark.sha256[:_SHORT]}" for name, part, mark in record
        )
        for option, record in inputs.items()
    }


def _decoded(text: str) -> dict[str, FileMark]:
    fields = text.split("\0") if text else []
    return {
        name: FileMark(int(size), digest)
        for name, size, digest in zip(fields[::3], fields[1::3], fields[2::3], strict=True)
    }


def refuse_other_inputs(
    step: int, before: Mapping[str, str] | None, now: Mapping[str, str], accept_changes: bool
) -> None:
    """Compare the files that a training started with, as its state records them, with those of today.

    Their paths do not enter the comparison.

    Args:
        step: of the state.
        before: what :func:`encoded` returned then; None: the state is older than these records.
        now: what it returns today.
        accept_changes: log the differences instead.

    Raises:
        ValueError: files differ; lists them.
    """
    if before is None:
        logger.info(f"the state after {step} updates does not record the files of its training: they are not compared")
        return
    found = [
        f"  {option}: {line}"
        for option in dict.fromkeys([*before, *now])
        for line in changes(_decoded(before.get(option, "")), _decoded(now.get(option, "")))
    ]
    if not found:
        return
    lines = "\n".join(found)
    if not accept_changes:
        raise ValueError(
            f"the state after {step} updates was trained with other files:\n{lines}\nput them back, or continue with "
            "the files of today (--accept-changes)"
        )
    logger.warning(f"continuing with other files than before, as --accept-changes allows:\n{lines}")
