"""The public interface: load once, set a support, segment as many queries as you like."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .annotation import Annotation, interpret_annotation
from .checkpoint import WeightsInfo, load_weights
from .correspondence import Correspondence, correspondence_in_frames
from .devices import choose_device, describe_device, release
from .doubt import LabelDoubts
from .errors import InputError
from .favour import raised_between
from .geometry import Volume, matching_slice_axis
from .intensity_evidence import weigh_intensities
from .model import DPLModel
from .progress_parts import ProgressPart
from .propagation import LabelResult, propagate
from .report import make_report
from .resources import check_memory
from .restoring import restore
from .scan import PreparedScan, ScanPreparer, volume_digest
from .similarity import SimilarityMaps
from .support import Support, enhanced_prototypes, similarity_maps
from .tracks import LabelTask
from .transfer import InsideSupport, inside_support, transfer

Progress = Callable[[float, str], None]
ShouldCancel = Callable[[], bool]
LARGEST_VARIANTS = 64


@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """A complete result on the query's own grid.

    Attributes:
        labels: (k, j, i) uint16, the annotation's label values, 0 = background.
        uncertainty: (k, j, i) float32 in [0, 1]: how likely the voxel is wrong. The largest of what
            :meth:`label_uncertainty` says, raised in proportion where variants of prototypes disagree.
        overlapping: (k, j, i) bool masks of the labels that overlap with others in the annotation, and may do so in the
            result (``labels`` shows the highest value there).
        report: JSON-able facts: volumes in ml, uncertainty, least certain slices, device, seed, weights, seconds.
        doubts: what :meth:`label_uncertainty` is made of.
    """

    labels: np.ndarray
    uncertainty: np.ndarray
    overlapping: dict[int, np.ndarray]
    report: dict[str, Any]
    doubts: LabelDoubts

    def label_uncertainty(self, label: int) -> np.ndarray:
        """(k, j, i) float32: the probability that the voxel is wrong about this label, in [0, 1].

        ``uncertainty`` is large wherever it is for any label.

        Raises InputError for a label that was not annotated.
        """
        return self.doubts.of(label)

    def mask(self, label: int) -> np.ndarray:
        """(k, j, i) bool, all of a label, whatever it shares with others."""
        separate = self.overlapping.get(label)
        return self.labels == label if separate is None else separate


class OneShotSegmenter:
    """One-shot segmentation with Diffusion Prototype Learning.

    >>> segmenter = OneShotSegmenter.load(device="auto")
    >>> segmenter.set_support(volume, labels)
    >>> result = segmenter.segment(query)

    Scans stay encoded, so a second label or another support slice on the same scan costs matching only. The same
    inputs, seed and device give the same bits. Not safe for use from several threads at once.
    """

    def __init__(self, model: DPLModel, weights: WeightsInfo, device: torch.device, seed: int = 0) -> None:
        self.weights, self.seed = weights, int(seed)
        self.message: Callable[[str], None] | None = None  # told about a fall-back to the CPU
        self._model = model
        self._support: tuple[Volume, Annotation] | None = None
        self._inside: tuple[tuple, InsideSupport] | None = None
        self._use(device)

    @classmethod
    def load(
        cls, device: str = "auto", weights: str | Path | None = None, seed: int = 0, variants: int | None = None
    ) -> OneShotSegmenter:
        """Load the bundled weights, or those of a file.

        Args:
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            weights: a DPLSegment weights file; the bundled ones if None.
            seed: of the diffusion noise.
            variants: how many variants of each prototype, from 0 (none) to 64; as trained if None.

        Raises:
            InputError: a device that is not there; missing, damaged or foreign weights; an impossible number of
                variants.
        """
        if variants is not None and not 0 <= variants <= LARGEST_VARIANTS:
            raise InputError(f"The number of variants is {variants}; it must lie between 0 and {LARGEST_VARIANTS}.")
        chosen = choose_device(device)
        model, info = load_weights(weights)
        if variants is not None:
            enhancement = replace(model.config.enhancement, variants=int(variants))
            model.config = replace(model.config, enhancement=enhancement)
        return cls(model, info, chosen, seed)

    @property
    def device(self) -> str:
        """The device in use, for people."""
        return describe_device(self._device)

    def clear_cache(self) -> None:
        """Forget encoded scans, and what was found in the support (which stays set)."""
        self._preparer.clear()
        self._inside = None

    def keep_scans(self, count: int) -> None:
        """How many scans stay encoded (4 unless told otherwise), at about 0.8 MB a slice."""
        self._preparer.capacity = count

    def set_support(
        self,
        volume: Volume,
        labels: np.ndarray | Mapping[int, np.ndarray],
        *,
        slice_axis: int | None = None,
        slice_index: int | None = None,
        progress: Progress | None = None,
        should_cancel: ShouldCancel | None = None,
    ) -> None:
        """Set the annotated scan.

        Args:
            volume: the support scan.
            labels: (k, j, i) label map, or one mask per label value (they may overlap). A label counts as annotated on
                exactly the slices where it has voxels; there everything else is background for it.
            slice_axis: IJK axis (0 = i, 1 = j, 2 = k) across which slices were annotated; found if None.
            slice_index: use only this slice (index along that axis).
            progress, should_cancel: see :meth:`segment`.

        Raises:
            InputError: an unusable scan or annotation; the support set before stays set.
            Cancelled: ``should_cancel()`` returned true.
        """
        volume.validate()
        annotation = interpret_annotation(labels, volume, slice_axis, slice_index)
        check_memory([volume.array.shape], len(annotation.masks))
        part = ProgressPart(progress)
        self._attempt(
            lambda: self._preparer.prepare(volume, annotation.slice_axis, progress=part, should_cancel=should_cancel)
        )
        part(1.0, "support ready")
        self._support, self._inside = (volume, annotation), None

    def segment(
        self,
        query: Volume | None = None,
        *,
        correspondence: Mapping[int, Mapping[int, float]] | None = None,
        progress: Progress | None = None,
        should_cancel: ShouldCancel | None = None,
    ) -> SegmentationResult:
        """Segment a scan.

        Args:
            query: the scan to segment; the support scan if None (or if it holds the same voxels in the same place).
            correspondence: for labels whose slices in another patient's query are known: label -> {query slice: the
                fractional support slice that shows the same place}, both along the volumes' own slice axes. Such a
                label is looked for on those slices only. For all other labels the scans are aligned.
            progress: called with a fraction in [0, 1], never falling, and a message.
            should_cancel: asked several times a second.

        Returns:
            Labels and uncertainty on the query's own grid, and a report.

        Raises:
            InputError: no support set, or an unusable query.
            Cancelled: ``should_cancel()`` returned true; nothing has changed.
        """
        if self._support is None:
            raise InputError("There is no support yet; call set_support() with an annotated scan first.")
        volume, annotation = self._support
        if query is not None:
            query.validate()
            check_memory([volume.array.shape, query.array.shape], len(annotation.masks))
        same = query is None or query is volume or volume_digest(query) == volume_digest(volume)
        part = ProgressPart(progress)
        places = correspondence or {}
        return self._attempt(lambda: self._segment(None if same else query, places, part, should_cancel))

    def _segment(
        self,
        query: Volume | None,
        places: Mapping[int, Mapping[int, float]],
        progress: ProgressPart,
        should_cancel: ShouldCancel | None,
    ) -> SegmentationResult:
        volume, annotation = self._support
        started = time.perf_counter()
        encoding = progress.part(0.0, 0.3 if query is None else 0.2)
        scan = self._preparer.prepare(volume, annotation.slice_axis, progress=encoding, should_cancel=should_cancel)
        support = Support.prepare(volume, annotation, scan)
        target = scan
        if query is not None:
            target = self._preparer.prepare(
                query,
                matching_slice_axis(query, volume, annotation.slice_axis),
                scan.encoded.pixel_mm,
                progress=progress.part(0.2, 0.4),
                should_cancel=should_cancel,
            )
        encoded = time.perf_counter()
        prototypes = {label: enhanced_prototypes(self._model, support, label, self.seed) for label in annotation.masks}
        if query is None:
            results, maps = self._same_scan(support, prototypes, progress.part(0.3, 0.95), should_cancel)
        else:
            known = {
                label: correspondence_in_frames(part, target.frame, scan.frame)
                for label, part in places.items()
                if label in annotation.masks
            }
            part = progress.part(0.4, 0.95)
            results, maps = self._other_scan(support, prototypes, target, known, part, should_cancel)
        drawn = support.masks if query is None else {}
        for label, found in results.items():
            given = drawn.get(label, ())
            results[label] = weigh_intensities(raised_between(found, given), target.encoded, given, should_cancel)
        matched = time.perf_counter()
        own = annotation if query is None else None
        restored = restore(target, results, maps, support.overlaps, own, should_cancel=should_cancel)
        seconds = {
            "encoding": encoded - started,
            "matching": matched - encoded,
            "total": time.perf_counter() - started,
        }
        labels, uncertain, separate, doubts = restored
        result = SegmentationResult(labels, uncertain, separate, {}, doubts)
        facts = make_report(target, result.mask, result.label_uncertainty, annotation, query is None, seconds)
        result.report.update(facts)
        weights = {"path": self.weights.path, "sha256": self.weights.sha256}
        result.report.update({"device": self.device, "seed": self.seed, "weights": weights})
        progress(1.0, "done")
        return result

    def _same_scan(
        self, support: Support, prototypes: dict, progress: ProgressPart, should_cancel: ShouldCancel | None
    ) -> tuple[dict[int, LabelResult], dict[int, SimilarityMaps]]:
        scan: PreparedScan = support.scan
        maps = similarity_maps(self._model, prototypes, scan.encoded, progress.part(0.0, 0.2), should_cancel)
        tasks = {label: LabelTask(support.masks[label], maps[label], support.overlaps[label]) for label in prototypes}
        walk = progress.part(0.2, 1.0)
        return propagate(self._model, scan.encoded, tasks, progress=walk, should_cancel=should_cancel), maps

    def _other_scan(
        self,
        support: Support,
        prototypes: dict,
        target: PreparedScan,
        known: Mapping[int, Correspondence],
        progress: ProgressPart,
        should_cancel: ShouldCancel | None,
    ) -> tuple[dict[int, LabelResult], dict[int, SimilarityMaps]]:
        key = (self.seed, self._model.config, support.scan.digest)
        if self._inside is None or self._inside[0] != key:
            own = progress.part(0.0, 0.35)
            self._inside = key, inside_support(self._model, support, prototypes, own, should_cancel)
        rest = progress.part(0.35, 1.0)
        return transfer(self._model, support, self._inside[1], target, rest, should_cancel, known, self.seed)

    def _use(self, device: torch.device) -> None:
        self._device, self._inside = device, None
        self._model.to(device)
        self._preparer = ScanPreparer(self._model, device)

    def _attempt(self, work: Callable[[], Any]) -> Any:
        """Do the work; on a GPU without enough memory, do it again on the CPU and say so."""
        try:
            with reproducible():
                return work()
        except torch.cuda.OutOfMemoryError:
            if self._device.type == "cpu":
                raise
            if self.message is not None:
                self.message(f"{self.device} has too little free memory for this scan; continuing on the CPU.")
            previous = self._device
            self._use(torch.device("cpu"))
            release(previous)
            with reproducible():
                return work()


@contextlib.contextmanager
def reproducible() -> Iterator[None]:
    """Deterministic kernels while the library computes; the caller's settings come back afterwards."""
    benchmark, deterministic = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    tf32 = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, deterministic
        torch.backends.cuda.matmul.allow_tf32 = tf32
