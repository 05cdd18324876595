"""Implicit shapes on a voxel grid whose coordinates are deformed, so that no shape comes out geometric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from .deformation import displacement, smooth_field

Box = tuple[slice, slice, slice]
Piece = tuple[Box, np.ndarray]


def rotation(angles: Sequence[float]) -> np.ndarray:
    """(3, 3) rotation of (z, y, x) vectors: about z, then y, then x, in radians."""
    matrix = np.eye(3)
    for (i, j), angle in zip(((1, 2), (0, 2), (0, 1)), angles, strict=True):
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


class Canvas:
    """A label volume (slice, row, column) int16 and the template coordinates (z, y, x) of each voxel.

    Template units are mm of a standard adult: z to superior, y to posterior, x to the patient's left, origin
    in the middle of the abdomen. ``scale`` is real mm per template mm, ``centre_z`` the template z of the
    middle slice.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        shape: Sequence[int],
        spacing: Sequence[float],
        scale: float,
        centre_z: float,
    ) -> None:
        self.rng = rng
        self.labels = np.zeros(tuple(shape), np.int16)
        self.step = np.asarray(spacing, np.float64) / scale
        offset = np.array([centre_z, 0.0, 0.0]) - (np.asarray(shape) - 1) / 2 * self.step
        self._start = offset
        warp = displacement(rng, shape, self.step, 70.0, rng.uniform(3.0, 7.0))
        warp += displacement(rng, shape, self.step, 30.0, rng.uniform(0.8, 2.0))
        self._reach = float(np.abs(warp).max())
        self.coordinates = np.empty((3, *shape), np.float32)
        for axis, count in enumerate(shape):
            view = [1, 1, 1]
            view[axis] = count
            self.coordinates[axis] = warp[axis] + (offset[axis] + np.arange(count) * self.step[axis]).reshape(view)
        self._noise = [smooth_field(rng, shape, self.step, length) for length in (14.0, 28.0)]

    def noise(self, box: Box) -> np.ndarray:
        """A random mixture of the canvas's smooth fields, about unit variance."""
        weights = self.rng.normal(0.0, 0.7, 2)
        return weights[0] * self._noise[0][box] + weights[1] * self._noise[1][box]

    def box(self, low: Sequence[float], high: Sequence[float]) -> Box | None:
        """Voxel box that holds a template box wherever the deformation may put it; None off the grid."""
        first = np.floor((np.asarray(low) - self._reach - self._start) / self.step).astype(int)
        last = np.ceil((np.asarray(high) + self._reach - self._start) / self.step).astype(int) + 1
        first, last = np.maximum(first, 0), np.minimum(last, self.labels.shape)
        if (first >= last).any():
            return None
        return tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))

    def superquadric(
        self,
        centre: Sequence[float],
        radii: Sequence[float],
        exponent: float = 2.0,
        angles: Sequence[float] = (0.0, 0.0, 0.0),
        lumps: float = 0.12,
        sizes: Sequence[float] = (1.0,),
    ) -> list[list[Piece]]:
        """Nested bodies |x/a|^n + |y/b|^n + |z/c|^n < size^n with a lumpy surface, one list of pieces per
        size."""
        reach = max(sizes) * (1 + 2 * lumps)
        turn = rotation(angles)
        extent = np.abs(turn) @ np.asarray(radii) * reach if exponent <= 2 else np.full(3, max(radii)) * reach * 1.3
        box = self.box(np.asarray(centre) - extent, np.asarray(centre) + extent)
        if box is None:
            return [[] for _ in sizes]
        local = [self.coordinates[axis][box] - np.float32(centre[axis]) for axis in range(3)]
        total = 0.0
        for axis in range(3):
            along = sum(np.float32(turn[k, axis]) * local[k] for k in range(3)) / np.float32(radii[axis])
            total = total + (along * along if exponent == 2.0 else np.abs(along) ** np.float32(exponent))
        level = total ** np.float32(1 / exponent) + np.float32(lumps) * self.noise(box)
        return [[(box, level < size)] for size in sizes]

    def tube(self, points: np.ndarray, radii: np.ndarray | float, sizes: Sequence[float] = (1.0,)) -> list[list[Piece]]:
        """Tube along ``points`` (n, 3) with ``radii`` per point; nested copies with radius times each of
        ``sizes``."""
        points = np.asarray(points, np.float64)
        radii = np.broadcast_to(np.asarray(radii, np.float64), len(points))
        pieces: list[list[Piece]] = [[] for _ in sizes]
        for a, b, radius_a, radius_b in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            thick = max(radius_a, radius_b) * max(sizes)
            box = self.box(np.minimum(a, b) - thick, np.maximum(a, b) + thick)
            if box is None:
                continue
            direction = b - a
            length = max(float(direction @ direction), 1e-6)
            local = [self.coordinates[axis][box] - np.float32(a[axis]) for axis in range(3)]
            along = sum(np.float32(direction[axis] / length) * local[axis] for axis in range(3))
            along = np.clip(along, 0, 1)
            distance = sum((local[axis] - np.float32(direction[axis]) * along) ** 2 for axis in range(3))
            radius = np.float32(radius_a) + np.float32(radius_b - radius_a) * along
            for kept, size in zip(pieces, sizes, strict=True):
                kept.append((box, distance < (radius * np.float32(size)) ** 2))
        return pieces

    def paint(self, label: int, pieces: Iterable[Piece], over: Sequence[int]) -> None:
        """Write ``label`` where a piece covers one of the labels ``over``."""
        allowed = np.zeros(int(max(self.labels.max(), *over, label)) + 1, bool)
        allowed[list(over)] = True
        for box, mask in pieces:
            part = self.labels[box]
            part[mask & allowed[part]] = label


def wander(
    rng: np.random.Generator,
    start: Sequence[float],
    heading: Sequence[float],
    steps: int,
    step: float,
    bend: float,
) -> np.ndarray:
    """A randomly bending path (steps + 1, 3) from ``start`` towards ``heading``."""
    points = [np.asarray(start, np.float64)]
    direction = np.asarray(heading, np.float64) / np.linalg.norm(heading)
    for _ in range(steps):
        direction = direction + rng.normal(0.0, bend, 3)
        direction /= np.linalg.norm(direction)
        points.append(points[-1] + step * direction)
    return np.stack(points)


def smooth_path(points: Sequence[Sequence[float]], per_segment: int = 4) -> np.ndarray:
    """Catmull-Rom curve through the points."""
    p = np.asarray(points, np.float64)
    p = np.concatenate([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, per_segment, endpoint=False)[:, None]
    curve = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True)
    ]
    return np.concatenate([*curve, p[-2:-1]])
