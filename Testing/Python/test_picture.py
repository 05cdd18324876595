from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DPLSegmentLib.annotation import interpret_annotation
from DPLSegmentLib.geometry import Volume, slice_frame
from DPLSegmentLib.picture import write_picture
from DPLSegmentLib.segments import Segment


def test_the_picture_shows_grey_slices_with_the_labels_colours(tmp_path):
    k, j, i = np.mgrid[:14, :64, :72]
    ball = ((k - 7) / 4) ** 2 + ((j - 32) / 9) ** 2 + ((i - 24) / 9) ** 2 < 1
    noise = np.random.default_rng(0).normal(0, 8, k.shape)
    scan = Volume(noise + 150 * ball, np.diag([2.0, 2.0, 5.0, 1.0]))
    labels = np.where(ball, 4, 0).astype(np.uint16)
    drawn = np.where(k == 7, labels, 0)
    path = tmp_path / "ü.png"
    write_picture(
        path,
        scan,
        slice_frame(scan, 2),
        interpret_annotation(drawn, scan),
        labels,
        [Segment(4, "a", (1.0, 0.0, 0.0))],
    )
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(int)
    assert pixels.ndim == 3 and pixels.shape[2] == 3
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 4
    red = (pixels == (255, 0, 0)).all(axis=2)
    for panel in range(8):
        row, column = divmod(panel, 4)
        assert red[row * height : (row + 1) * height, column * width : (column + 1) * width].any(), panel
    grey = (pixels[..., 0] == pixels[..., 1]) & (pixels[..., 1] == pixels[..., 2])
    assert grey.mean() > 0.8
