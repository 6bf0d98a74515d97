"""Pictures of a report: LQ and GT from the datasets of a run's options, SR from its saved outputs or its network."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from srzoo.commands.reported_runs import ReportedRun
from srzoo.report.pictures import Pictured, pictured
from srzoo.report.viewer import PictureSet

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.utils.data import Dataset

    from srzoo.analysis.scored import SetScores
    from srzoo.batch import Sample
    from srzoo.infer.upscale import Upscaler
    from srzoo.options import Options

GT, BICUBIC = "GT", "bicubic"


@dataclass(frozen=True)
class ScoredTogether:
    """Runs that were scored on the same images.

    Args:
        dataset: its name.
        scale: magnification.
        runs: in the order of the command line.
    """

    dataset: str
    scale: int
    runs: Sequence[ReportedRun]

    @property
    def title(self) -> str:
        """Name for headings."""
        return f"{self.dataset} x{self.scale}"

    @property
    def scores(self) -> "SetScores":
        """Scores of the first run."""
        return self.scores_of(self.runs[0])

    def scores_of(self, run: ReportedRun) -> "SetScores":
        """Return the scores of a run."""
        assert run.result is not None
        return run.result.sets[self.dataset]

    def protocol(self, metric: str) -> str:
        """Return the name of the protocol of a metric; scores that are compared have one."""
        protocols = (self.scores_of(run).protocols.get(metric) for run in self.runs)
        return next((str(each.get("name", metric)) for each in protocols if each is not None), metric)

    @property
    def metrics(self) -> list[str]:
        """Metrics of any run, in order."""
        return list(dict.fromkeys(metric for run in self.runs for metric in self.scores_of(run).values))


def scored_together(runs: Sequence[ReportedRun]) -> list[ScoredTogether]:
    """Group the results of runs by dataset, magnification and images."""
    groups: dict[tuple[object, ...], list[ReportedRun]] = {}
    for run in runs:
        for dataset, scores in (run.result.sets if run.result is not None else {}).items():
            images = scores.data_sha256 or tuple(scores.keys)
            groups.setdefault((dataset, scores.scale, images), []).append(run)
    # One name may mean other images in another run: each group has its own tables.
    return [ScoredTogether(str(dataset), int(str(scale)), group) for (dataset, scale, _), group in groups.items()]


@dataclass
class PictureReader:
    """Pictures of groups of runs.

    Args:
        device: to compute outputs on that were not saved.
        limit: images per dataset; None: all.
        command: that writes the report.
        wanted: LQ images to keep, by key: those under attribution maps.
        lq: LQ images that were kept: key -> (h, w, 3) uint8.
    """

    device: "torch.device"
    limit: int | None
    command: str
    wanted: frozenset[str] = frozenset()
    lq: dict[str, np.ndarray] = field(default_factory=dict)
    _networks: "dict[str, Upscaler]" = field(default_factory=dict)

    def read(self, group: ScoredTogether) -> PictureSet:
        """Read or compute the pictures of a group.

        Raises:
            ValueError: images or weights are not those that were scored, or are missing.
        """
        from srzoo.progress import shown

        options = _options_of(group.runs[0])
        dataset = _dataset(options, group)
        indices, note = self._chosen(group)
        kinds = {run.name: str(run.result.network.get("type")) for run in group.runs if run.result is not None}
        names = {run.name: f"{run.name} (run)" if run.name in (GT, BICUBIC) else run.name for run in group.runs}
        images: list[Pictured] = []
        for index in shown(indices, f"pictures of {group.title}"):
            sample = dataset[index]
            if sample["key"] != group.scores.keys[index]:
                raise ValueError(
                    f"{group.title}: image {index} is {sample['key']}, but {group.runs[0].name} has the scores of "
                    f"{group.scores.keys[index]} there: test it again, or leave pictures out with --images 0"
                )
            gt = sample.get("gt")
            if gt is None:
                raise ValueError(f"{group.dataset} has no GT to compare with; --images 0 leaves pictures out")
            columns: dict[str, np.ndarray] = {}
            if "Bicubic" not in kinds.values() and group.scale > 1:
                columns[BICUBIC] = _enlarged(sample["lq"], group.scale)
            for run in group.runs:
                columns[names[run.name]] = self._output(run, group, sample)
            columns[GT] = _levels(gt)
            _refuse_sizes(columns, sample["key"])
            self._keep(sample, group.scale)
            images.append(pictured(sample["key"], columns, GT))
        self._networks.clear()
        sources = list(images[0].pixels) if images else [GT]
        return PictureSet(
            group.title, sources, images, _captions(group, names), _protocol(group), note, self.command
        )  # fmt: skip

    def _chosen(self, group: ScoredTogether) -> tuple[list[int], str]:
        """Choose images evenly from the worst to the best, in the order of the dataset; say which in words."""
        scores, count = group.scores, len(group.scores.keys)
        if self.limit is None or self.limit >= count:
            return list(range(count)), f"All {count} images."
        metric = next(iter(scores.values))
        order = np.argsort(scores.values[metric] * (1 if scores.higher_is_better(metric) else -1), kind="stable")
        places = np.unique(np.linspace(0, count - 1, self.limit).round().astype(int))
        note = (
            f"{len(places)} of {count} images, evenly spaced from the worst to the best {metric} of "
            f"{group.runs[0].name}."
        )
        return sorted(int(order[place]) for place in places), note

    def _keep(self, sample: "Sample", scale: int) -> None:
        # Files of LQ images often have the scale behind the name.
        for key in (sample["key"], f"{sample['key']}x{scale}"):
            if key in self.wanted:
                pixels = _levels(sample["lq"])
                self.lq[key] = np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels

    def _output(self, run: ReportedRun, group: ScoredTogether, sample: "Sample") -> np.ndarray:
        """Return the output of a run for a sample: as it was saved, or computed: (H, W, C) uint8."""
        import torch

        from srzoo.images import read_image, to_tensor

        file = _saved_output(run, group, sample["key"])
        if file is not None:
            picture = read_image(file)
            return _levels(to_tensor(picture.grey if sample["lq"].shape[0] == 1 else picture.rgb))
        if run.name not in self._networks:
            self._networks[run.name] = _network(run, group).to(self.device)
        with torch.inference_mode():
            return _levels(self._networks[run.name](sample["lq"][None].to(self.device))[0])


def _saved_output(run: ReportedRun, group: ScoredTogether, key: str) -> Path | None:
    """Return the file that a test, or the validation that was scored, has saved; None if it has saved none."""
    from srzoo.engine.run_folder import RunFolder
    from srzoo.keys import file_of

    folder, step = file_of(RunFolder(run.folder).visualization, group.dataset, ""), group.scores_of(run).step
    file = file_of(folder if step is None else folder / str(step), key, ".png")
    return file if file.is_file() else None


def _options_of(run: ReportedRun) -> "Options":
    from srzoo.options import load_options

    if not run.options_file.is_file():
        raise ValueError(f"{run.folder} has no options.yml, which names its images; --images 0 leaves pictures out")
    return load_options(run.options_file, purpose="network").options


def _dataset(options: "Options", group: ScoredTogether) -> "Dataset[Sample]":
    """Build the dataset of a group, and check that it is the one that was scored."""
    from srzoo.data.fingerprint import fingerprint

    known = {**options.datasets.val, **options.datasets.test}
    if group.dataset not in known:
        raise ValueError(
            f"{group.runs[0].options_file} has no dataset {group.dataset}, of which there are results; --images 0 "
            "leaves pictures out"
        )
    try:
        dataset = known[group.dataset].build(
            scale=options.scale, phase="eval", gt_only=False, max_pixels=options.data.max_pixels
        )
        found = fingerprint(dataset)
    except (ValueError, OSError) as error:
        raise ValueError(
            f"images of {group.title}: {error} (relative paths start at the working directory of the run; --images 0 "
            "leaves pictures out)"
        ) from error
    if found != group.scores.data_sha256:
        raise ValueError(
            f"the images of {group.dataset} are not those that {group.runs[0].name} was scored on: test it again, or "
            "leave pictures out with --images 0"
        )
    return dataset


def _network(run: ReportedRun, group: ScoredTogether) -> "Upscaler":
    """Return the network of a run as it was scored."""
    from srzoo.components import build_network, load_pretrained, scored_form
    from srzoo.engine.run_folder import RunFolder
    from srzoo.tensor_files import sha256

    options, step = _options_of(run), group.scores_of(run).step
    if step is not None:  # scores of a validation: the training's own weights
        folder = RunFolder(run.folder)
        file = folder.weights_of(step)
        path = dataclasses.replace(options.path, pretrain_network_g=file, param_key_g="auto", load="strict")
        options = dataclasses.replace(options, path=path)
    file, scored = options.path.pretrain_network_g, run.result.weights if run.result is not None else None
    if file is not None and (not file.is_file() or sha256(file) != scored):
        raise ValueError(
            f"{run.name} saved no pictures of {group.title}, and its weights "
            f"{'have changed since they were scored' if file.is_file() else 'are missing'}: {file}. Test it again, "
            "with val.save_img: true, or leave pictures out with --images 0"
        )
    net = build_network(options)
    load_pretrained(options, net)
    return scored_form(options, net.eval()).eval()


def _enlarged(lq: "Tensor", scale: int) -> np.ndarray:
    """Return LQ enlarged bicubically as MATLAB does, (H, W, C) uint8."""
    from srzoo.ops.resize import imresize

    return _levels(imresize(lq.double(), scale))


def _levels(image: "Tensor") -> np.ndarray:
    from srzoo.images import to_uint8

    return to_uint8(image)


def _refuse_sizes(columns: Mapping[str, np.ndarray], key: str) -> None:
    """Check that all pictures of an image have one size.

    Raises:
        ValueError: they have not.
    """
    sizes = {name: image.shape[:2] for name, image in columns.items()}
    if len(set(sizes.values())) > 1:
        words = ", ".join(f"{name} {height}x{width}" for name, (height, width) in sizes.items())
        raise ValueError(f"pictures of {key} have several sizes: {words}; test the runs again on the same images")


def _captions(group: ScoredTogether, names: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return key -> column -> score of the whole image by the first metric."""
    captions: dict[str, dict[str, str]] = {}
    for run in group.runs:
        scores = group.scores_of(run)
        for metric, values in list(scores.values.items())[:1]:
            for key, value in zip(scores.keys, values, strict=True):
                captions.setdefault(key, {})[names[run.name]] = f"{metric} {score_word(float(value))}"
    return captions


def score_word(value: float, decimals: int = 2) -> str:
    """Write a score with two decimals, or as many as given; those up to 1, such as SSIM, with more."""
    more = 2 if decimals == 2 else 1
    return f"{value:.{decimals + more * (abs(value) <= 1)}f}"


def _protocol(group: ScoredTogether) -> Mapping[str, object] | None:
    """Return the first protocol of the group that says how colours are compared."""
    return next(_with_colour(group), None)


def _with_colour(group: ScoredTogether) -> Iterator[Mapping[str, object]]:
    yield from (each for each in group.scores.protocols.values() if "color" in each)
