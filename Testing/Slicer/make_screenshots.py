"""Take the five pictures of README and tutorial: the shipped module, in the test host, on its sample scan.

    python Testing/Slicer/make_screenshots.py [--output FOLDER] [--last N]

writes 1-load.png, 2-paint.png, 3-segment.png, 4-result.png and 5-uncertainty.png, by default into
Resources/Screenshots. Each picture is what a user would see at that step: organs are painted with the mouse, buttons
are clicked, and the bundled weights compute the result, which takes about a minute. Needs what the tests in this
folder need, with a display, libEGL or libOSMesa.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "Resources" / "Screenshots"
SIZE = (1260, 870)  # of the window, pixels
PANEL_WIDTH = 460
BRUSH = 6.0  # mm
SECONDS = 600  # a run takes a few, but not on a computer that is busy
# Slicer's map of this name, which slicer-core lacks: red, green and blue at even steps.
INFERNO = ("000004", "1b0c41", "4a0c6b", "781c6d", "a52c60", "cf4446", "ed6925", "fb9b06", "f7d13d", "fcffa4")


def main() -> None:
    """Take the pictures the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=SCREENSHOTS, help="folder for the pictures")
    parser.add_argument("--last", type=int, default=len(Screenshots.STEPS), help="number of the last picture to take")
    arguments = parser.parse_args()
    sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]
    from host import canRender, startHost, whyUnavailable

    if whyUnavailable() or not canRender():
        sys.exit(whyUnavailable() or "VTK cannot draw here: install libegl1 or libosmesa6, or start with a display.")
    host = startHost()
    host.beginTest()
    for path in Screenshots(host, arguments.output).take(arguments.last):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    host.endTest()


class Screenshots:
    """A walk through the module, with a picture after each step."""

    STEPS = ("load", "paint", "segment", "result", "uncertainty")

    def __init__(self, host, folder: Path):
        """
        Args:
            host: the running host, its scene empty.
            folder: where the pictures go; it is made if need be.
        """
        self._host = host
        self._folder = folder
        self._window = host.mainWindow(None, *SIZE)
        host.qt.QMainWindow.resizeDocks(
            self._window, [self._window.findChild(host.qt.QDockWidget)], [PANEL_WIDTH], host.qt.Qt.Horizontal
        )

    def take(self, last: int = len(STEPS)) -> list[Path]:
        """Take the first ``last`` pictures. Returns their paths."""
        self._folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number, step in enumerate(self.STEPS[:last], start=1):
            getattr(self, f"_{step}")()
            paths.append(self._folder / f"{number}-{step}.png")
            self._save(paths[-1])
        return paths

    def _load(self) -> None:
        import SampleData
        import slicer

        if not hasattr(slicer.modules, "dplsegment"):
            self._host.loadModule(ROOT / "DPLSegment" / "DPLSegment.py")
        slicer.util.selectModule("DPLSegment")
        self._panel = slicer.modules.DPLSegmentWidget
        self._ui = self._panel.ui
        from DPLSegmentModule import SampleScan

        self._volume, annotation = SampleData.downloadSamples(SampleScan.ANNOTATED_SCAN)
        slicer.mrmlScene.RemoveNode(annotation)  # the organs are painted here
        self._ui.supportVolumeSelector.setCurrentNode(self._volume)
        _addInferno()

    def _paint(self) -> None:
        """Four segments, each painted with the brush; the last one but for its lower half."""
        import qt

        from DPLSegmentModule import SampleScan

        self._ui.newAnnotationButton.click()
        editor, segmentation = self._ui.segmentEditor, self._panel.parameters.supportSegmentation
        segmentation.SetName(f"{self._volume.GetName()} annotation")
        editor.findChild(qt.QDoubleSpinBox).value = BRUSH
        truth = SampleScan.annotatedScanTruth()
        for number, organ in enumerate(SampleScan.ORGANS):
            if number:
                _button(editor, "Add").click()
            segment = segmentation.GetSegmentation().GetNthSegment(number)
            segment.SetName(organ.name)
            segment.SetColor(*organ.color)
            segment.SetTag(segment.GetTerminologyEntryTagName(), organ.terminology)
            editor.setCurrentSegmentID(segmentation.GetSegmentation().GetNthSegmentID(number))
            strokes = self._strokes(truth[organ.name][SampleScan.ANNOTATED_SLICE])
            half = len(strokes) // 2 if organ is SampleScan.ORGANS[-1] else len(strokes)
            self._drag(strokes[:half])
            self._left = strokes[half:]

    def _segment(self) -> None:
        """The rest is painted, the brush put away, and the run half done."""
        self._drag(self._left)
        _button(self._ui.segmentEditor, "None").click()
        self._ui.uncertaintyCheckBox.click()
        self._host.waitUntil(lambda: self._ui.segmentButton.enabled)
        self._ui.segmentButton.click()
        self._host.waitUntil(lambda: self._ui.progressBar.value >= 50, SECONDS)

    def _result(self) -> None:
        import slicer

        self._host.waitUntil(lambda: not self._panel.runPanel.isRunning, SECONDS)
        self._ui.uncertaintyCheckBox.click()  # made by the run, shown in the next picture
        slicer.util.resetThreeDViews()
        renderer = (
            slicer.app.layoutManager().threeDWidget(0).threeDView().renderWindow().GetRenderers().GetFirstRenderer()
        )
        renderer.GetActiveCamera().Zoom(1.3)

    def _uncertainty(self) -> None:
        """The liver's own map over the slice where it is least certain, the segments as outlines."""
        import slicer

        self._ui.uncertaintyCheckBox.click()
        self._ui.uncertaintyOfComboBox.currentIndex = 1
        report = self._panel.resultPanel._shown()
        for segmentation in (self._panel.parameters.supportSegmentation, report.segmentation):
            segmentation.GetDisplayNode().SetVisibility2DFill(False)
        self._ui.resultTable.cellClicked.emit(0, 0)
        # The views have moved to the organ; the whole slices fit, too.
        manager = slicer.app.layoutManager()
        for logic in (manager.sliceWidget(name).sliceLogic() for name in manager.sliceViewNames()):
            offset = logic.GetSliceOffset()
            logic.FitSliceToBackground()
            logic.SetSliceOffset(offset)

    def _strokes(self, mask) -> list[tuple]:
        """Strokes of the brush that fill a (j, i) mask of the annotated slice: start and end of each, in pixels."""
        import numpy as np
        from scipy.ndimage import binary_erosion

        from DPLSegmentModule import SampleScan

        ijkToRAS = _matrix(self._volume)
        spacing = np.linalg.norm(ijkToRAS[:3, :3], axis=0)
        reach = BRUSH / 2
        j, i = np.mgrid[-8:9, -8:9]
        inside = binary_erosion(mask, (j * spacing[1]) ** 2 + (i * spacing[0]) ** 2 <= reach**2)
        view = _redView()

        def pixel(row, column):
            return self._host.pixelOf(view, (ijkToRAS @ [column, row, SampleScan.ANNOTATED_SLICE, 1])[:3])

        strokes = []
        for row in np.flatnonzero(inside.any(axis=1))[:: max(1, int(reach / spacing[1]))]:
            edges = np.flatnonzero(np.diff(np.pad(inside[row].astype(int), 1)))
            strokes += [(pixel(row, a), pixel(row, b - 1)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
        return strokes

    def _drag(self, strokes: list[tuple]) -> None:
        view = _redView()
        for stroke in strokes:
            self._host.drag(view, *stroke)

    def _save(self, path: Path) -> None:
        """The window as it is now, in six bits a color channel: half the size, and the same to the eye."""
        import numpy as np
        import qt

        self._host.processEvents(0.4)  # lines that follow changes with a delay
        image = self._window.grab().toImage().convertToFormat(qt.QImage.Format_RGB888)
        pixels = np.frombuffer(image.bits(), np.uint8)
        pixels &= 0b11111100
        if not image.save(str(path), "PNG", 0):  # 0: the smallest file
            raise OSError(f"{path} could not be written.")


def _redView():
    import slicer

    return slicer.app.layoutManager().sliceWidget("Red").sliceView()


def _button(widget, text: str):
    import qt

    return next(button for button in widget.findChildren(qt.QPushButton) if button.text == text)


def _matrix(volumeNode):
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _addInferno() -> None:
    import numpy as np
    import slicer

    known = np.array([[int(color[at : at + 2], 16) / 255 for at in (0, 2, 4)] for color in INFERNO])
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "Inferno")
    table.SetTypeToUser()
    table.SetNumberOfColors(256)
    places = np.linspace(0, 1, len(known))
    for index, place in enumerate(np.linspace(0, 1, 256)):
        table.SetColor(index, str(index), *(float(np.interp(place, places, channel)) for channel in known.T), 1.0)


if __name__ == "__main__":
    main()
