"""How good a segmentation is: overlap and surface distances against a reference."""

from __future__ import annotations

from .metrics import dice, hausdorff95, surface_dice

__all__ = ["dice", "hausdorff95", "surface_dice"]
