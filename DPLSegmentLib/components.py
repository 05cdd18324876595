"""Connected components, where one organ is known to be one piece."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor


def largest_component(mask: Tensor, dilate: int = 0) -> Tensor:
    """The largest 26-connected part of a boolean (N, H, W) mask, grown by ``dilate`` voxels; all False if empty."""
    image = sitk.GetImageFromArray(mask.cpu().numpy().astype(np.uint8))
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(image, True), sortByObjectSize=True)
    largest = parts == 1
    if dilate:
        largest = sitk.BinaryDilate(largest, [dilate] * 3)
    return torch.from_numpy(sitk.GetArrayFromImage(largest).astype(bool)).to(mask.device)
