"""The annotation: which segments are painted on which slices, and their masks on the annotated scan's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from slicer.i18n import tr as _

from DPLSegmentModule import Messages
from DPLSegmentModule.SegmentDrawings import isEmpty, readDrawing
from DPLSegmentModule.VolumeReader import checkVolumeNode, ijkToWorldMatrix, parentToWorldMatrix, volumeFromNode

if TYPE_CHECKING:
    from DPLSegmentLib import Volume
    from DPLSegmentLib.regridding import PlacedMask


@dataclass(frozen=True)
class AnnotatedSegment:
    """``slices``: indices along ``SupportSummary.sliceAxis`` of the annotated scan."""

    segmentID: str
    name: str
    slices: tuple[int, ...]


@dataclass(frozen=True)
class SupportSummary:
    """What was found. ``hidden`` and ``empty``: names of segments that are left out. ``sliceAxis``: IJK axis.
    ``text``: all of it in one line."""

    segments: tuple[AnnotatedSegment, ...]
    hidden: tuple[str, ...]
    empty: tuple[str, ...]
    sliceAxis: int
    text: str


@dataclass
class SupportData:
    """``masks``: bool (k, j, i) on the grid of ``volume``, by label 1 to N in the order of the segments."""

    volume: Volume
    masks: dict[int, np.ndarray]
    segmentIDs: dict[int, str]


def usableSegmentIDs(segmentationNode: Any, segmentIDs: Sequence[str] | None = None) -> list[str]:
    """IDs of the segments to use: the visible ones in their order, or exactly the given ones.

    Raises InputError for an ID that is not there, or one given twice.
    """
    from DPLSegmentLib.errors import InputError

    segmentation = segmentationNode.GetSegmentation()
    if segmentIDs is None:
        display = segmentationNode.GetDisplayNode()
        return [
            segmentID
            for segmentID in segmentation.GetSegmentIDs()
            if display is None or display.GetSegmentVisibility(segmentID)
        ]
    for number, segmentID in enumerate(segmentIDs):
        if segmentation.GetSegment(segmentID) is None:
            raise InputError(
                _("The segmentation '{name}' has no segment with the ID '{id}'; give IDs of its segments.").format(
                    name=segmentationNode.GetName(), id=segmentID
                )
            )
        if segmentID in segmentIDs[:number]:
            raise InputError(_("The segment ID '{id}' is given twice; give each once.").format(id=segmentID))
    return list(segmentIDs)


def summarizeSupport(volumeNode: Any, segmentationNode: Any, segmentIDs: Sequence[str] | None = None) -> SupportSummary:
    """What is painted where. Copies no scan; fast enough to be called after every brush stroke.

    Raises InputError when nothing can be used, and says what is missing.
    """
    from DPLSegmentLib import Volume
    from DPLSegmentLib.annotation import interpret_annotation

    found, hidden, empty = _sortedSegments(volumeNode, segmentationNode, segmentIDs)
    placed = _placedMasks(volumeNode, segmentationNode, found)
    # Only the part of the grid with anything on it is looked at; an annotation of a large CT is small.
    low = np.min([mask.start for mask in placed.values()], axis=0)
    high = np.max([np.add(mask.start, mask.array.shape) for mask in placed.values()], axis=0)
    part = Volume(np.broadcast_to(np.uint8(0), tuple(high - low)), ijkToWorldMatrix(volumeNode), volumeNode.GetName())
    masks = {label: _moved(mask, low).full(high - low) for label, mask in placed.items()}
    annotation = interpret_annotation(masks, part)
    first = int(low[2 - annotation.slice_axis])
    segmentation = segmentationNode.GetSegmentation()
    segments = tuple(
        AnnotatedSegment(
            segmentID,
            segmentation.GetSegment(segmentID).GetName(),
            tuple(first + index for index in annotation.slices[label]),
        )
        for label, segmentID in enumerate(found, start=1)
    )
    return SupportSummary(segments, hidden, empty, annotation.slice_axis, _text(segments, hidden, empty))


def readSupport(volumeNode: Any, segmentationNode: Any, segmentIDs: Sequence[str] | None = None) -> SupportData:
    """The annotated scan and its masks, whatever the segmentation's own geometry and transform.

    Raises InputError for a scan or an annotation that cannot be used.
    """
    found, _hidden, _empty = _sortedSegments(volumeNode, segmentationNode, segmentIDs)
    placed = _placedMasks(volumeNode, segmentationNode, found)
    volume = volumeFromNode(volumeNode)
    masks = {label: mask.full(volume.array.shape) for label, mask in placed.items()}
    return SupportData(volume, masks, dict(enumerate(found, start=1)))


def _sortedSegments(
    volumeNode: Any, segmentationNode: Any, segmentIDs: Sequence[str] | None
) -> tuple[list[str], tuple[str, ...], tuple[str, ...]]:
    """IDs of the segments with something in them; names of hidden and of empty ones."""
    from DPLSegmentLib.errors import InputError

    checkVolumeNode(volumeNode)
    if segmentationNode is not None and segmentationNode.IsA("vtkMRMLLabelMapVolumeNode"):
        message = _(
            "The annotation '{name}' is a label map; import it into a segmentation in the Segmentations module and "
            "choose that."
        )
        raise InputError(message.format(name=segmentationNode.GetName()))
    if segmentationNode is None or not segmentationNode.IsA("vtkMRMLSegmentationNode"):
        raise InputError(Messages.NO_SUPPORT_SEGMENTATION)
    segmentation = segmentationNode.GetSegmentation()
    chosen = usableSegmentIDs(segmentationNode, segmentIDs)
    names = {segmentID: segmentation.GetSegment(segmentID).GetName() for segmentID in segmentation.GetSegmentIDs()}
    hidden = [names[segmentID] for segmentID in names if segmentIDs is None and segmentID not in chosen]
    empty = [segmentID for segmentID in chosen if isEmpty(segmentationNode, segmentID)]
    found = [segmentID for segmentID in chosen if segmentID not in empty]
    if not found:
        if empty:
            message = _("Nothing is painted yet; paint each structure on at least one slice (empty: {names}).")
            raise InputError(message.format(names=", ".join(names[segmentID] for segmentID in empty)))
        if hidden:
            message = _("All segments of '{name}' are hidden; show those that are to be used.")
            raise InputError(message.format(name=segmentationNode.GetName()))
        message = _("The segmentation '{name}' has no segments; add one and paint it on one slice.")
        raise InputError(message.format(name=segmentationNode.GetName()))
    return found, tuple(hidden), tuple(names[segmentID] for segmentID in empty)


def _placedMasks(volumeNode: Any, segmentationNode: Any, segmentIDs: Sequence[str]) -> dict[int, PlacedMask]:
    from DPLSegmentLib.errors import InputError
    from DPLSegmentLib.regridding import place_drawings

    ijkToWorld = ijkToWorldMatrix(volumeNode)
    try:
        worldToIJK = np.linalg.inv(ijkToWorld)
    except np.linalg.LinAlgError as error:
        raise InputError(
            _("The volume '{name}' has axis directions that cannot be inverted; repair its orientation.").format(
                name=volumeNode.GetName()
            )
        ) from error
    localToIJK = worldToIJK @ parentToWorldMatrix(segmentationNode)
    i, j, k = volumeNode.GetImageData().GetDimensions()
    drawings = {
        label: readDrawing(segmentationNode, segmentID, volumeNode, localToIJK)
        for label, segmentID in enumerate(segmentIDs, start=1)
    }
    return place_drawings(drawings, (k, j, i), np.linalg.norm(ijkToWorld[:3, :3], axis=0), volumeNode.GetName())


def _moved(mask: PlacedMask, low: np.ndarray) -> PlacedMask:
    from DPLSegmentLib.regridding import PlacedMask

    return PlacedMask(mask.array, tuple(int(start - offset) for start, offset in zip(mask.start, low, strict=True)))


def _text(segments: Sequence[AnnotatedSegment], hidden: Sequence[str], empty: Sequence[str]) -> str:
    parts = []
    for segment in segments:
        form = _("{name}: slice {slices}") if len(segment.slices) == 1 else _("{name}: slices {slices}")
        parts.append(form.format(name=segment.name, slices=_ranges(segment.slices)))
    if empty:
        parts.append(_("empty: {names}").format(names=", ".join(empty)))
    if hidden:
        parts.append(_("hidden: {names}").format(names=", ".join(hidden)))
    return ", ".join(parts)


def _ranges(numbers: Sequence[int]) -> str:
    """1, 2, 3, 7 -> "1-3, 7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
