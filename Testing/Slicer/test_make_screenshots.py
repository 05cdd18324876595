"""The pictures of the documentation can be taken again; the first two, which need no result, are."""

from __future__ import annotations

import numpy as np
import pytest
from make_screenshots import SIZE, Screenshots

pytestmark = pytest.mark.usefixtures("rendering", "scene")


def test_the_scan_is_shown_and_organs_are_painted(host, tmp_path, monkeypatch):
    from PySide6.QtGui import QImage

    drag = Screenshots._drag
    monkeypatch.setattr(Screenshots, "_drag", lambda self, strokes: drag(self, strokes[:2]))  # the others take long
    shots = Screenshots(host, tmp_path / "pictures")
    paths = shots.take(last=2)
    assert [path.name for path in paths] == ["1-load.png", "2-paint.png"]
    scan, painted = (QImage(str(path)).convertToFormat(QImage.Format_RGB888) for path in paths)
    assert (painted.width(), painted.height()) == SIZE
    # what was painted is colored in the slice views, and nothing was before
    colors = [_colorOf(picture) for picture in (scan, painted)]
    assert colors[1] - colors[0] > 500, colors
    shots._drag(shots._left)
    summary = shots._ui.supportSummaryLabel
    host.waitUntil(lambda: "left kidney: slice 27" in summary.text, 5)
    assert summary.text.count("slice 27") == 4 and shots._ui.segmentButton.enabled


def _colorOf(picture) -> int:
    """Number of colored pixels of the red slice view."""
    pixels = np.frombuffer(picture.constBits(), np.uint8).reshape(picture.height(), -1)[:, : 3 * picture.width()]
    view = pixels.reshape(picture.height(), -1, 3)[30:400, 480:850].astype(int)
    return int((np.ptp(view, axis=2) > 25).sum())
