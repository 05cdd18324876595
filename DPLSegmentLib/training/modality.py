"""What kind of scan it is: CT in Hounsfield units, or anything else; and where the body is in either."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..errors import InputError
from ..preprocessing import intensity_map

HU_RANGE = (-1000.0, 1500.0)
OBJECT_WINDOW = (-160.0, 240.0)
AIR_THRESHOLD = -300.0
SMALLEST_BODY = 0.15  # of the volume; where less is brighter than the background, the scan shows no background


def is_hounsfield(array: np.ndarray) -> bool:
    """Whether a scan is a CT in Hounsfield units: air and soft tissue are both where they belong.

    Only CT has air around -1000 beside soft tissue around 0. A CT with an offset (stored from 0) looks like an MR scan
    and is never guessed; it needs ``hu_offset``. A CT that shows no air at all is treated like any other scan.
    """
    step = max(1, array.size // 1_000_000)
    sample = np.asarray(array).ravel()[::step]
    air = float((sample < -850).mean())
    soft = float(((sample > -150) & (sample < 200)).mean())
    # 4095 and above may be metal in a CT; below -4000 there is no air any more.
    return air >= 0.01 and soft >= 0.03 and float(sample.min()) > -5000


def clipped_hu(array: np.ndarray, offset: float) -> np.ndarray:
    """Stored values plus ``offset``, as HU in -1000..1500, float32."""
    return np.clip(array.astype(np.float32) + np.float32(offset), *HU_RANGE)


def body_mask(image: np.ndarray, threshold: float) -> np.ndarray:
    """Largest connected part above ``threshold`` with its in-slice holes (lungs, bowel gas) filled; (S, H, W)
    bool. Raises InputError where nothing is above it."""
    above = ndimage.binary_opening(image > threshold, np.ones((1, 3, 3), bool))
    parts, count = ndimage.label(above)
    if count == 0:
        raise InputError("No body was found in the scan: all of it lies below the air threshold.")
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    body = parts == sizes.argmax()
    for plane in body:
        ndimage.binary_fill_holes(ndimage.binary_closing(plane, np.ones((5, 5), bool)) | plane, output=plane)
    return body


def faint_body_mask(image: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Body mask of a scan without an intensity scale, such as MR; (S, H, W) bool.

    Background is noise around a low level and fat or bowel may be almost as dark, so the threshold separates signal
    from noise rather than tissue from tissue: Otsu's on the smoothed logarithm. Gaps up to about 2 cm (dark bowel,
    lungs, suppressed fat) are closed. All true where the scan shows no background to speak of.
    """
    sigma = [0.0, *(2.5 / step for step in spacing[1:])]
    smooth = ndimage.gaussian_filter(image.astype(np.float32), sigma)
    low, high = np.percentile(smooth, [0.5, 99.5])
    if not high > low:
        return np.ones(image.shape, bool)
    level = np.log(np.clip((smooth - low) / (high - low), 0, 1) + 0.01)
    threshold = sitk.OtsuThresholdImageFilter()
    threshold.Execute(sitk.GetImageFromArray(level))
    above = level > threshold.GetThreshold()
    if above.mean() > 0.97:
        return np.ones(image.shape, bool)
    parts, count = ndimage.label(above)
    if count == 0:
        return np.ones(image.shape, bool)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    body = parts == sizes.argmax()
    radius = max(1, round(10.0 / min(spacing[1:])))
    disk = np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius
    for plane in body:
        padded = np.pad(plane, radius + 1)
        closed = ndimage.binary_fill_holes(ndimage.binary_closing(padded, disk))
        plane |= closed[radius + 1 : -radius - 1, radius + 1 : -radius - 1]
    return body if body.mean() >= SMALLEST_BODY else np.ones(image.shape, bool)


def tissue_contrast(image: np.ndarray, hounsfield: bool) -> np.ndarray:
    """The image in which pseudo-objects are looked for, float32, the range of interest at 0..1."""
    if not hounsfield:
        return intensity_map(image)(image)
    low, high = OBJECT_WINDOW
    # Beyond the window everything is lung or bone: flattened, or marrow and cortex become separate segments.
    return np.clip((image - low) / (high - low), -0.25, 1.15)
