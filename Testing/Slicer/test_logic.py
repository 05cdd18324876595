"""The logic on real nodes: background runs, with the real library too, and cancelling."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest
from fake_segmenter import FakeSegmenter
from logic_scene import (
    Installed,
    Nodes,
    Run,
    addSegmentation,
    addVolume,
    ballScan,
    contents,
    dice,
    maskOf,
    oneSlice,
    quick,
)
from scene_objects import addNonLinearTransform, importable


@pytest.fixture(autouse=True)
def imports(host, monkeypatch):
    """The module's parts exist only once the host has been started."""
    global slicer, vtk, Messages, DPLSegmentLogic, InputError
    importable(monkeypatch)
    import slicer
    import vtk

    from DPLSegmentLib.errors import InputError
    from DPLSegmentModule import Messages
    from DPLSegmentModule.DPLSegmentLogic import DPLSegmentLogic


@pytest.fixture
def nodes(scene):
    return Nodes()


# ---- background runs


def test_results_are_written_when_the_run_is_complete(host, nodes):
    logic, segmenter = quick(seconds=0.2)
    before = contents(slicer.mrmlScene)
    run = Run(host, logic, logic.prepareJob(**nodes.inputs(queryVolumeNode=[nodes.scan, nodes.other])))
    assert logic.isRunning and contents(slicer.mrmlScene) == before
    name, applied = run.toEnd()
    assert name == "finished" and not logic.isRunning
    assert [result.queryNode for result in applied] == [nodes.scan, nodes.other]
    assert threading.main_thread() not in segmenter.threads
    logic.undo()
    assert set(contents(slicer.mrmlScene)) >= set(before) and not logic.canUndo()


def test_second_start_is_refused(host, nodes):
    logic, _segmenter = quick(seconds=30)
    prepared = logic.prepareJob(**nodes.inputs())
    run = Run(host, logic, prepared)
    for start in (
        lambda: logic.startBackgroundRun(prepared),
        lambda: logic.prepareJob(**nodes.inputs()),
        lambda: logic.segment(**nodes.inputs()),
    ):
        with pytest.raises(InputError) as raised:
            start()
        assert str(raised.value) == Messages.ALREADY_RUNNING
    run.run.cancel()
    assert run.toEnd() == ("cancelled",)
    logic.prepareJob(**nodes.inputs())


def test_missing_torch_stops_before_the_run(host, nodes):
    logic = DPLSegmentLogic(Installed("Install it."), FakeSegmenter().load)
    with pytest.raises(InputError, match=r"^Install it\.$"):
        Run(host, logic, logic.prepareJob(**nodes.inputs()))
    assert not logic.isRunning


def test_cancelled_run_leaves_the_scene_as_it_was(host, nodes):
    logic, _segmenter = quick(seconds=30)
    before = contents(slicer.mrmlScene)
    run = Run(host, logic, logic.prepareJob(**nodes.inputs(createUncertainty=True)))
    host.processEvents(0.2)
    run.run.cancel()
    assert run.toEnd(2) == ("cancelled",)
    assert contents(slicer.mrmlScene) == before


def test_query_deleted_during_the_run(host, nodes):
    logic, _segmenter = quick(seconds=30)
    run = Run(host, logic, logic.prepareJob(**nodes.inputs(queryVolumeNode=nodes.other)))
    host.processEvents(0.1)
    slicer.mrmlScene.RemoveNode(nodes.other)
    again = addVolume("again", ballScan()[0])  # may get the same ID
    before = contents(slicer.mrmlScene)
    assert run.toEnd(3) == ("failed", Messages.QUERY_GONE.format(name="other"))
    assert contents(slicer.mrmlScene) == before and again.GetName() == "again"


def test_one_of_two_queries_deleted_during_the_run(host, nodes):
    logic, _segmenter = quick(seconds=0.3)
    run = Run(host, logic, logic.prepareJob(**nodes.inputs(queryVolumeNode=[nodes.scan, nodes.other])))
    slicer.mrmlScene.RemoveNode(nodes.other)
    name, applied = run.toEnd()
    assert name == "finished" and [result.queryNode for result in applied] == [nodes.scan]
    assert run.run.notes == [Messages.QUERY_GONE.format(name="other")]


def test_query_whose_image_was_replaced_during_the_run(host, nodes):
    logic, _segmenter = quick(seconds=0.3)
    run = Run(host, logic, logic.prepareJob(**nodes.inputs()))
    slicer.util.updateVolumeFromArray(nodes.scan, ballScan((6, 40, 40))[0])
    assert run.toEnd() == ("failed", Messages.QUERY_CHANGED.format(name="scan"))


def flipVoxels(nodes):
    array = slicer.util.arrayFromVolume(nodes.scan)
    array[:] = array[::-1].copy()
    slicer.util.arrayFromVolumeModified(nodes.scan)


@pytest.mark.parametrize(
    "change",
    [
        flipVoxels,
        # The same size, as when a sequence goes on to its next time point.
        lambda nodes: slicer.util.updateVolumeFromArray(nodes.scan, ballScan(seed=9)[0]),
        lambda nodes: nodes.scan.SetSpacing(1.0, 1.0, 6.0),
        lambda nodes: nodes.scan.SetAndObserveImageData(None),
    ],
)
def test_query_with_other_voxels_at_the_end_of_the_run(host, nodes, change):
    logic, _segmenter = quick(seconds=0.3)
    run = Run(host, logic, logic.prepareJob(**nodes.inputs()))
    change(nodes)
    before = contents(slicer.mrmlScene)
    assert run.toEnd() == ("failed", Messages.QUERY_CHANGED.format(name="scan"))
    assert contents(slicer.mrmlScene) == before


def test_the_result_follows_a_query_that_was_moved_during_the_run(host, nodes, tmp_path):
    logic, _segmenter = quick(seconds=0.3)
    run = Run(host, logic, logic.prepareJob(**nodes.inputs()))
    turn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turn")
    matrix = vtk.vtkTransform()
    matrix.RotateZ(30)
    matrix.Translate(5, -8, 20)
    turn.SetMatrixTransformToParent(matrix.GetMatrix())
    nodes.scan.SetAndObserveTransformNodeID(turn.GetID())
    # Looking at a scan and saving it are no changes.
    nodes.scan.GetImageData().GetScalarRange()
    nodes.scan.GetDisplayNode().SetWindowLevel(100, 50)
    assert slicer.util.saveNode(nodes.scan, str(tmp_path / "scan.nrrd"))
    name, applied = run.toEnd()
    assert name == "finished" and applied[0].segmentationNode.GetTransformNodeID() == turn.GetID()
    expected = np.broadcast_to(oneSlice(nodes.ball).any(axis=0), nodes.ball.shape)
    assert np.array_equal(maskOf(applied[0].segmentationNode, "ball", nodes.scan), expected)


def test_a_scan_that_was_warped_during_the_run_does_not_cost_the_others(host, nodes):
    logic, _segmenter = quick(seconds=0.3)
    run = Run(host, logic, logic.prepareJob(**nodes.inputs(queryVolumeNode=[nodes.scan, nodes.other])))
    addNonLinearTransform(nodes.other)
    name, applied = run.toEnd()
    assert name == "finished" and [result.queryNode for result in applied] == [nodes.scan]
    assert len(run.run.notes) == 1 and "'other' is under the non-linear transform" in run.run.notes[0]


def test_support_deleted_during_the_run_does_not_matter(host, nodes):
    logic, _segmenter = quick(seconds=0.3)
    run = Run(host, logic, logic.prepareJob(**nodes.inputs(queryVolumeNode=nodes.other)))
    slicer.mrmlScene.RemoveNode(nodes.annotation)
    slicer.mrmlScene.RemoveNode(nodes.scan)
    name, applied = run.toEnd()
    assert name == "finished"
    assert applied[0].segmentationNode.GetSegmentation().GetSegment("ball").GetName() == "Ball"


def test_output_deleted_during_the_run_is_made_anew(host, nodes):
    logic, _segmenter = quick(seconds=0.3)
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "output")
    run = Run(host, logic, logic.prepareJob(**nodes.inputs(outputSegmentationNode=output)))
    slicer.mrmlScene.RemoveNode(output)
    name, applied = run.toEnd()
    assert name == "finished" and applied[0].segmentationNode is not output


def test_scene_closed_during_the_run(host, nodes):
    logic, segmenter = quick(seconds=30)
    run = Run(host, logic, logic.prepareJob(**nodes.inputs()))
    host.processEvents(0.1)
    host.closeScene()
    assert run.toEnd(2) == ("cancelled",)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert not logic.canUndo() and not logic.isRunning


def test_unusable_scan_among_several_is_named_and_the_others_are_written(host, nodes):
    logic, segmenter = quick()
    compute = segmenter.segment

    def segment(query=None, **keywords):
        if query is not None:
            raise InputError("It shows something else.")
        return compute(query, **keywords)

    segmenter.segment = segment
    queries = [nodes.scan, nodes.other]
    run = Run(host, logic, logic.prepareJob(**nodes.inputs(queryVolumeNode=queries)))
    name, applied = run.toEnd()
    assert name == "finished" and len(applied) == 1
    assert run.run.notes == [Messages.QUERY_FAILED.format(name="other", reason="It shows something else.")]


def test_network_is_kept_between_clicks_until_options_or_scene_change(host, nodes):
    logic, segmenter = quick()
    for changes, loaded in [({}, 1), ({}, 1), ({"seed": 3}, 2), ({"seed": 3}, 2), ({"variants": 4}, 3)]:
        logic.segment(**nodes.inputs(**changes))
        assert len(segmenter.options) == loaded
    host.closeScene()
    logic.segment(**Nodes().inputs(variants=4))
    assert len(segmenter.options) == 4


def test_network_that_fell_back_to_the_cpu_is_not_kept(host, nodes):
    logic, segmenter = quick(note="Continuing on the CPU.")
    for loaded in (1, 2):
        run = Run(host, logic, logic.prepareJob(**nodes.inputs()))
        assert run.toEnd()[0] == "finished"
        assert run.run.notes == ["Continuing on the CPU."] and len(segmenter.options) == loaded


def test_network_of_a_thread_that_was_left_behind_is_not_shared(host, nodes):
    logic, segmenter = quick(seconds=1.5, stubborn=True)
    run = Run(host, logic, logic.prepareJob(**nodes.inputs()))
    host.processEvents(0.1)
    run.run.cancel()
    assert run.toEnd(2) == ("cancelled",) and run.run.isThreadAlive
    second = Run(host, logic, logic.prepareJob(**nodes.inputs()))
    assert second.toEnd()[0] == "finished"
    assert len(segmenter.options) == 2


def observersOf(scene):
    """How many there are for the closing of the scene."""
    return str(scene).count(f"Event: {slicer.vtkMRMLScene.StartCloseEvent}\n")


def test_scene_does_not_keep_the_logic_alive(host, nodes):
    gc.collect()  # logics of other tests
    observers = observersOf(slicer.mrmlScene)
    logic, _segmenter = quick()
    assert observersOf(slicer.mrmlScene) > observers
    logic.segment(**nodes.inputs())
    reference = weakref.ref(logic)
    del logic
    gc.collect()
    assert reference() is None
    assert observersOf(slicer.mrmlScene) == observers
    host.closeScene()


# ---- with the real library


def test_real_run_in_the_background(host, nodes):
    logic = DPLSegmentLogic()
    run = Run(host, logic, logic.prepareJob(**nodes.inputs(createUncertainty=True)))
    name, applied = run.toEnd()
    assert name == "finished", run.calls[-1]
    result = applied[0]
    assert dice(maskOf(result.segmentationNode, "ball", nodes.scan), nodes.ball) > 0.85
    assert np.array_equal(maskOf(result.segmentationNode, "ball", nodes.scan)[5], nodes.ball[5]), "the annotated slice"
    uncertainty = slicer.util.arrayFromVolume(result.uncertaintyNode)
    assert uncertainty.shape == nodes.ball.shape and 0 <= uncertainty.min() < uncertainty.max() <= 1
    fractions = [call[1] for call in run.calls if call[0] == "progress"]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_real_run_is_the_same_in_the_background_and_in_the_console(host, nodes):
    logic = DPLSegmentLogic()
    waited = logic.segment(**nodes.inputs(queryVolumeNode=nodes.other))
    run = Run(host, logic, logic.prepareJob(**nodes.inputs(queryVolumeNode=nodes.other)))
    background = run.toEnd()[1][0].segmentationNode
    assert np.array_equal(maskOf(waited, "ball", nodes.other), maskOf(background, "ball", nodes.other))


def test_real_uncertainty_of_one_segment_is_that_of_the_library(scene, nodes):
    from DPLSegmentLib import OneShotSegmenter
    from DPLSegmentModule.SupportReader import readSupport

    logic = DPLSegmentLogic()
    logic.segment(**nodes.inputs(createUncertainty=True))
    (whole,) = (node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if "uncert" in node.GetName())
    assert logic.segmentsWithUncertainty(whole) == {"ball"}
    found = slicer.util.arrayFromVolume(logic.segmentUncertainty(whole, "ball"))
    data = readSupport(nodes.scan, nodes.annotation)
    segmenter = OneShotSegmenter.load()
    segmenter.set_support(data.volume, data.masks)
    (label,) = data.masks
    expected = segmenter.segment().label_uncertainty(label)
    assert expected.max() > 0.2 and np.array_equal(found, expected)
    logic.forget()
    assert logic.segmentsWithUncertainty(whole) == {"ball"}  # it is in the scene


@pytest.mark.parametrize("when", [0.05, 0.6])
def test_real_run_is_cancelled_within_a_second_and_leaves_the_scene_as_it_was(host, scene, when):
    image, ball = ballScan((60, 128, 128))
    scan = addVolume("large scan", image, (3.0, 3.0, 4.0))
    annotation = addSegmentation("annotation", scan, {f"ball {n}": oneSlice(ball, 20 + 7 * n) for n in range(4)})
    logic = DPLSegmentLogic()
    prepared = logic.prepareJob(
        queryVolumeNode=scan, supportVolumeNode=scan, supportSegmentationNode=annotation, createUncertainty=True
    )
    before = contents(scene)
    run = Run(host, logic, prepared)
    started = time.monotonic()
    host.waitUntil(lambda: run.calls and run.calls[-1][1] >= when, 120)
    assert run.run.isRunning, "the run was over before it could be cancelled"
    cancelled = time.monotonic()
    run.run.cancel()
    assert run.toEnd(5) == ("cancelled",)
    latency = time.monotonic() - cancelled - 0.05
    print(f"cancelled at {when:.0%} after {cancelled - started:.1f} s: stopped in {latency:.2f} s")
    assert latency < 1.0
    assert contents(scene) == before
