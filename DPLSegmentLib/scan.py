"""A volume made ready: canonical slices, network pixels, encoded features; computed once, reused by every click."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .devices import release
from .errors import stop_if
from .geometry import SliceFrame, Volume, slice_frame
from .model import DPLModel
from .preprocessing import NetworkGrid, intensity_map, neighbour_mix, network_grid
from .step import EncodedScan

CHUNK = 16  # slices encoded at once; cancelling takes effect between chunks
CPU_CHUNK = 4


@dataclass
class PreparedScan:
    """A volume on the network grid.

    ``frame`` leads from the volume's (k, j, i) to canonical (slice, row, column), ``grid`` from rows and columns to
    network pixels; ``digest`` identifies voxels and geometry.
    """

    volume: Volume
    frame: SliceFrame
    grid: NetworkGrid
    encoded: EncodedScan
    digest: str

    def network_mask(self, mask: np.ndarray, index: int) -> Tensor:
        """A volume-shaped (k, j, i) mask's slice ``index`` (of the frame) on the network grid, (H, W) in [0, 1]."""
        plane = take_slice(mask, self.frame, index).astype(np.float32)
        device = self.encoded.images.device
        shrunk = self.grid.to_network(torch.from_numpy(plane)[None].to(device))[0].clamp(0.0, 1.0)
        peak = float(shrunk.max())
        # A structure thinner than a network pixel would otherwise fall below one half everywhere and be lost.
        return shrunk / peak if 0.0 < peak < 0.9 else shrunk


def take_slice(array: np.ndarray, frame: SliceFrame, index: int) -> np.ndarray:
    """One (row, column) slice of a (k, j, i) array, without turning the whole array; contiguous."""
    view = np.transpose(array, frame.axes)
    plane = view[frame.ijk_index(index)]
    return np.ascontiguousarray(plane[:: -1 if frame.flips[1] else 1, :: -1 if frame.flips[2] else 1])


def volume_digest(volume: Volume) -> str:
    """SHA-256 of a volume's voxels and geometry."""
    digest = hashlib.sha256()
    digest.update(f"{volume.array.dtype} {volume.array.shape}".encode())
    digest.update(np.ascontiguousarray(volume.array).data)
    digest.update(np.round(volume.ijk_to_world, 6).tobytes())
    return digest.hexdigest()


def canonical_digest(scan: PreparedScan) -> str:
    """SHA-256 of what the network sees: the same for every orientation of the same scan."""
    return hashlib.sha256(scan.encoded.images.cpu().numpy().tobytes()).hexdigest()


class ScanPreparer:
    """Prepares volumes and keeps the latest few."""

    def __init__(self, model: DPLModel, device: torch.device, capacity: int = 4) -> None:
        self.model, self.device, self.capacity = model, device, capacity
        self.chunk = CPU_CHUNK if device.type == "cpu" else CHUNK
        self._kept: OrderedDict[tuple, PreparedScan] = OrderedDict()

    def clear(self) -> None:
        """Forget every prepared volume."""
        self._kept.clear()

    def prepare(
        self,
        volume: Volume,
        slice_axis: int,
        pixel_mm: float | None = None,
        *,
        progress: Callable[[float, str], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> PreparedScan:
        """Prepare a valid volume, or return what was prepared before.

        Args:
            volume: a validated volume.
            slice_axis: IJK axis of the slices.
            pixel_mm: network pixel size; chosen from the volume's extent if None.
        """
        frame = slice_frame(volume, slice_axis)
        shape = tuple(volume.array.shape[axis] for axis in frame.axes)
        grid = network_grid(shape[1:], frame.spacing[1:], pixel_mm)
        digest = volume_digest(volume)
        key = (digest, slice_axis, grid)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        mapping = intensity_map(frame.apply(volume.array))
        images = torch.empty(shape[0], *grid.padded)
        for index in range(shape[0]):
            plane = mapping(take_slice(volume.array, frame, index))
            images[index] = grid.to_network(torch.from_numpy(plane)[None])[0]
            if index % 16 == 0:
                stop_if(should_cancel)
        images = images.clamp_(0.0, 1.0).to(self.device)
        features = self._encode(images, frame.spacing[0], grid.pixel_mm, progress, should_cancel)
        encoded = EncodedScan(images, features, grid.pixel_mm, frame.spacing[0])
        scan = PreparedScan(volume, frame, grid, encoded, digest)
        self._kept[key] = scan
        while len(self._kept) > self.capacity:
            self._kept.popitem(last=False)
        return scan

    @torch.inference_mode()
    def _encode(
        self,
        images: Tensor,
        slice_mm: float,
        pixel_mm: float,
        progress: Callable[[float, str], None] | None,
        should_cancel: Callable[[], bool] | None,
    ) -> Tensor:
        """Encode in chunks; half precision, because the features of a long scan are the largest thing kept."""
        count, height, width = images.shape
        features = torch.empty(
            count, self.model.config.width, height // 4, width // 4, dtype=torch.float16, device=self.device
        )
        start = 0
        while start < count:
            stop_if(should_cancel)
            stop = min(start + self.chunk, count)
            low, high = max(0, start - 1), min(count, stop + 1)
            mixed = neighbour_mix(images[low:high], slice_mm, pixel_mm)[start - low : stop - low]
            try:
                features[start:stop] = self.model.encoder(mixed).half()
            except torch.cuda.OutOfMemoryError:
                if self.chunk == 1:
                    raise
                self.chunk //= 2
                release(self.device)
                continue
            start = stop
            if progress is not None:
                progress(start / count, f"encoding slice {start} of {count}")
        return features
