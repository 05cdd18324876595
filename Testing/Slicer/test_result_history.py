"""Undo of results: one step per run, and no more than what the run wrote."""

from __future__ import annotations

import numpy as np
import pytest
from scene_objects import (
    addSegmentation,
    addTransform,
    addVolume,
    box,
    exported,
    importable,
    matrix,
    nodeIDs,
    noise,
    shift,
)

SHAPE = (8, 20, 24)
PLAIN = matrix((2.0, 2.0, 5.0), (30.0, 20.0, -10.0))
LIVER = box(SHAPE, (1, 7), (4, 12), (5, 15))
KIDNEY = box(SHAPE, (2, 7), (13, 18), (16, 20))
MINE = box(SHAPE, (2, 6), (2, 6), (16, 22))
OLD = box(SHAPE, (0, 8), (8, 10), (8, 10))


@pytest.fixture(autouse=True)
def history(scene, monkeypatch):
    global QueryItem, QueryResult, applyResults, readStyles
    importable(monkeypatch)
    from DPLSegmentModule.ResultHistory import ResultHistory
    from DPLSegmentModule.ResultWriter import applyResults, readStyles
    from DPLSegmentModule.SegmentationJob import QueryItem, QueryResult

    return ResultHistory()


def apply(history, volumes, masks, *outputs, uncertainty=None):
    """Segments "a", "b", ... of the run."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    for segmentID, _mask in zip("ab", masks, strict=False):
        node.GetSegmentation().AddEmptySegment(segmentID, f"new {segmentID}", (1, 1, 0))
    styles = readStyles(node, dict(enumerate("ab"[: len(masks)], start=1)))
    slicer.mrmlScene.RemoveNode(node)
    results = [
        QueryResult(QueryItem(v.GetID(), v.GetName(), None), dict(enumerate(masks, start=1)), uncertainty, {})
        for v in volumes
    ]
    applied = applyResults(results, styles, *outputs)
    history.add(applied)
    return applied


def state(node, volume):
    segmentation = node.GetSegmentation()
    return {
        segmentID: (
            segmentation.GetSegment(segmentID).GetName(),
            tuple(segmentation.GetSegment(segmentID).GetColor()),
            exported(node, segmentID, volume).tobytes(),
        )
        for segmentID in segmentation.GetSegmentIDs()
    }


def test_nothing_to_undo_at_first(history):
    assert not history.canUndo() and history.undo() is False


def test_new_nodes_of_all_scans_go_in_one_step(history):
    volumes = [addVolume(noise(SHAPE), PLAIN, name) for name in ("one", "two")]
    before = nodeIDs()
    apply(history, volumes, [LIVER, KIDNEY], uncertainty=np.zeros(SHAPE, np.float32))
    assert len(nodeIDs() - before) == 8  # two segmentations, two volumes, a display node each
    assert history.canUndo() and history.undo() is True
    assert nodeIDs() == before and not history.canUndo()


@pytest.mark.parametrize("collapse", [True, False], ids=["shared", "separate"])
def test_an_updated_segmentation_comes_back_bit_for_bit(history, collapse):
    volume = addVolume(noise(SHAPE), PLAIN)
    node = addSegmentation(volume, {"mine": MINE, "a": OLD})
    if collapse:
        node.GetSegmentation().CollapseBinaryLabelmaps(False)
    node.CreateClosedSurfaceRepresentation()
    before = state(node, volume)
    apply(history, [volume], [LIVER, KIDNEY], node)
    assert state(node, volume) != before
    history.undo()
    assert state(node, volume) == before
    assert node.GetClosedSurfaceInternalRepresentation("a").GetNumberOfPoints() > 0


def test_a_users_edit_of_another_segment_after_the_run_survives_undo(history):
    import slicer

    volume = addVolume(noise(SHAPE), PLAIN)
    node = addSegmentation(volume, {"mine": MINE, "a": OLD})
    apply(history, [volume], [LIVER], node)
    edited = MINE | box(SHAPE, (0, 2), (0, 2), (0, 2))
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited.astype(np.uint8), node, "mine", volume)
    history.undo()
    assert np.array_equal(exported(node, "mine", volume), edited)
    assert np.array_equal(exported(node, "a", volume), OLD)


def test_runs_into_the_same_node_are_taken_back_one_by_one(history):
    volume = addVolume(noise(SHAPE), PLAIN)
    before = nodeIDs()
    (first,) = apply(history, [volume], [LIVER])
    node = first.segmentationNode
    apply(history, [volume], [KIDNEY], node)
    apply(history, [volume], [OLD, MINE], node)
    history.undo()
    assert list(node.GetSegmentation().GetSegmentIDs()) == ["a"]
    assert np.array_equal(exported(node, "a", volume), KIDNEY)
    history.undo()
    assert np.array_equal(exported(node, "a", volume), LIVER)
    history.undo()
    assert nodeIDs() == before


def test_transform_and_geometry_of_an_output_come_back(history):
    import slicer

    first, second = addVolume(noise(SHAPE), PLAIN, "1"), addVolume(noise((4, 5, 6)), PLAIN, "2")
    addTransform(shift(1, 2, 3), second)
    node = addSegmentation(first, {"a": LIVER})
    transform = addTransform(shift(0, 2, 0), node)
    apply(history, [second], [np.ones((4, 5, 6), bool)], node)
    assert node.GetTransformNodeID() == second.GetTransformNodeID()
    history.undo()
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    assert node.GetTransformNodeID() == transform.GetID() and node.GetNodeReference(role) is first
    node.SetAndObserveTransformNodeID(None)
    assert np.array_equal(exported(node, "a", first), LIVER)


def test_a_given_uncertainty_volume_gets_its_voxels_back(history):
    import slicer

    volume, given = addVolume(noise(SHAPE), PLAIN), addVolume(noise((2, 3, 4)), PLAIN @ shift(1, 0, 0), "mine")
    apply(history, [volume], [LIVER], None, given, uncertainty=np.ones(SHAPE, np.float32))
    history.undo()
    assert np.array_equal(slicer.util.arrayFromVolume(given), noise((2, 3, 4)))


def test_segments_that_the_user_added_to_a_new_result_are_kept(history):
    import slicer

    volume = addVolume(noise(SHAPE), PLAIN)
    addTransform(shift(1, 2, 3), volume)
    (applied,) = apply(history, [volume], [LIVER])
    node = applied.segmentationNode
    node.GetSegmentation().AddEmptySegment("own", "own")
    slicer.util.updateSegmentBinaryLabelmapFromArray(MINE.astype(np.uint8), node, "own", volume)
    history.undo()
    assert list(node.GetSegmentation().GetSegmentIDs()) == ["own"]
    assert np.array_equal(exported(node, "own", volume), MINE)


def test_nodes_that_are_gone_are_passed_over(history):
    import slicer

    volumes = [addVolume(noise(SHAPE), PLAIN, name) for name in ("one", "two")]
    before = nodeIDs()
    one, two = apply(history, volumes, [LIVER], uncertainty=np.zeros(SHAPE, np.float32))
    slicer.mrmlScene.RemoveNode(one.segmentationNode)
    assert history.canUndo()
    slicer.mrmlScene.RemoveNode(two.uncertaintyNode)
    history.undo()
    assert {n for n in nodeIDs() - before if "Display" not in n} == set()
    (gone,) = apply(history, volumes[:1], [LIVER])
    slicer.mrmlScene.RemoveNode(gone.segmentationNode)
    assert not history.canUndo() and not history.undo()


def test_undo_after_the_scene_was_closed_does_nothing(host, history):
    volume = addVolume(noise(SHAPE), PLAIN)
    apply(history, [volume], [LIVER], addSegmentation(volume, {"a": OLD, "mine": MINE}))
    host.closeScene()
    assert not history.canUndo() and not history.undo()
    history.clear()


def test_only_the_latest_steps_are_kept(history):
    volume = addVolume(noise(SHAPE), PLAIN)
    node = addSegmentation(volume, {"a": OLD, "mine": MINE})
    for _ in range(12):
        apply(history, [volume], [LIVER], node)
    count = 0
    while history.undo():
        count += 1
    assert count == 10
