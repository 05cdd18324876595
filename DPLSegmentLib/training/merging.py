"""Bottom-up merging of a partition into a nested hierarchy of coarser ones."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np


def region_adjacency(regions: np.ndarray, edge: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbouring region pairs of a partition.

    ``regions`` and ``edge`` are arrays of one shape; region 0 takes no part. Returns ``pairs`` (n, 2) with
    the smaller id first, the number of shared voxel faces (n,) and the mean of ``edge`` over these faces
    (n,).
    """
    count = int(regions.max()) + 1
    keys, values = [], []
    for axis in range(regions.ndim):
        low = np.moveaxis(regions, axis, 0)[:-1]
        high = np.moveaxis(regions, axis, 0)[1:]
        border = (low != high) & (low > 0) & (high > 0)
        a, b = low[border].astype(np.int64), high[border].astype(np.int64)
        moved = np.moveaxis(edge, axis, 0)
        keys.append(np.minimum(a, b) * count + np.maximum(a, b))
        values.append(np.maximum(moved[:-1][border], moved[1:][border]))
    unique, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    faces = np.bincount(inverse, minlength=unique.size).astype(np.float64)
    total = np.bincount(inverse, weights=np.concatenate(values), minlength=unique.size)
    pairs = np.stack([unique // count, unique % count], axis=1)
    return pairs, faces, total / np.maximum(faces, 1)


def merge_hierarchy(
    regions: np.ndarray,
    image: np.ndarray,
    edge: np.ndarray,
    thresholds: Sequence[float],
    reference_voxels: float,
    size_power: float = 0.25,
    neck_power: float = 1.0,
) -> np.ndarray:
    """Merge regions that look alike and share a weak border, cheapest pair first.

    The cost of a pair is (difference of mean ``image`` + mean ``edge`` on the shared border), times (smaller
    region / ``reference_voxels``) ** ``size_power`` so that fragments go before organs do, times (size of the
    smaller region's face / shared faces) ** ``neck_power`` where the contact is narrow. Returns
    (len(thresholds), regions.max() + 1) int32: row t maps each region to its group once no pair costs less
    than ``thresholds[t]`` (increasing). Group ids are region ids; 0 stays 0.
    """
    count = int(regions.max()) + 1
    flat = regions.ravel()
    size = np.bincount(flat, minlength=count).astype(np.float64).tolist()
    total = np.bincount(flat, weights=image.ravel(), minlength=count).tolist()
    neighbours: list[dict[int, tuple[float, float]]] = [{} for _ in range(count)]
    parent = np.arange(count, dtype=np.int32)

    def cost(a: int, b: int) -> float:
        contrast = abs(total[a] / size[a] - total[b] / size[b])
        scale = (min(size[a], size[b]) / reference_voxels) ** size_power
        faces, strength = neighbours[a][b]
        # Organs of equal intensity touch through a narrow gap in the fat between them.
        neck = max(min(size[a], size[b]) ** (2 / 3) / faces, 1.0) ** neck_power
        return (contrast + strength) * scale * neck

    pairs, faces, strength = region_adjacency(regions, edge)
    for (a, b), face, value in zip(pairs.tolist(), faces.tolist(), strength.tolist(), strict=True):
        neighbours[a][b] = neighbours[b][a] = (face, value)
    heap = [(cost(a, b), a, b) for a, b in pairs.tolist()]
    heapq.heapify(heap)

    tables = []
    for threshold in thresholds:
        while heap and heap[0][0] < threshold:
            known, a, b = heapq.heappop(heap)
            if b not in neighbours[a]:
                continue
            # Only the edges that move are pushed again: a region with thousands of neighbours would otherwise
            # refill the heap at each merge. A cost that has grown meanwhile is noticed here.
            current = cost(a, b)
            if current > known + 1e-9:
                heapq.heappush(heap, (current, a, b))
                continue
            if len(neighbours[a]) < len(neighbours[b]):
                a, b = b, a
            del neighbours[a][b], neighbours[b][a]
            for c, (face, value) in neighbours[b].items():
                del neighbours[c][b]
                if c in neighbours[a]:
                    own_face, own_value = neighbours[a][c]
                    joint = face + own_face
                    value = (face * value + own_face * own_value) / joint
                    face = joint
                neighbours[a][c] = neighbours[c][a] = (face, value)
            moved = list(neighbours[b])
            neighbours[b].clear()
            size[a] += size[b]
            total[a] += total[b]
            parent[b] = a
            for c in moved:
                heapq.heappush(heap, (cost(a, c), a, c))
        tables.append(_roots(parent))
    return np.stack(tables)


def _roots(parent: np.ndarray) -> np.ndarray:
    """Follow parents to the end for all regions at once."""
    roots = parent.copy()
    while True:
        following = roots[roots]
        if np.array_equal(following, roots):
            return roots
        roots = following
