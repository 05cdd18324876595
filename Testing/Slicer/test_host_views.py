"""Pictures of the real slice and 3-D views, and painting with real mouse events."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("rendering")


def _rotation(first: float, second: float) -> np.ndarray:
    c, s, u, v = np.cos(first), np.sin(first), np.cos(second), np.sin(second)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, u, -v], [0, v, u]])


GEOMETRIES = {
    "usual": np.diag([-1.0, -1.0, 2.5]),
    "flipped": np.diag([1.2, -0.9, -3.0]),
    "sheared axes order": np.array([[0, 0, 3.0], [-1.0, 0, 0], [0, -1.0, 0]]),
    "oblique": _rotation(0.4, 0.3) @ np.diag([-1.2, -0.9, 3.0]),
}


def _ijkToRAS(name: str) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = GEOMETRIES[name]
    matrix[:3, 3] = [10, -20, 5]
    return matrix


def _addVolume(ijkToRAS):
    import slicer

    voxels = np.random.default_rng(0).integers(0, 100, (20, 40, 50)).astype(np.int16)
    return slicer.util.addVolumeFromArray(voxels, ijkToRAS=ijkToRAS, name="CT")


@pytest.fixture
def makeEditor(host, scene):
    """A segment editor in the main window, with one segment on a volume of the given geometry."""
    import slicer

    def make(geometry="usual"):
        volume = _addVolume(_ijkToRAS(geometry))
        segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        editor = slicer.qMRMLSegmentEditorWidget()
        editor.setMRMLSegmentEditorNode(scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
        editor.setMRMLScene(scene)
        editor.setSegmentationNode(segmentation)
        editor.setSourceVolumeNode(volume)
        host.mainWindow(editor)
        editor.editorLogic().AddEmptySegment("liver")
        editor.setCurrentSegmentID("liver")
        editor.setActiveEffectByName("Paint")
        slicer.util.setSliceViewerLayers(background=volume, fit=True, rotateToVolumePlane=True)
        return editor

    return make


def _mask(editor) -> np.ndarray:
    import slicer

    return slicer.util.arrayFromSegmentBinaryLabelmap(editor.segmentationNode(), "liver", editor.sourceVolumeNode()) > 0


def _jumpTo(ras) -> None:
    import slicer

    slicer.modules.markups.logic().JumpSlicesToLocation(*ras, False)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_click_paints_the_voxel_under_the_pointer(host, makeEditor, geometry):
    editor = makeEditor(geometry)
    editor.activeEffect().setParameter("BrushAbsoluteDiameter", 0.1)
    ras = (_ijkToRAS(geometry) @ [20, 12, 7, 1])[:3]
    _jumpTo(ras)
    for name in ("Red", "Green", "Yellow"):
        view = host.sliceView(name)
        host.drag(view, host.pixelOf(view, ras))
        assert np.argwhere(_mask(editor)).tolist() == [[7, 12, 20]], name


@pytest.mark.parametrize("geometry", ["flipped", "oblique"])
def test_a_drag_paints_a_stroke_in_one_slice_of_the_volume(host, makeEditor, geometry):
    editor = makeEditor(geometry)
    matrix = _ijkToRAS(geometry)
    editor.activeEffect().setParameter("BrushAbsoluteDiameter", 4)
    start, end = ((matrix @ [i, j, 7, 1])[:3] for i, j in ((12, 9), (36, 25)))
    _jumpTo(start)
    view = host.sliceView("Red")
    host.drag(view, host.pixelOf(view, start), host.pixelOf(view, end))
    mask = _mask(editor)
    assert set(np.argwhere(mask)[:, 0]) == {7}
    for share in np.linspace(0, 1, 20):
        i, j = np.rint(np.array([12, 9]) + share * np.array([24, 16])).astype(int)
        assert mask[7, j, i]
    points = (matrix @ np.c_[np.argwhere(mask)[:, ::-1], np.ones(mask.sum())].T)[:3].T
    along = np.clip((points - start) @ (end - start) / np.sum((end - start) ** 2), 0, 1)
    assert np.linalg.norm(points - (start + along[:, None] * (end - start)), axis=1).max() < 2 + 0.5


def test_painting_follows_a_transform_above_volume_and_segmentation(host, scene, makeEditor):
    import slicer

    editor = makeEditor("oblique")
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    shift = np.eye(4)
    shift[:3, :3] = _rotation(-0.2, 0.5)
    shift[:3, 3] = [3, 40, -7]
    slicer.util.updateTransformMatrixFromArray(transform, shift)
    for node in (editor.sourceVolumeNode(), editor.segmentationNode()):
        node.SetAndObserveTransformNodeID(transform.GetID())
    slicer.util.setSliceViewerLayers(background=editor.sourceVolumeNode(), fit=True, rotateToVolumePlane=True)
    editor.activeEffect().setParameter("BrushAbsoluteDiameter", 0.1)
    ras = (shift @ _ijkToRAS("oblique") @ [20, 12, 7, 1])[:3]
    _jumpTo(ras)
    view = host.sliceView("Red")
    host.drag(view, host.pixelOf(view, ras))
    assert np.argwhere(_mask(editor)).tolist() == [[7, 12, 20]]


def test_erase_undo_and_redo(host, makeEditor):
    editor = makeEditor()
    ras = (_ijkToRAS("usual") @ [20, 12, 7, 1])[:3]
    _jumpTo(ras)
    view = host.sliceView("Red")
    host.drag(view, host.pixelOf(view, ras))
    painted = _mask(editor)
    assert painted.sum() > 20
    editor.setActiveEffectByName("Erase")
    host.drag(view, host.pixelOf(view, ras))
    assert not _mask(editor).any()
    editor.undo()
    assert (_mask(editor) == painted).all()
    editor.undo()
    assert not _mask(editor).any()
    editor.redo()
    assert (_mask(editor) == painted).all()


def test_nothing_is_painted_without_an_effect_or_after_the_observations_are_removed(host, makeEditor):
    editor = makeEditor()
    view = host.sliceView("Red")
    center = (view.width / 2, view.height / 2)
    editor.setActiveEffect(None)
    host.drag(view, center)
    editor.setActiveEffectByName("Paint")
    editor.removeViewObservations()
    host.drag(view, center)
    assert not _mask(editor).any()
    editor.setupViewObservations()
    host.drag(view, center)
    assert _mask(editor).any()


def test_the_slice_view_shows_the_volume_and_the_colour_of_the_segment(host, makeEditor):
    editor = makeEditor()
    editor.segmentationNode().GetSegmentation().GetSegment("liver").SetColor(1, 0, 0)
    editor.activeEffect().setParameter("BrushAbsoluteDiameter", 20)
    ras = (_ijkToRAS("usual") @ [25, 20, 7, 1])[:3]
    _jumpTo(ras)
    view = host.sliceView("Red")
    before = view.picture().astype(int)
    assert before.std() > 10
    assert np.abs(before[..., 0] - before[..., 1]).max() < 5
    host.drag(view, host.pixelOf(view, ras))
    after = view.picture().astype(int)
    x, y = (round(value) for value in host.pixelOf(view, ras))
    assert after[y, x, 0] - after[y, x, 1] > 60
    red = after[..., 0] - after[..., 1] > 60
    assert 0.5 < red.sum() / (np.pi * (10 * view.width / view.mrmlSliceNode().GetFieldOfView()[0]) ** 2) < 1.5


def test_the_3d_view_shows_the_closed_surface(host, makeEditor):
    import slicer

    editor = makeEditor()
    host.mainWindow()
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    empty = view.picture().astype(int)
    mask = np.zeros((20, 40, 50), np.uint8)
    mask[5:15, 10:30, 10:40] = 1
    segmentation = editor.segmentationNode()
    segmentation.GetSegmentation().GetSegment("liver").SetColor(1, 0, 0)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, "liver", editor.sourceVolumeNode())
    segmentation.CreateClosedSurfaceRepresentation()
    slicer.util.resetThreeDViews()
    shown = view.picture().astype(int)
    assert (empty[..., 0] - empty[..., 2]).max() < 0
    assert ((shown[..., 0] - shown[..., 2]) > 100).mean() > 0.05


def test_the_main_window_shows_panel_and_views_in_one_picture(host, makeEditor):
    import slicer

    makeEditor()
    window = host.mainWindow(width=1000, height=700)
    assert slicer.util.mainWindow() is window
    picture = window.grab()
    assert (picture.width(), picture.height()) == (1000, 700)
    image = picture.toImage()
    colors = {image.pixelColor(x, y).name() for x in range(0, 1000, 9) for y in range(0, 700, 9)}
    assert len(colors) > 50


def _legends(host) -> list[str]:
    """Names of the slice views that draw a color legend."""
    import slicer

    (legend,) = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    drawn = []
    for name in ("Red", "Green", "Yellow"):
        manager = host.sliceView(name).displayableManagerByClassName("vtkMRMLColorLegendDisplayableManager")
        if manager.GetColorLegendActor(legend).GetVisibility():
            drawn.append(name)
    return drawn


@pytest.mark.parametrize("closed", [False, True])
def test_a_color_legend_is_drawn_in_the_views_that_show_its_volume(host, scene, makeEditor, closed):
    import slicer

    makeEditor()
    if closed:
        host.closeScene()
        slicer.util.setSliceViewerLayers(background=_addVolume(_ijkToRAS("usual")), fit=True)
    (volume,) = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    volume.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeRainbow")
    slicer.app.layoutManager().sliceWidget("Green").mrmlSliceCompositeNode().SetBackgroundVolumeID(None)
    view = host.sliceView("Red")
    before = view.picture()
    slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(volume).SetVisibility(True)
    assert _legends(host) == ["Red", "Yellow"]
    changed = (view.picture() != before).any(axis=(0, 2))
    assert changed[view.width // 2 :].sum() > 20 and not changed[: view.width // 2].any()


def test_views_still_work_after_the_scene_was_closed(host, makeEditor):
    import slicer

    makeEditor()
    host.closeScene()
    view = host.sliceView("Red")
    assert view.picture().max() < 10
    slicer.util.setSliceViewerLayers(background=_addVolume(_ijkToRAS("usual")), fit=True)
    assert view.picture().std() > 10
