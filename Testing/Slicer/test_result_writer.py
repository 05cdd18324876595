"""Results in the scene: complete or not at all, beside their scan, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest
from result_scene import (
    KIDNEY,
    LEFT_HANDED,
    LIVER,
    MOVED,
    NOTHING,
    OBLIQUE,
    PLAIN,
    SHAPE,
    TUMOUR,
    resultFor,
    stylesOf,
    userSegmentation,
)
from scene_objects import (
    addNonLinearTransform,
    addSegmentation,
    addTransform,
    addVolume,
    exported,
    importable,
    matrix,
    nodeIDs,
    noise,
    shift,
    worldPoints,
)


@pytest.fixture(autouse=True)
def imports(scene, monkeypatch):
    global InputError, QueryItem, QueryResult, applyResults, SegmentStyle
    importable(monkeypatch)
    from DPLSegmentLib.errors import InputError
    from DPLSegmentModule.ResultWriter import SegmentStyle, applyResults
    from DPLSegmentModule.SegmentationJob import QueryItem, QueryResult


@pytest.mark.parametrize("ijkToRAS", [PLAIN, OBLIQUE, LEFT_HANDED], ids=["axial", "oblique", "left-handed"])
@pytest.mark.parametrize("transformed", [False, True], ids=["", "transformed"])
def test_a_new_segmentation_holds_exactly_the_masks(ijkToRAS, transformed):
    volume = addVolume(noise(SHAPE), ijkToRAS)
    if transformed:
        addTransform(shift(3, 1, 2), volume, parent=addTransform(MOVED))
    masks = [LIVER, KIDNEY, TUMOUR, NOTHING]
    (applied,) = applyResults([resultFor(volume, masks)], stylesOf("a", "b", "c", "d"))
    node = applied.segmentationNode
    for segmentID, mask in zip("abcd", masks, strict=True):
        assert np.array_equal(exported(node, segmentID, volume), mask)
    assert node.GetTransformNodeID() == volume.GetTransformNodeID()


def test_names_colours_terminology_and_all_tags_come_from_the_support():
    volume = addVolume(noise(SHAPE), PLAIN)
    styles = stylesOf("a", "b")
    (applied,) = applyResults([resultFor(volume, [LIVER, KIDNEY])], styles)
    segmentation = applied.segmentationNode.GetSegmentation()
    assert list(segmentation.GetSegmentIDs()) == ["a", "b"]
    for number, segmentID in enumerate("ab"):
        segment = segmentation.GetSegment(segmentID)
        assert segment.GetName() == f"орган {segmentID}"
        assert np.allclose(segment.GetColor(), (0.25, 0.5, 0.125 * number))
        assert segment.GetTerminology() == f"Segmentation category~SCT^{number}^Organ"
        assert SegmentStyle.of(segmentID, segment).tag("Own.Tag") == f"value {number}"


def test_a_style_outlives_its_segmentation_and_reads_back():
    style = stylesOf("a", "b")[2]
    assert style.segmentID == "b" and style.name == "орган b"
    assert style.color == pytest.approx((0.25, 0.5, 0.125))
    assert style.tag("Own.Tag") == "value 1" and style.tag("absent") == ""


def test_the_new_segmentation_is_named_placed_and_shown():
    import slicer

    volume = addVolume(noise(SHAPE), PLAIN, "Öçñ 肝臓")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "patient")
    other = addVolume(noise(SHAPE), PLAIN, "other")
    for node in (volume, other):
        item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(folder, node)
        hierarchy.SetItemParent(item, folder)
    (applied,) = applyResults([resultFor(volume, [LIVER], np.zeros(SHAPE, np.float32))], stylesOf("a"))
    node = applied.segmentationNode
    assert node.GetName() == "Öçñ 肝臓 segmentation" and applied.uncertaintyNode.GetName() == "Öçñ 肝臓 uncertainty"
    place = [hierarchy.GetItemPositionUnderParent(hierarchy.GetItemByDataNode(n)) for n in (volume, node, other)]
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == folder
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(applied.uncertaintyNode)) == folder
    assert place[0] < place[1] < place[2]
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReference(role) is volume
    display = node.GetDisplayNode()
    assert display.GetVisibility() and display.GetVisibility2DFill() and display.GetVisibility2DOutline()
    assert 0 < display.GetOpacity2DFill() < display.GetOpacity2DOutline() == 1
    assert node.GetClosedSurfaceInternalRepresentation("a").GetNumberOfPoints() > 0
    assert applied.queryNode is volume and applied.report == {"labels": {}}


def test_a_second_result_of_the_same_scan_gets_its_own_name():
    volume = addVolume(noise(SHAPE), PLAIN, "CT")
    names = [applyResults([resultFor(volume, [LIVER])], stylesOf("a"))[0].segmentationNode.GetName() for _ in range(2)]
    assert names[0] == "CT segmentation" and names[1].startswith("CT segmentation") and names[0] != names[1]


def test_no_other_node_is_left_behind():
    volume = addVolume(noise(SHAPE), PLAIN)
    styles = stylesOf("a", "b")
    before = nodeIDs()
    (applied,) = applyResults([resultFor(volume, [LIVER, KIDNEY], np.zeros(SHAPE, np.float32))], styles)
    nodes = (applied.segmentationNode, applied.uncertaintyNode)
    expected = {node.GetID() for node in nodes} | {node.GetDisplayNode().GetID() for node in nodes}
    assert nodeIDs() - before == expected


def test_segments_that_do_not_overlap_share_one_label_map():
    volume = addVolume(noise(SHAPE), PLAIN)
    (applied,) = applyResults([resultFor(volume, [LIVER, KIDNEY])], stylesOf("a", "b"))
    assert applied.segmentationNode.GetSegmentation().GetNumberOfLayers() == 1
    (applied,) = applyResults([resultFor(volume, [LIVER, KIDNEY, TUMOUR])], stylesOf("a", "b", "c"))
    assert applied.segmentationNode.GetSegmentation().GetNumberOfLayers() == 2


def test_results_of_a_large_ct_take_little_more_than_one_label_map():
    import tracemalloc

    from DPLSegmentLib.regridding import PlacedMask

    shape = (300, 512, 512)
    volume = addVolume(np.zeros(shape, np.int16), matrix((0.8, 0.8, 1.0)), "CT")
    masks = {n: PlacedMask(np.ones((20, 30, 40), bool), (25 * n, 40 * n, 45 * n)) for n in range(1, 11)}
    query = QueryItem(volume.GetID(), "CT", None)
    styles = stylesOf(*"abcdefghij")
    tracemalloc.start()
    (applied,) = applyResults([QueryResult(query, masks, None, {})], styles)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * 300 * 512 * 512
    segmentation = applied.segmentationNode.GetSegmentation()
    assert segmentation.GetNumberOfLayers() == 1 and segmentation.GetNumberOfSegments() == 10
    assert applied.segmentationNode.GetBinaryLabelmapInternalRepresentation("a").GetScalarSize() == 1
    for segmentID in "aj":
        assert len(worldPoints(applied.segmentationNode, segmentID)) == 20 * 30 * 40


# The uncertainty


def test_uncertainty_is_a_volume_with_the_scans_geometry_and_transform():
    import slicer
    import vtk

    volume = addVolume(noise(SHAPE), OBLIQUE)
    addTransform(MOVED, volume)
    values = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    (applied,) = applyResults([resultFor(volume, [LIVER], values)], stylesOf("a"))
    node = applied.uncertaintyNode
    assert np.array_equal(slicer.util.arrayFromVolume(node), values)
    found = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(found)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(found), OBLIQUE, atol=1e-9)
    assert node.GetTransformNodeID() == volume.GetTransformNodeID()


def test_a_given_uncertainty_volume_is_filled():
    import slicer

    volume = addVolume(noise(SHAPE), OBLIQUE)
    given = addVolume(noise((2, 3, 4)), PLAIN, "mine")
    values = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    (applied,) = applyResults([resultFor(volume, [LIVER], values)], stylesOf("a"), outputUncertaintyNode=given)
    assert applied.uncertaintyNode is given and given.GetName() == "mine"
    assert np.array_equal(slicer.util.arrayFromVolume(given), values)


# All or nothing


def refusal(*inputs, **named):
    before = nodeIDs()
    with pytest.raises(InputError) as caught:
        applyResults(*inputs, **named)
    assert nodeIDs() == before
    assert str(caught.value).endswith(".")
    return str(caught.value)


def test_a_deleted_query_means_nothing_is_written():
    import slicer

    kept, gone = addVolume(noise(SHAPE), PLAIN, "kept"), addVolume(noise(SHAPE), PLAIN, "gone")
    results, styles = [resultFor(kept, [LIVER]), resultFor(gone, [LIVER])], stylesOf("a")
    slicer.mrmlScene.RemoveNode(gone)
    assert "gone was deleted" in refusal(results, styles)


@pytest.mark.parametrize("withUncertainty", [False, True])
def test_a_query_that_was_cropped_meanwhile_means_nothing_is_written(withUncertainty):
    import slicer

    volume = addVolume(noise(SHAPE), PLAIN, "CT")
    uncertainty = np.zeros(SHAPE, np.float32) if withUncertainty else None
    result, styles = resultFor(volume, [LIVER], uncertainty), stylesOf("a")
    slicer.util.updateVolumeFromArray(volume, noise((4, 20, 24)))
    assert "CT was changed" in refusal([result], styles)
    volume.SetAndObserveImageData(None)
    assert "CT was changed" in refusal([result], styles)


def test_unusable_outputs_are_refused():
    import slicer
    import vtk

    volume, other = addVolume(noise(SHAPE), PLAIN, "CT"), addVolume(noise(SHAPE), PLAIN, "other")
    results, styles = [resultFor(volume, [LIVER], np.zeros(SHAPE, np.float32))], stylesOf("a")
    both = [*results, resultFor(other, [LIVER])]
    segmentation = addSegmentation(volume, {"x": KIDNEY}, "bent")
    assert "One output" in refusal(both, styles, segmentation)
    assert "overwrite the scan CT" in refusal(results, styles, None, volume)
    labels = addVolume(LIVER.astype(np.uint8), PLAIN, "labels", "vtkMRMLLabelMapVolumeNode")
    assert "labels is not a scalar volume" in refusal(results, styles, None, labels)
    assert "other is not a segmentation" in refusal(results, styles, other)
    addNonLinearTransform(segmentation, name="bend")
    assert "'bent' is under the non-linear transform 'bend'" in refusal(results, styles, segmentation)
    surfaces = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "model")
    surfaces.SetSourceRepresentationToClosedSurface()
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    surfaces.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "ball", (1, 0, 0))
    assert "'model' is stored as surfaces" in refusal(results, styles, surfaces)
    slicer.mrmlScene.RemoveNode(segmentation)
    assert "bent is no longer in the scene" in refusal(results, styles, segmentation)


def test_an_error_halfway_leaves_the_scene_as_it_was(monkeypatch):
    from DPLSegmentModule import ResultWriter

    first, second = addVolume(noise(SHAPE), PLAIN, "first"), addVolume(noise(SHAPE), PLAIN, "second")
    styles = stylesOf("a", "b")
    results = [resultFor(node, [LIVER, KIDNEY], np.zeros(SHAPE, np.float32)) for node in (first, second)]
    put, add, calls = ResultWriter.putSegment, ResultWriter.addSegments, []

    def failing(write):
        def tryToWrite(*inputs):
            write(*inputs)
            calls.append(inputs)
            if len(calls) == failAt:
                raise RuntimeError("no more memory")

        return tryToWrite

    monkeypatch.setattr(ResultWriter, "putSegment", failing(put))
    monkeypatch.setattr(ResultWriter, "addSegments", failing(add))
    before, failAt = nodeIDs(), 2
    with pytest.raises(RuntimeError, match="no more memory"):
        applyResults(results, styles)
    assert nodeIDs() == before
    node, masks = userSegmentation(first)
    calls.clear()
    failAt = 2
    with pytest.raises(RuntimeError, match="no more memory"):
        applyResults(results[:1], styles, node)
    assert list(node.GetSegmentation().GetSegmentIDs()) == ["mine", "a", "other"]
    for segmentID, mask in masks.items():
        assert np.array_equal(exported(node, segmentID, first), mask)
        assert node.GetSegmentation().GetSegment(segmentID).GetName() == f"name of {segmentID}"
