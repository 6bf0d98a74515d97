"""Scoring as the options ask for it, during training and in benchmarks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from srzoo import ranks
from srzoo.batch import Sample
from srzoo.data.fingerprint import fingerprint
from srzoo.engine.evaluate import Metric, Results, evaluate
from srzoo.engine.run_folder import RunFolder
from srzoo.images import codec_versions
from srzoo.infer.upscale import Upscaler
from srzoo.keys import file_of
from srzoo.metrics.protocol import Protocol
from srzoo.tensor_files import sha256

# (name of the dataset, index of the image, output (1, 3, H, W))
Show = Callable[[str, int, Tensor], None]


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Datasets, metrics, the form in which a network is scored, and the places of results and output images.

    Args:
        datasets: name -> dataset.
        metrics: name -> metric.
        form: network -> the network that is scored, for example with merged blocks or in tiles.
        network: type, scale and options of the network, for the results.
        inference: tiles, form, precision and padding: everything else about the network that decides the scores.
        scale: magnification.
        folder: results go to results/<dataset>.json, output images to visualization/<dataset>/.
        device: where the network is.
        save_img: write output images.
    """

    datasets: Mapping[str, Dataset[Sample]]
    metrics: Mapping[str, Metric]
    form: Callable[[nn.Module], nn.Module]
    network: Mapping[str, object]
    inference: Mapping[str, object]
    scale: int
    folder: RunFolder
    device: torch.device
    save_img: bool = False

    def score(
        self,
        net: nn.Module,
        weights: Path | None,
        *,
        step: int | None = None,
        show: Show | None = None,
        interrupted: Callable[[], int] | None = None,
    ) -> Iterator[Results]:
        """Score `net` on one dataset after the other, while the iterator is advanced, and write the results of each.

        The form of `net` is made at once, so that an error in it comes before any dataset is touched.

        Args:
            net: the network, on any device.
            weights: the file that holds its weights, for the results.
            step: updates that it has seen; output images then go to a folder of that name.
            show: called on rank 0 with (name of the dataset, index, output (1, 3, H, W)).
            interrupted: see :func:`srzoo.engine.evaluate.evaluate`.

        Returns:
            iterator over the results of each dataset, written before they are returned.
        """
        return self._score_each(self.form(net).to(self.device), weights, step, show, interrupted)

    def _score_each(
        self,
        net: nn.Module,
        weights: Path | None,
        step: int | None,
        show: Show | None,
        interrupted: Callable[[], int] | None,
    ) -> Iterator[Results]:
        for name, dataset in self.datasets.items():
            images = file_of(self.folder.visualization, name, "")
            results = evaluate(
                net,
                dataset,
                self.metrics,
                name=name,
                device=self.device,
                save_to=(images if step is None else images / str(step)) if self.save_img else None,
                show=None if show is None else lambda index, sr, name=name: show(name, index, sr),
                step=step,
                interrupted=interrupted,
            )
            ranks.on_main(lambda results=results, dataset=dataset: self._write(results, dataset, weights, net))
            yield results

    def _write(self, results: Results, dataset: Dataset[Sample], weights: Path | None, net: nn.Module) -> None:
        protocols: dict[str, dict[str, object]] = {}
        for name, metric in self.metrics.items():
            protocol = getattr(metric, "protocol", None)
            known = isinstance(protocol, Protocol)
            protocols[name] = protocol.describe(self.scale) if known else {"name": type(metric).__name__}
            # A protocol belongs to several metrics, of which each has a direction.
            protocols[name]["metric"] = type(metric).__name__
            protocols[name]["higher_is_better"] = bool(getattr(metric, "higher_is_better", True))
            # The crop of GT before LQ was made, and that of LQ before the network, decide the number too.
            protocols[name]["modcrop"] = getattr(dataset, "modcrop", None)
            protocols[name]["lq_multiple"] = getattr(dataset, "lq_multiple", 1)
        file = None if weights is None else {"path": str(weights), "sha256": sha256(weights)}
        conditions = self.conditions(dataset, net)
        results.write(self.folder.results_of(results.dataset), self.network, file, protocols, conditions)

    def conditions(self, dataset: Dataset[Sample], net: nn.Module) -> dict[str, object]:
        """Return what decides scores beside network, weights and protocols: inference, data, codecs and device."""
        # Tiles are chosen by the memory that is free: only the form that was scored knows them.
        used = net.describe() if isinstance(net, Upscaler) else {}
        return {
            "inference": dict(self.inference) | used,
            "data_sha256": fingerprint(dataset),
            "codecs": codec_versions(),
            "device": ranks.device_name(self.device),
        }
