"""Slices that are known to show the same place of a structure in two scans, so that nothing has to be aligned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import InputError
from .geometry import SliceFrame
from .step import EncodedScan


@dataclass(frozen=True)
class Correspondence:
    """All query slices that show a structure, and where in the support each belongs.

    ``places``: query slice -> fractional support slice, both counted in the scans' frames. It stands where a
    :class:`~.alignment.SliceAlignment` stands otherwise, for one label.
    """

    places: Mapping[int, float]

    @property
    def bounds(self) -> tuple[int, int]:
        """First and last query slice with the structure."""
        return min(self.places), max(self.places)

    def support_index(self, query_index: int, query: EncodedScan, support: EncodedScan) -> float:
        """Fractional support slice of a query slice; NaN, which is near no slice, where the structure is not."""
        return self.places.get(query_index, float("nan"))


def correspondence_in_frames(places: Mapping[int, float], query: SliceFrame, support: SliceFrame) -> Correspondence:
    """From indices along the volumes' own slice axes to those of their frames.

    Raises:
        InputError: no slices, or a query slice that does not exist.
    """
    if not places:
        raise InputError("A correspondence names no slice of the query; leave it out, or name the slices.")
    for index in places:
        if not 0 <= index < query.slice_count:
            raise InputError(
                f"The query slice {index} does not exist; the scan has slices 0 to {query.slice_count - 1}."
            )
    return Correspondence({query.slice_index(index): support.slice_index(place) for index, place in places.items()})
