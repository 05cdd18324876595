"""Names, colours and other fields of the labels, as 3D Slicer keeps them in the header of a ``.seg.nrrd``
file."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

_FIELD = re.compile(r"Segment(\d+)_(\w+)")
# These follow from the voxels and are written anew; all others are carried verbatim.
_OWN_FIELDS = ("ID", "Name", "Color", "LabelValue", "Layer", "Extent")
_GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class Segment:
    """One label of a segmentation.

    ``value`` is its voxel value, ``color`` red, green, blue in [0, 1], ``extra`` the other ``SegmentN_*``
    fields (terminology tags and so on) without their prefix, verbatim, ``id`` the identifier Slicer uses for
    it.
    """

    value: int
    name: str
    color: tuple[float, float, float] | None = None
    extra: dict[str, str] = field(default_factory=dict)
    id: str = ""


def generated_segment(value: int) -> Segment:
    """The segment of a label that came without a name: 'Label 3' in a colour of its own."""
    # Hues a golden ratio apart stay distinct for any set of small values.
    color = colorsys.hsv_to_rgb((value * _GOLDEN_RATIO) % 1.0, 0.55 + 0.3 * (value % 2), 0.95)
    return Segment(value, f"Label {value}", color, {}, f"Segment_{value}")


def completed(segments: Iterable[Segment], values: Collection[int]) -> list[Segment]:
    """``segments``, all with colours, followed by generated ones for those of ``values`` that have none."""
    known = [s if s.color else replace(s, color=generated_segment(s.value).color) for s in segments]
    missing = sorted(set(values) - {segment.value for segment in known})
    taken = {segment.id for segment in known}
    for value in missing:
        segment = generated_segment(value)
        while segment.id in taken:
            segment = replace(segment, id=segment.id + "_")
        taken.add(segment.id)
        known.append(segment)
    return known


def parse_segments(metadata: Mapping[str, str], layer_count: int) -> list[tuple[Segment, int]]:
    """Segments in a file's header, each with the layer (component of the image) that holds it, in the file's
    order.

    As in Slicer: without ``Layer``, each segment of a layered file has a layer of its own; without
    ``LabelValue`` it is 1. Raises ValueError when a number is not one.
    """
    fields: dict[int, dict[str, str]] = {}
    for key, text in metadata.items():
        match = _FIELD.fullmatch(key)
        if match:
            fields.setdefault(int(match[1]), {})[match[2]] = text
    parsed = []
    for number in sorted(fields):
        own = fields[number]
        identifier = own.get("ID", f"Segment_{number + 1}")
        color = tuple(float(part) for part in own["Color"].split()) if own.get("Color", "").strip() else None
        if color is not None and len(color) != 3:
            raise ValueError(f"colour '{own['Color']}'")
        extra = {key: text for key, text in own.items() if key not in _OWN_FIELDS}
        layer = int(own.get("Layer", number if layer_count > 1 else 0))
        value = int(own.get("LabelValue", 1))
        if not 0 <= layer < layer_count or value < 1:
            raise ValueError(f"layer {layer}, label {value}")
        parsed.append((Segment(value, own.get("Name", identifier), color, extra, identifier), layer))
    return parsed


def format_segments(segments: Iterable[Segment], shape_ijk: tuple[int, int, int]) -> dict[str, str]:
    """Header fields that make a label map of this size (voxels along i, j, k) a Slicer segmentation."""
    # Slicer clips a whole layer to the extent of its first segment, so every segment names the full grid.
    extent = " ".join(f"0 {count - 1}" for count in shape_ijk)
    header = {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for number, segment in enumerate(segments):
        prefix = f"Segment{number}_"
        color = segment.color or generated_segment(segment.value).color or (1.0, 1.0, 1.0)
        header[prefix + "ID"] = segment.id or f"Segment_{segment.value}"
        header[prefix + "Name"] = segment.name
        header[prefix + "Color"] = " ".join(repr(float(part)) for part in color)
        header[prefix + "LabelValue"] = str(segment.value)
        header[prefix + "Layer"] = "0"
        header[prefix + "Extent"] = extent
        header.update({prefix + key: text for key, text in segment.extra.items()})
    return header
