"""Attribution maps of a report: files of `srzoo analyze lam`."""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from srzoo.images import encode_image
from srzoo.report.lam import Overlay
from srzoo.report.pictures import in_colours


@dataclass(frozen=True, eq=False)
class AttributionMap:
    """One map in the files of an analysis.

    Args:
        key: name of the image.
        numbers: of the image, in the JSON file.
        analysis: the JSON file.
        heat: density of the saliency, (h, w) in [0, 1].
    """

    key: str
    numbers: Mapping[str, object]
    analysis: Mapping[str, object]
    heat: np.ndarray

    def overlay(self, lq: np.ndarray | None) -> Overlay:
        """Return the map as the report shows it, over LQ (h, w, 3) uint8 if it is known."""
        height, width = self.heat.shape
        network = self._network()
        scale = int(str(network["scale"]))
        top, left, side = (float(value) / scale for value in self._window())
        index = self.numbers["diffusion_index"]
        fits = lq is not None and lq.shape[:2] == (height, width)
        return Overlay(
            title=f"{self.key}, {network['type']} x{scale}",
            size=(height, width),
            lq=encode_image(lq, ".png") if fits and lq is not None else None,
            heat=encode_image(in_colours(self.heat), ".png"),
            window=(top, left, side),
            diffusion_index=float(index) if isinstance(index, int | float) else None,
            command=self._command(),
        )

    def _network(self) -> Mapping[str, object]:
        network = self.analysis["network"]
        assert isinstance(network, Mapping)
        return network

    def _window(self) -> list[int]:
        window = self.numbers["window"]
        assert isinstance(window, list)
        return window

    def _command(self) -> str:
        weights, parameters = self.analysis.get("weights"), self.analysis.get("parameters")
        words = ["srzoo", "analyze", "lam", f"{self.key}.png", "--window", ",".join(map(str, self._window()))]
        if isinstance(weights, Mapping) and weights.get("file") != "initial":
            words += ["--weights", str(weights["file"])]
        else:
            network = self._network()
            words += ["--arch", str(network["type"]), "--scale", str(network["scale"])]
            settings = [
                f"network_g.{key}={json.dumps(value)}" for key, value in network.items() if key not in ("type", "scale")
            ]
            words += ["--set", *settings] if settings else []
        for name, value in (parameters if isinstance(parameters, Mapping) else {}).items():
            words += [f"--{name}", str(value)]
        return shlex.join(words)


def attribution_maps(files: Iterable[Path], folders: Iterable[Path]) -> list[AttributionMap]:
    """Read the maps of --lam, and those in the folders of runs (lam*.json).

    Raises:
        FileNotFoundError: a file is missing, or the .npz beside it.
        ValueError: a file holds no maps.
    """
    found = [file.with_suffix(".json") for file in files]
    found += [file for folder in folders for file in sorted(folder.glob("lam*.json"))]
    return [each for file in dict.fromkeys(found) for each in _maps_in(file)]


def _maps_in(file: Path) -> list[AttributionMap]:
    arrays = file.with_suffix(".npz")
    for each in (file, arrays):
        if not each.is_file():
            raise FileNotFoundError(f"{each} does not exist; `srzoo analyze lam ... -o {file.stem}` writes both files")
    try:
        analysis = json.loads(file.read_bytes())
        with np.load(arrays, allow_pickle=False) as heats:
            return [
                AttributionMap(key, numbers, analysis, heats[f"{key}/heat"])
                for key, numbers in analysis["images"].items()
                if numbers["window"] and analysis["network"]["scale"]
            ]
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(f"{file} holds no maps of `srzoo analyze lam`: {error!r:.80}") from error
