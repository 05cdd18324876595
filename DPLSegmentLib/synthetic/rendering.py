"""Images of an anatomy in CT-like, MR-like or arbitrary contrast."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .anatomy import Anatomy
from .deformation import smooth_field

CONTRASTS = ("ct", "t1", "t2", "random")
# Mean and spread between bodies, by kind; CT in HU, MR with fat near 1.
_BY_KIND = {
    "ct": {
        "organ": (75, 28),
        "vessel": (150, 55),
        "bone": (380, 90),
        "bowel": (45, 20),
        "fat": (-100, 8),
        "muscle": (58, 8),
        "skin": (10, 15),
        "air": (-920, 40),
        "fluid": (10, 8),
        "lesion": (45, 40),
        "couch": (-180, 120),
        "foam": (-880, 50),
    },
    "t1": {
        "organ": (0.5, 0.1),
        "vessel": (0.3, 0.15),
        "bone": (0.5, 0.12),
        "bowel": (0.35, 0.08),
        "fat": (0.95, 0.05),
        "muscle": (0.36, 0.05),
        "skin": (0.45, 0.1),
        "air": (0.03, 0.01),
        "fluid": (0.18, 0.05),
        "lesion": (0.35, 0.15),
        "couch": (0.02, 0.005),
        "foam": (0.02, 0.005),
    },
    "t2": {
        "organ": (0.45, 0.14),
        "vessel": (0.3, 0.2),
        "bone": (0.3, 0.1),
        "bowel": (0.45, 0.1),
        "fat": (0.4, 0.25),
        "muscle": (0.2, 0.04),
        "skin": (0.3, 0.1),
        "air": (0.03, 0.01),
        "fluid": (0.95, 0.08),
        "lesion": (0.65, 0.2),
        "couch": (0.02, 0.005),
        "foam": (0.02, 0.005),
    },
}


def draw_intensities(kinds: Mapping[int, str], rng: np.random.Generator, contrast: str) -> np.ndarray:
    """One value per label 0..max, float32: HU for ``ct``, else fat near 1; fats and muscles of one body look alike, as
    in life. ``kinds``: see ``Anatomy``."""
    values = np.zeros(max(kinds, default=0) + 1, np.float32)
    values[0] = -1000.0 if contrast == "ct" else 0.0
    shared: dict[str, float] = {}
    for label, kind in kinds.items():
        if contrast == "random":
            level, spread = rng.uniform(0.08, 1.0), 0.0
            if kind in ("air", "couch", "foam"):
                level = rng.uniform(0.0, 0.1)
        else:
            level, spread = _BY_KIND[contrast][kind]
            level = level + spread * float(rng.standard_normal())
        if kind in ("fat", "muscle", "bone", "air"):
            level = shared.setdefault(kind, level) + 0.15 * spread * float(rng.standard_normal())
        values[label] = level
    return values


def _blur(image: np.ndarray, sigma: tuple[float, float, float]) -> np.ndarray:
    """Gaussian blur, sigma in voxels (slice, row, column)."""
    variance = [max(s, 1e-3) ** 2 for s in sigma[::-1]]
    blurred = sitk.DiscreteGaussian(sitk.GetImageFromArray(image), variance, 9, 0.03, False)
    return sitk.GetArrayFromImage(blurred)


def render(anatomy: Anatomy, seed: int, contrast: str = "ct") -> np.ndarray:
    """Image float32 (slice, row, column) of an anatomy.

    ``contrast``: 'ct' in Hounsfield-like units, 't1', 't2' or 'random' in arbitrary units from 0 to about 1,
    each with texture, partial volume, noise, and for the latter three a bias field. Raises InputError for
    another contrast.
    """
    if contrast not in CONTRASTS:
        raise InputError(f"The contrast '{contrast}' is not known; use one of {', '.join(CONTRASTS)}.")
    rng = np.random.default_rng([seed, 3])
    shape, spacing = anatomy.labels.shape, anatomy.spacing
    values = draw_intensities(anatomy.kinds, rng, contrast)
    image = values[anatomy.labels]
    unit = 400.0 if contrast == "ct" else 1.0
    texture = smooth_field(rng, shape, spacing, 7.0 + 2 * max(spacing[1:])) * rng.uniform(0.008, 0.03)
    gain = rng.uniform(0.3, 1.5, values.size).astype(np.float32)
    gain[0] = 0.0
    image = image + unit * texture * gain[anatomy.labels]
    bone = np.isin(anatomy.labels, [label for label, kind in anatomy.kinds.items() if kind == "bone"])
    # Dense cortex shows around marrow: where the blurred bone mask is thin.
    edge = rng.uniform(0.3, 0.9) if contrast == "ct" else -rng.uniform(0.1, 0.3)
    inside = _blur(bone.astype(np.float32), (0.6, 1.4, 1.4))
    image = np.where(bone, image + unit * edge * (1 - inside), image)
    image = _blur(image.astype(np.float32), (0.35, rng.uniform(0.45, 0.9), rng.uniform(0.45, 0.9)))
    if contrast == "ct":
        noise = rng.standard_normal(shape, dtype=np.float32)
        image += rng.uniform(6, 20) * noise + rng.uniform(0, 6) * _streaks(rng, shape)
        return np.clip(image, -1024, 3071)
    extent = max(n * s for n, s in zip(shape[1:], spacing[1:], strict=True))
    bias = np.exp(rng.uniform(0.05, 0.3) * np.clip(smooth_field(rng, shape, spacing, extent / 2.5), -2, 2))
    image = np.clip(image, 0, None) * bias
    if rng.random() < 0.4:
        ghost = int(rng.integers(shape[1] // 8, shape[1] // 3))
        image += rng.uniform(0.01, 0.04) * np.roll(image, ghost, axis=1)
    sigma = rng.uniform(0.01, 0.05)
    real = image + sigma * rng.standard_normal(shape, dtype=np.float32)
    return np.hypot(real, sigma * rng.standard_normal(shape, dtype=np.float32)).astype(np.float32)


def _streaks(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Faint left-right streaks, another pattern on each slice."""
    lines = rng.standard_normal((shape[0], shape[1], 1), dtype=np.float32)
    fade = np.cos(np.linspace(-1.2, 1.2, shape[2], dtype=np.float32))
    return lines * fade
