"""Networks applied to images: whole or in tiles, with self-ensemble, at a precision; the same way for every use."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from srzoo.contract import contract_of, identity_of
from srzoo.infer import arrays
from srzoo.infer.adaptive_crop import AdaptiveCrops
from srzoo.infer.ensemble import Ensemble
from srzoo.infer.fitting import FittingTile
from srzoo.infer.precision import AtPrecision, warn_once
from srzoo.infer.tile import (
    Apply,
    Layout,
    PaddedTiles,
    TileRule,
    TileSide,
    approximation,
    bands,
    refuse_other_tiles,
    row_of_tiles,
    sides_used,
)
from srzoo.ops.pad import crop, mirror_pad
from srzoo.optim.compilation import CompiledForScoring
from srzoo.optim.precision import WORDS, Precision, announce, usable

Image = TypeVar("Image", np.ndarray, Tensor)

# Largest tile of an image in strips with tile "auto", if its network sees not far [LQ pixels].
_STRIP_TILE = 512


class Upscaler(nn.Module):
    """A network as it is applied to images: (B, C, H, W) -> (B, C, scale*H, scale*W), float32, not clipped.

    Built once, used for any number of images, from several threads too: no image leaves anything behind. The network
    keeps its mode; set it to evaluation first. Outputs are on the device of the image.

    Args:
        net: the network, built by srzoo.
        tile: largest tile without its margins; auto: the largest that fits into memory, halved when memory runs out;
            0: whole images [LQ pixels].
        overlap: margin around each tile that the network sees; auto: the receptive radius, which makes tiles equal to
            whole images, or 32 where that is unbounded; with rule acs its shave, by default 32 [LQ pixels].
        ensemble: return the mean over eight flips and rotations.
        precision: arithmetic of the network; of a network that is not safe in it the next wider one.
        tile_rule: exact: equal tiles, blended where they are approximations; acs: :class:`AdaptiveCrops`; drct:
            :class:`PaddedTiles`.
        device: moves the network; None: it stays.

    Raises:
        ValueError: the network cannot take such tiles, or has no identity.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        tile: TileSide = "auto",
        overlap: TileSide = "auto",
        ensemble: bool = False,
        precision: Precision = "fp32",
        tile_rule: TileRule = "exact",
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        _refuse_sides(tile, overlap, tile_rule)
        self.net = net
        self.contract, identity = contract_of(self.plain), identity_of(self.plain)
        self.scale, self.num_in_ch, self.kind = identity.scale, identity.num_in_ch, identity.type
        if tile_rule == "drct":
            refuse_other_tiles(self.kind, self.contract, tile_rule, tile, overlap)
        self.precision: Precision = usable(precision, self.contract)
        announce(precision, self.precision, option="precision", network=self.kind)
        self.precisely = AtPrecision(self.precision, usable("bf16", self.contract))
        self.tile_rule, self.ensemble = tile_rule, ensemble
        self.tile, self.overlap = sides_used(self.contract, tile_rule, tile, overlap)
        self.device = None if device is None else torch.device(device)
        self.fitting = FittingTile(overlap=self.overlap, multiple=self.contract.multiple_of, num_in_ch=self.num_in_ch)
        self._used: set[int] = set()  # tiles that were chosen
        self.train(net.training)
        if device is not None:
            self.to(device)
        if self.tile not in (0, "auto"):
            self._tell_approximation()

    def forward(self, lq: Tensor) -> Tensor:
        """Upscale images.

        Args:
            lq: (B, C, H, W) in [0, 1], on any device.

        Raises:
            ValueError: it is not of that form.
        """
        self._refuse(lq)
        device = self._device(lq.device)
        with torch.no_grad():
            return self.precisely(lambda: self._assembled(lq, device), device.type)

    def strips(self, height: int, width: int, read: Callable[[int, int], Tensor]) -> Iterator[Tensor]:
        """Upscale one image that need not fit into memory.

        Memory holds one row of tiles and its output. The rules acs and drct need the whole image.

        Args:
            height, width: of the image [LQ pixels].
            read: (top, bottom) -> rows [top, bottom) of the image (1, C, rows, W) in [0, 1]; asked for every row once,
                from top to bottom.

        Returns:
            iterator over bands (1, C, rows, scale * W) of the output from top to bottom.

        Raises:
            ValueError: `read` returns anything else.
        """

        def checked(top: int, bottom: int) -> Tensor:
            rows = read(top, bottom)
            self._refuse(rows)
            expected = (1, self.num_in_ch, bottom - top, width)
            if tuple(rows.shape) != expected:
                raise ValueError(f"rows {top} to {bottom} of the image: expected {expected}, got {tuple(rows.shape)}")
            return rows

        if self.tile_rule != "exact":
            yield self(checked(0, height))
            return
        device = self._device(torch.device("cpu"))
        layout = self._layout(height, width, device, in_strips=True)

        def row(band: Tensor) -> Tensor:
            with torch.no_grad():
                return self.precisely(lambda: self._row(band, layout, device), device.type)

        yield from bands(row, checked, height, layout, self.scale)

    def describe(self) -> dict[str, object]:
        """Return how images were upscaled so far, for results and logs: rule, tiles, overlap, ensemble, precision."""
        tile: object = self.tile or None
        if tile == "auto":
            tile = "auto: " + (", ".join(map(str, sorted(self._used))) if self._used else "whole images")
        whole = self.tile == 0 or (self.tile == "auto" and not self._used)
        return {
            "tile_rule": self.tile_rule,
            "tile": tile,
            "tile_overlap": None if whole and self.tile_rule != "acs" else self.overlap,
            "ensemble": "x8" if self.ensemble else "none",
            "precision": WORDS[self.precision] + (", compiled" if self.net is not self.plain else ""),
        }

    @property
    def plain(self) -> nn.Module:
        """Return the network before compilation."""
        return self.net.net if isinstance(self.net, CompiledForScoring) else self.net

    def _device(self, default: torch.device) -> torch.device:
        parameter = next(self.net.parameters(), None)
        return (self.device or default) if parameter is None else parameter.device

    def _refuse(self, lq: Tensor) -> None:
        expected = f"{self.kind} expects a floating-point tensor (B, {self.num_in_ch}, H, W) with values in [0, 1]"
        shape = tuple(lq.shape)
        if len(shape) != 4 or shape[1] != self.num_in_ch or 0 in shape:
            raise ValueError(f"{expected}, got the shape {shape}")
        if not lq.is_floating_point():
            raise ValueError(f"{expected}, got {lq.dtype}: divide 8-bit values by 255")

    def _assembled(self, lq: Tensor, device: torch.device) -> Tensor:
        """Return the output of whole images, on their device."""
        if self.tile_rule != "exact":
            return self._by_rule(lq.to(device, torch.float32)).to(lq.device)
        height, width = lq.shape[-2:]
        layout = self._layout(height, width, device)
        return _filled(lq, lambda band: self._row(band, layout, device), layout, self.scale)

    def _row(self, band: Tensor, layout: Layout, device: torch.device) -> Tensor:
        """Return the output of a band of the image, on its device."""

        def apply(tile: Tensor) -> Tensor:
            return self._in_tile(tile.to(device, torch.float32), layout).to(band.device)

        return row_of_tiles(apply, band, layout, self.scale, batched=device.type == "cuda")

    def _layout(self, height: int, width: int, device: torch.device, *, in_strips: bool = False) -> Layout:
        """Return the tiles of an image, and note their size if it has more than one."""
        if isinstance(self.tile, int):
            tile = self.tile or max(height, width)
        else:
            tile = self._largest_tile(height, width, device)
            radius = self.contract.receptive_radius
            if in_strips and radius is not None:
                # The whole image may fit, and strips are there to keep memory small. Such tiles are exact; margins cost
                # at most (1 + 2/8)^2 of the work.
                tile = min(tile, max(_STRIP_TILE, 8 * radius))
        layout = Layout(
            tile=tile,
            overlap=self.overlap,
            multiple=self.contract.multiple_of,
            flipped=self.ensemble,
            blended=approximation(self.kind, self.contract, self.overlap) is not None,
        )
        if layout.divides(height, width):
            self._tell_approximation()
            self._used.add(tile)
        return layout

    def _largest_tile(self, height: int, width: int, device: torch.device) -> int:
        return self.fitting.largest(
            height, width, device, lambda probe: self.precisely(lambda: self.plain(probe), device.type)
        )

    def _in_tile(self, tile: Tensor, layout: Layout) -> Tensor:
        """Apply the network to a tile; with tile "auto", in smaller tiles if memory runs out."""
        if self.tile != "auto":
            return self._run(tile)
        if not self.fitting.exceeded_by(tile):
            sr = self.fitting.attempt(lambda: self._run(tile), tile.device)
            if isinstance(sr, Tensor):
                return sr
            if tile.shape[0] > 1:
                return torch.cat([self._in_tile(single, layout) for single in tile.split(1)])
            self._used.add(self.fitting.halve(max(tile.shape[-2:]) - 2 * self.overlap, sr))
            self._tell_approximation()
        assert self.fitting.limit is not None
        smaller = dataclasses.replace(layout, tile=self.fitting.limit)
        return _filled(tile, lambda band: self._row(band, smaller, tile.device), smaller, self.scale)

    def _by_rule(self, lq: Tensor) -> Tensor:
        """Apply the network by a rule of its authors, which takes whole images."""
        if self.tile_rule == "acs":
            return self._with_ensemble(AdaptiveCrops(self.net, scale=self.scale, shave=self.overlap))(lq)
        if isinstance(self.tile, int):
            return self._padded_tiles(self.tile)(lq)
        height, width = lq.shape[-2:]
        longest, tile = max(height, width), self._largest_tile(height, width, lq.device)
        while True:
            form = self._padded_tiles(tile if tile < longest else 0)
            sr = self.fitting.attempt(lambda form=form: form(lq), lq.device)
            if isinstance(sr, Tensor):
                return sr
            tile = self.fitting.halve(tile, sr)

    def _padded_tiles(self, tile: int) -> nn.Module:
        if tile and self.tile == "auto":
            self._used.add(tile)
        multiple = self.contract.multiple_of
        form = PaddedTiles(self.net, multiple=multiple, tile=tile or None, overlap=self.overlap, scale=self.scale)
        return self._with_ensemble(form)

    def _with_ensemble(self, form: nn.Module) -> nn.Module:
        return Ensemble(form) if self.ensemble else form

    def _run(self, lq: Tensor) -> Tensor:
        """Apply the network to a whole image or tile, padded if it is smaller than the network can take."""
        form = self._with_ensemble(self.net)
        height, width = lq.shape[-2:]
        least = self.contract.min_size
        if min(height, width) >= least:
            return form(lq).float()
        padded = mirror_pad(lq, 0, (max(least - height, 0), max(least - width, 0)))
        return crop(form(padded).float(), height * self.scale, width * self.scale)

    def _tell_approximation(self) -> None:
        reason = approximation(self.kind, self.contract, self.overlap)
        if reason is not None and self.tile_rule == "exact":
            remedy = "they are blended" if self.overlap else "without overlap they have seams"
            warn_once(f"overlap {self.overlap}: {reason}, so that tiles differ from whole images; {remedy}")


def _filled(image: Tensor, row: Apply, layout: Layout, scale: int) -> Tensor:
    """Return the output of a whole image from its bands, in float32."""
    height, width = image.shape[-2:]
    sr, top = image.new_empty(0), 0
    for band in bands(row, lambda begin, end: image[:, :, begin:end], height, layout, scale):
        if band.shape[2] == height * scale:
            return band
        if top == 0:
            sr = band.new_empty((*band.shape[:2], height * scale, width * scale), dtype=torch.float32)
        sr[:, :, top : top + band.shape[2]] = band
        top += band.shape[2]
    return sr


def _refuse_sides(tile: TileSide, overlap: TileSide, rule: TileRule) -> None:
    for name, side in (("tile", tile), ("overlap", overlap)):
        if side != "auto" and (not isinstance(side, int) or isinstance(side, bool) or side < 0):
            raise ValueError(f"{name}: expected auto or an integer from 0, got {side!r}")
    if rule not in ("exact", "acs", "drct"):
        raise ValueError(f"tile_rule: expected exact, acs or drct, got {rule!r}")
    if rule == "acs" and tile not in (0, "auto"):
        raise ValueError(f"tile_rule acs chooses the crops itself: tile must be auto or 0, got {tile}")


def upscale(
    net: nn.Module,
    image: Image,
    *,
    tile: TileSide = "auto",
    overlap: TileSide = "auto",
    ensemble: bool = False,
    precision: Precision = "fp32",
    tile_rule: TileRule = "exact",
) -> Image:
    """Upscale an image by a network.

    Args:
        net: the network, as ``srzoo.load_network`` returns it; it is applied in evaluation mode.
        image: an array (H, W, C) or (H, W) of uint8, uint16 or floats in [0, 1], or a tensor (B, C, H, W) of floats in
            [0, 1], on any device.
        tile, overlap, ensemble, precision, tile_rule: as in :class:`Upscaler`.

    Returns:
        an image of the same kind: integers clipped and rounded half to even, floats as the network gives them. Of a
        grey array and a network for RGB: the luma (BT.601) of the output for three equal channels.

    Raises:
        ValueError: the image is of another kind, or its values are not in that range.
    """
    upscaler = Upscaler(net, tile=tile, overlap=overlap, ensemble=ensemble, precision=precision, tile_rule=tile_rule)
    training = net.training
    upscaler.eval()
    try:
        if isinstance(image, Tensor):
            arrays.refuse_range(image)
            return upscaler(image)
        return cast(Image, arrays.from_tensor(upscaler(arrays.to_tensor(image, upscaler.num_in_ch)), like=image))
    finally:
        net.train(training)
