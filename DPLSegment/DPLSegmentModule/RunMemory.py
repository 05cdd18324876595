"""How much memory a run will take, told before any scan is copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from DPLSegmentModule import Messages


def checkMemory(supportVolumeNode: Any, queryVolumeNodes: Sequence[Any], labels: int, uncertainty: bool) -> None:
    """Raise InputError if copies, network and results would not fit into the free memory.

    The library computes one scan at a time; copies of all scans and the results so far are kept until the end, because
    all results are written together.
    """
    from DPLSegmentLib.errors import InputError
    from DPLSegmentLib.resources import available_memory, check_memory, estimate_memory

    def shape(node: Any) -> tuple[int, int, int]:
        i, j, k = node.GetImageData().GetDimensions()
        return k, j, i

    def voxels(node: Any) -> int:
        return node.GetImageData().GetNumberOfPoints()

    others = [node for node in queryVolumeNodes if node is not supportVolumeNode]
    largest = max(others, key=voxels, default=None)
    shapes = [shape(node) for node in (supportVolumeNode, largest) if node is not None]
    check_memory(shapes, labels)
    if len(queryVolumeNodes) == 1:
        return
    copies = sum(node.GetImageData().GetScalarSize() * voxels(node) for node in (supportVolumeNode, *others))
    results = sum((labels + 4 * uncertainty) * voxels(node) for node in queryVolumeNodes)
    needed, free = estimate_memory(shapes, labels) + copies + results, available_memory()
    if free is not None and needed > free:
        raise InputError(
            Messages.TOO_LITTLE_MEMORY.format(
                count=len(queryVolumeNodes), needed=f"{needed / 2**30:.1f}", free=f"{free / 2**30:.1f}"
            )
        )
