"""Files that decide a training, beside its options: training data, plugins, weights of losses."""

from pathlib import Path

from torch.utils.data import Dataset

from srzoo import ranks
from srzoo.batch import Sample
from srzoo.data.fingerprint import FileMark, files_of, marks_of
from srzoo.data.imageset import ImageSet
from srzoo.engine.inputs import encoded, refuse_other_inputs
from srzoo.options import Options
from srzoo.options.paths import paths_in
from srzoo.state import TrainingState

# Options whose files do not decide a training, or only its start.
_FREE = ("path.", "val.", "datasets.val.", "datasets.test.")


def checked_inputs(
    options: Options, dataset: Dataset[Sample], state: TrainingState | None, accept_changes: bool
) -> dict[str, str]:
    """Return the record of all files that decide a training; compare it with that of the state to continue from.

    Raises:
        ValueError: files differ, and `accept_changes` is off.
    """
    now = ranks.on_main(lambda: encoded(inputs_of(options, dataset)))
    if state is not None:
        refuse_other_inputs(state["step"], state.get("inputs"), now, accept_changes)
    return now


def inputs_of(options: Options, dataset: Dataset[Sample]) -> dict[str, dict[str, FileMark]]:
    """Return the files that decide a training, by the option that names them.

    Those of a dataset are the files of its samples, by key: folders and list files are only ways to write them.

    Args:
        options: of the run.
        dataset: to train on.
    """
    limit = options.data.hash_limit * 1e9
    known = isinstance(dataset, ImageSet)
    # Nobody but a user's dataset knows how it reads its files: those in its folders count, and its length.
    inputs = {
        "datasets.train": marks_of(files_of(dataset), limit, "datasets.train")
        if known
        else {"samples": FileMark(len(dataset), "")}  # pyright: ignore[reportArgumentType]
    }
    for option, path in paths_in(options):
        listing = path.is_dir() or option.rpartition(".")[2] in ("meta_info", "pairs")
        if option.startswith(_FREE) or (known and option.startswith("datasets.train.") and listing):
            continue
        inputs[option] = marks_of(_files_at(path), limit, option)
    return inputs


def _files_at(path: Path) -> dict[str, Path]:
    """Return a file, or all files below a folder, by names that do not depend on its place."""
    if path.is_file():
        return {"file": path}
    return {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
