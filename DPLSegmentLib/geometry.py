"""Where voxels are in the patient: one volume type, and one canonical way to look at its slices.

World coordinates are RAS in mm (x to the patient's right, y anterior, z superior) everywhere in this library.
Files and SimpleITK speak LPS; the conversion happens in :meth:`Volume.from_sitk` and :meth:`Volume.to_sitk`
and nowhere else.

Index order: IJK means (i, j, k) with i fastest, as in files; numpy arrays are (k, j, i), so IJK axis ``a`` is
numpy axis ``2 - a``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import SimpleITK as sitk

from .errors import InputError

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Two directions closer than this (as cosines) count as equally good: file formats keep single precision.
_COSINE_DIGITS = 5


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar 3-D image and its place in the patient.

    ``array`` is (k, j, i) and real; ``ijk_to_world`` is (4, 4) float64 and maps (i, j, k, 1) to RAS mm;
    ``name`` is used in messages.
    """

    array: np.ndarray
    ijk_to_world: np.ndarray
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", np.asarray(self.array))
        object.__setattr__(self, "ijk_to_world", np.array(self.ijk_to_world, dtype=np.float64))

    @property
    def spacing(self) -> np.ndarray:
        """(3,) float64: voxel size in mm along i, j, k."""
        return np.sqrt((self.ijk_to_world[:3, :3] ** 2).sum(axis=0))

    @property
    def shape_ijk(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        k, j, i = self.array.shape
        return i, j, k

    @classmethod
    def from_sitk(cls, image: sitk.Image, name: str = "") -> Volume:
        """Volume of a scalar 3-D SimpleITK image (LPS). Raises InputError for any other kind of image."""
        label = _quoted(name)
        if image.GetDimension() != 3:
            raise InputError(f"The image{label} is {image.GetDimension()}-D; give a single 3-D scan.")
        if "complex" in image.GetPixelIDTypeAsString():
            raise InputError(f"The image{label} has complex voxels; give its magnitude as a real 3-D scan.")
        if image.GetNumberOfComponentsPerPixel() != 1 or "vector" in image.GetPixelIDTypeAsString():
            raise InputError(
                f"The image{label} has {image.GetNumberOfComponentsPerPixel()} values per voxel; "
                "give a scan with one grey value per voxel."
            )
        lps = np.eye(4)
        lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
        lps[:3, 3] = image.GetOrigin()
        return cls(sitk.GetArrayFromImage(image), _LPS_RAS @ lps, name)

    def to_sitk(self) -> sitk.Image:
        """The same voxels and place as a SimpleITK image (LPS); booleans become uint8, half floats single."""
        array = self.array
        if array.dtype == bool:
            array = array.astype(np.uint8)
        elif array.dtype == np.float16:
            array = array.astype(np.float32)
        image = sitk.GetImageFromArray(np.ascontiguousarray(array))
        lps = _LPS_RAS @ self.ijk_to_world
        image.SetOrigin(lps[:3, 3].tolist())
        image.SetSpacing(self.spacing.tolist())
        image.SetDirection((lps[:3, :3] / self.spacing).ravel().tolist())
        return image

    def validate(self) -> None:
        """Raise InputError unless this is a real, finite, non-constant 3-D image with an invertible frame."""
        label = _quoted(self.name)
        array, matrix = self.array, self.ijk_to_world
        if array.dtype.kind not in "biuf":
            raise InputError(f"The volume{label} has voxels of type {array.dtype}; give real numbers.")
        if array.ndim != 3:
            raise InputError(f"The volume{label} has {array.ndim} array axes; give a single 3-D scan.")
        if array.size == 0:
            raise InputError(f"The volume{label} has no voxels (size {self.shape_ijk}); give another scan.")
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise InputError(f"The volume{label} has no usable 4 x 4 matrix from voxels to the patient; repair it.")
        edges = self.spacing.prod()
        if edges <= 0 or abs(np.linalg.det(matrix[:3, :3])) < 1e-4 * edges:
            raise InputError(f"The volume{label} has axis directions that cannot be inverted; repair its orientation.")
        low, high = array.min(), array.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError(f"The volume{label} has NaN or infinite voxels; replace them with a background value.")
        if low == high:
            raise InputError(f"The volume{label} has the same value everywhere; give a scan that shows something.")


@dataclass(frozen=True)
class SliceFrame:
    """Turns a (k, j, i) array into (slice, row, column) with axes along canonical patient directions.

    It only transposes and flips, so it loses nothing and :meth:`invert` undoes it exactly. Made by
    :func:`slice_frame`.
    """

    axes: tuple[int, int, int]  # numpy axes of (k, j, i) that become (slice, row, column)
    flips: tuple[bool, bool, bool]  # whether each resulting axis is reversed
    spacing: tuple[float, float, float]  # mm along (slice, row, column)
    slice_axis: int  # IJK axis of the slices: 0 = i, 1 = j, 2 = k
    slice_count: int

    def apply(self, array: np.ndarray) -> np.ndarray:
        """(k, j, i) -> (slice, row, column), contiguous."""
        return np.ascontiguousarray(np.transpose(array, self.axes)[self._reversal()])

    def invert(self, array: np.ndarray) -> np.ndarray:
        """(slice, row, column) -> (k, j, i), contiguous."""
        return np.ascontiguousarray(np.transpose(array[self._reversal()], np.argsort(self.axes)))

    def slice_index(self, ijk_index: int) -> int:
        """Position in this frame of the slice with this index along the volume's own slice axis."""
        return self.slice_count - 1 - ijk_index if self.flips[0] else ijk_index

    def ijk_index(self, frame_index: int) -> int:
        """Index along the volume's own slice axis of the slice at this position in the frame."""
        return self.slice_index(frame_index)  # a flip is its own inverse

    def _reversal(self) -> tuple[slice, slice, slice]:
        first, second, third = (slice(None, None, -1 if flip else 1) for flip in self.flips)
        return first, second, third


def world_axes(volume: Volume) -> tuple[int, int, int]:
    """World axis (0 = R, 1 = A, 2 = S) closest to each of i, j, k: the assignment with the largest sum of
    |cosines|.

    Ties (exactly diagonal scans) are broken by the directions themselves, never by the order of the axes, so
    a re-oriented copy of a volume gets the same answer for the same physical axis.
    """
    directions = _directions(volume)

    def preference(order: tuple[int, ...]) -> tuple:
        # order[w] is the IJK axis that takes world axis w.
        score = sum(abs(directions[w, axis]) for w, axis in enumerate(order))
        return (round(score, _COSINE_DIGITS), *(_unsigned(directions[:, axis]) for axis in order))

    best = max(permutations(range(3)), key=preference)
    return best.index(0), best.index(1), best.index(2)


def slice_frame(volume: Volume, slice_axis: int) -> SliceFrame:
    """The canonical way to look at ``volume`` slice by slice along IJK axis ``slice_axis``.

    Slices increase towards R, A or S. Rows run along the later of the two remaining world axes and columns
    along the earlier one, both towards its negative end: superior or anterior is the top row, and columns
    increase towards the patient's left (towards posterior on sagittal slices). A re-oriented copy of a volume
    gives the identical (slice, row, column) array.
    """
    world = world_axes(volume)
    in_plane = sorted((axis for axis in range(3) if axis != slice_axis), key=lambda axis: -world[axis])
    ijk_axes = (slice_axis, *in_plane)
    directions = _directions(volume)
    rising = [_points_along(directions[:, axis], world[axis]) for axis in ijk_axes]
    row_axis, column_axis = in_plane
    spacing = volume.spacing
    return SliceFrame(
        axes=(2 - slice_axis, 2 - row_axis, 2 - column_axis),
        flips=(not rising[0], rising[1], rising[2]),
        spacing=(float(spacing[slice_axis]), float(spacing[row_axis]), float(spacing[column_axis])),
        slice_axis=slice_axis,
        slice_count=volume.shape_ijk[slice_axis],
    )


def matching_slice_axis(query: Volume, support: Volume, support_slice_axis: int) -> int:
    """IJK axis of ``query`` whose world direction is closest to the support's slice axis."""
    target = _directions(support)[:, support_slice_axis]
    directions = _directions(query)
    return max(
        range(3),
        key=lambda axis: (
            round(abs(float(directions[:, axis] @ target)), _COSINE_DIGITS),
            _unsigned(directions[:, axis]),
        ),
    )


def _directions(volume: Volume) -> np.ndarray:
    """(3, 3): unit world directions of i, j, k as columns."""
    return volume.ijk_to_world[:3, :3] / volume.spacing


def _unsigned(direction: np.ndarray) -> tuple[float, ...]:
    """A direction without its sign, as a sortable key that is the same for an axis and its reverse."""
    key = tuple(round(float(value), _COSINE_DIGITS) + 0.0 for value in direction)
    negated = tuple(-value + 0.0 for value in key)
    return max(key, negated)


def _points_along(direction: np.ndarray, world_axis: int) -> bool:
    """Whether an axis runs towards the positive end of its world axis (its key decides if perpendicular)."""
    cosine = round(float(direction[world_axis]), _COSINE_DIGITS)
    if cosine == 0:
        return tuple(round(float(value), _COSINE_DIGITS) + 0.0 for value in direction) == _unsigned(direction)
    return cosine > 0


def _quoted(name: str) -> str:
    return f" '{name}'" if name else ""
