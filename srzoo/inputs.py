"""Files that a run uses beside its options: data, plugins, weights; those that decide a training go into its states."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch.utils.data import Dataset

from srzoo import ranks
from srzoo.batch import Sample
from srzoo.components import Datasets
from srzoo.data.fingerprint import FileRecord, record_of, record_of_files, record_of_number
from srzoo.data.imageset import ImageSet
from srzoo.data.manifest import read_manifest, write_manifest
from srzoo.engine.inputs import encoded, refuse_other_inputs
from srzoo.engine.run_folder import RunFolder
from srzoo.options import Options
from srzoo.options.paths import paths_in
from srzoo.state import TrainingState

# Options whose files do not decide a training, or only its start.
_FREE = ("path.", "val.", "datasets.val.", "datasets.test.")
# Files among these that a run reads all the same: weights, and whatever metrics need.
_ALSO_READ = ("path.pretrain_network_", "val.")


@dataclass(frozen=True)
class RunFiles:
    """The files of a training; on ranks other than 0 nothing is known of them.

    Args:
        text: those that decide it, for its states.
        manifest: all, for the run folder.
    """

    text: dict[str, str] = field(default_factory=dict)
    manifest: dict[str, FileRecord] = field(default_factory=dict)

    def write(self, folder: RunFolder, start: int) -> None:
        """Write the manifest on rank 0; a run that continues with other files (--accept-changes) keeps the earlier one.

        Args:
            folder: of the run.
            start: updates done.
        """
        if start and folder.manifest.is_file():
            if _digests(folder.manifest) == {option: record.digest for option, record in self.manifest.items()}:
                return
            earlier = folder.manifest.with_name(f"manifest_until_{start}.json")
            if not earlier.exists():
                folder.manifest.rename(earlier)
        write_manifest(folder.manifest, self.manifest)


def _digests(manifest: Path) -> dict[str, str]:
    """Return the digest of each option; none of a manifest that is damaged."""
    try:
        return {option: record.digest for option, record in read_manifest(manifest).items()}
    except ValueError:
        return {}


def checked_inputs(
    options: Options, datasets: Mapping[str, Datasets], state: TrainingState | None, accept_changes: bool
) -> RunFiles:
    """Return all files of a training; compare those that decide it with the record of the state to continue from.

    Raises:
        ValueError: files differ, and `accept_changes` is off.
    """
    found: list[RunFiles] = []

    def check() -> None:
        deciding = inputs_of(options, datasets["train"]["train"])
        text = encoded(deciding)
        if state is not None:
            refuse_other_inputs(state["step"], state.get("inputs"), text, accept_changes)
        found.append(RunFiles(text, deciding | manifest_of(options, {"val": datasets["val"]})))

    ranks.on_main(check)
    return found[0] if found else RunFiles()


def inputs_of(options: Options, dataset: Dataset[Sample]) -> dict[str, FileRecord]:
    """Return the files that decide a training, by the option that names them.

    Those of a dataset are the files of its samples, by key: folders and list files are only ways to write them.

    Args:
        options: of the run.
        dataset: to train on.
    """
    limit = options.data.hash_limit * 1e9
    known = isinstance(dataset, ImageSet)
    # Nobody but a user's dataset knows how it reads its files: those in its folders count, and its length.
    inputs = {"datasets.train": _of_dataset(dataset, limit, "datasets.train")}
    for option, path in paths_in(options):
        listing = path.is_dir() or option.rpartition(".")[2] in ("meta_info", "pairs")
        if option.startswith(_FREE) or (known and option.startswith("datasets.train.") and listing):
            continue
        inputs[option] = record_of_files(_files_at(path), limit, option)
    return inputs


def manifest_of(options: Options, datasets: Mapping[str, Datasets]) -> dict[str, FileRecord]:
    """Return the files that scores depend on: evaluation sets whole, as in results, plugins and weights.

    Args:
        options: of the run.
        datasets: split -> name -> dataset.
    """
    sets = {f"datasets.{split}.{name}": data for split, named in datasets.items() for name, data in named.items()}
    found = {label: _of_dataset(dataset, math.inf, label) for label, dataset in sets.items()}
    for option, path in paths_in(options):
        if option.startswith((*_ALSO_READ, "plugins.")) and path.is_file():
            found[option] = record_of_files({"file": path})
    return found


def _of_dataset(dataset: Dataset[Sample], limit: float, label: str) -> FileRecord:
    if isinstance(dataset, ImageSet):
        return record_of(dataset, limit, label)
    return record_of_number(len(dataset))  # pyright: ignore[reportArgumentType]  # map-style datasets have a length


def _files_at(path: Path) -> dict[str, Path]:
    """Return a file, or all files below a folder, by names that do not depend on its place."""
    if path.is_file():
        return {"file": path}
    return {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
