"""The logic on real nodes: what is checked before a run, background runs with the real library, cancelling."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from fake_segmenter import FakeSegmenter
from logic_scene import addSegmentation, addVolume, ballScan, contents, dice, maskOf, oneSlice
from scene_objects import addNonLinearTransform

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def imports(host, monkeypatch):
    """The module's parts exist only once the host has been started."""
    global slicer, vtk, Messages, DPLSegmentLogic, InputError
    monkeypatch.syspath_prepend(str(CHECKOUT / "DPLSegment"))
    import slicer
    import vtk

    from DPLSegmentLib.errors import InputError
    from DPLSegmentModule import Messages
    from DPLSegmentModule.DPLSegmentLogic import DPLSegmentLogic


class Nodes:
    """A scan with an annotated ball, and another scan."""

    def __init__(self):
        image, self.ball = ballScan()
        self.scan = addVolume("scan", image)
        self.annotation = addSegmentation("annotation", self.scan, {"ball": oneSlice(self.ball)})
        self.other = addVolume("other", ballScan(seed=1, shift=(0.1, 0.1, 0.0))[0])

    def inputs(self, **changes):
        chosen = {
            "queryVolumeNode": self.scan,
            "supportVolumeNode": self.scan,
            "supportSegmentationNode": self.annotation,
        }
        return {**chosen, **changes}


@pytest.fixture
def nodes(scene):
    return Nodes()


class Installed:
    """PyTorch that is there; counts how often it was asked for."""

    def __init__(self, problem=""):
        self.problem, self.asked = problem, 0

    def ensure(self, askConfirmation=True):
        self.asked += 1
        if self.problem:
            raise InputError(self.problem)


class Run:
    """A background run and what came of it."""

    def __init__(self, host, logic, prepared):
        self.host, self.calls = host, []
        self.run = logic.startBackgroundRun(
            prepared,
            lambda fraction, message: self.calls.append(("progress", fraction, message)),
            lambda applied: self.calls.append(("finished", applied)),
            lambda message: self.calls.append(("failed", message)),
            lambda: self.calls.append(("cancelled",)),
        )

    def toEnd(self, seconds=120):
        self.host.waitUntil(lambda: not self.run.isRunning, seconds)
        self.host.processEvents(0.05)
        return self.calls[-1]


def quick(**options):
    """A logic whose network computes nothing, and that network."""
    segmenter = FakeSegmenter(**options)
    return DPLSegmentLogic(Installed(), segmenter.load), segmenter


# ---- what is checked before a run


def reasons(nodes):
    """Name, inputs and the expected sentence of everything that can be wrong."""
    colors = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    image = vtk.vtkImageData()
    image.SetDimensions(4, 4, 4)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    colors.SetAndObserveImageData(image)
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing")
    unpainted = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "unpainted")
    unpainted.GetSegmentation().AddEmptySegment("ball")
    removed = addVolume("removed", ballScan()[0])
    slicer.mrmlScene.RemoveNode(removed)
    warped = addVolume("warped", ballScan()[0])
    warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", "warp")
    grid = slicer.vtkOrientedGridTransform()
    displacement = vtk.vtkImageData()
    displacement.SetDimensions(2, 2, 2)
    displacement.AllocateScalars(vtk.VTK_DOUBLE, 3)
    displacement.GetPointData().GetScalars().Fill(1.5)
    grid.SetDisplacementGridData(displacement)
    warp.SetAndObserveTransformFromParent(grid)
    warped.SetAndObserveTransformNodeID(warp.GetID())
    surfaces = addSegmentation("surfaces", nodes.scan, {"liver": nodes.ball})
    surfaces.CreateClosedSurfaceRepresentation()
    surfaces.GetSegmentation().SetSourceRepresentationName("Closed surface")
    warpedOutput = addSegmentation("bent", nodes.scan, {"liver": nodes.ball})
    warpedOutput.SetAndObserveTransformNodeID(warp.GetID())
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    return {
        "no query": ({"queryVolumeNode": None}, Messages.NO_QUERY),
        "no queries": ({"queryVolumeNode": []}, Messages.NO_QUERY),
        "query without image": ({"queryVolumeNode": empty}, Messages.QUERY_EMPTY.format(name="nothing")),
        "colour query": ({"queryVolumeNode": colors}, "photo"),
        "query that is a segmentation": (
            {"queryVolumeNode": nodes.annotation},
            Messages.QUERY_NOT_A_VOLUME.format(name="annotation"),
        ),
        "query twice": ({"queryVolumeNode": [nodes.other] * 2}, Messages.QUERY_TWICE.format(name="other")),
        "removed query": ({"queryVolumeNode": removed}, Messages.NODE_NOT_IN_SCENE.format(name="removed")),
        "warped query": ({"queryVolumeNode": warped}, "non-linear"),
        "no annotation": ({"supportSegmentationNode": None}, Messages.NO_SUPPORT_SEGMENTATION),
        "annotation that is a scan": (
            {"supportSegmentationNode": nodes.other},
            Messages.SUPPORT_NOT_A_SEGMENTATION.format(name="other"),
        ),
        "unpainted annotation": ({"supportSegmentationNode": unpainted}, "Nothing is painted yet"),
        "scan without image": ({"supportVolumeNode": empty}, Messages.SUPPORT_EMPTY.format(name="nothing")),
        "annotated segmentation": (
            {"supportVolumeNode": nodes.annotation},
            Messages.SUPPORT_NOT_A_VOLUME.format(name="annotation"),
        ),
        "result over the annotation": ({"outputSegmentationNode": nodes.annotation}, Messages.OUTPUT_IS_SUPPORT),
        "result into a scan": (
            {"outputSegmentationNode": nodes.other},
            Messages.OUTPUT_NOT_A_SEGMENTATION.format(name="other"),
        ),
        "one output for two": (
            {"queryVolumeNode": [nodes.scan, nodes.other], "outputSegmentationNode": unpainted},
            Messages.ONE_OUTPUT_FOR_SEVERAL,
        ),
        "uncertainty over the scan": (
            {"outputUncertaintyNode": nodes.scan},
            Messages.OUTPUT_IS_INPUT_VOLUME.format(name="scan"),
        ),
        "uncertainty into a segmentation": (
            {"outputUncertaintyNode": unpainted},
            Messages.OUTPUT_NOT_A_VOLUME.format(name="unpainted"),
        ),
        "result into surfaces": (
            {"outputSegmentationNode": surfaces},
            "The output segmentation 'surfaces' is stored as surfaces; choose another one.",
        ),
        "result into a warped segmentation": (
            {"outputSegmentationNode": warpedOutput},
            "'bent' is under the non-linear",
        ),
        "uncertainty into a label map": (
            {"outputUncertaintyNode": labels},
            Messages.OUTPUT_NOT_A_VOLUME.format(name="labels"),
        ),
        "weights that are not there": (
            {"weightsPath": "/no such folder/ä.pt"},
            "The weights file '/no such folder/ä.pt' cannot be read; check the path.",
        ),
        "no node at all": ({"queryVolumeNode": "scan"}, Messages.QUERY_NOT_A_VOLUME.format(name="'scan'")),
    }


def test_everything_wrong_is_one_sentence_and_changes_nothing(nodes):
    logic, segmenter = quick()
    cases = reasons(nodes)
    before = contents(slicer.mrmlScene)
    for case, (changes, expected) in cases.items():
        with pytest.raises(InputError) as raised:
            logic.segment(**nodes.inputs(**changes))
        sentence = str(raised.value)
        assert expected in sentence and sentence.endswith(".") and "\n" not in sentence, case
        assert isinstance(raised.value, ValueError)
    assert contents(slicer.mrmlScene) == before
    assert segmenter.options == [] and logic.dependencies.asked == 0, "PyTorch was asked for in vain"


def test_reason_for_the_button_is_the_sentence_of_the_click(nodes):
    logic, _segmenter = quick()
    assert logic.reasonNotReady(nodes.scan, nodes.annotation, [nodes.scan, nodes.other]) == ""
    for case, (changes, expected) in reasons(nodes).items():
        inputs = nodes.inputs(**changes)
        queries = inputs["queryVolumeNode"]
        reason = logic.reasonNotReady(
            inputs["supportVolumeNode"],
            inputs["supportSegmentationNode"],
            queries if isinstance(queries, list) else [queries],
            inputs.get("outputSegmentationNode"),
            inputs.get("outputUncertaintyNode"),
            inputs.get("weightsPath"),
        )
        assert expected in reason, case


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "0", True])
def test_impossible_seed(nodes, seed):
    logic, _segmenter = quick()
    with pytest.raises(InputError, match="seed"):
        logic.segment(**nodes.inputs(seed=seed))


def test_too_little_memory_is_told_before_anything_is_copied(nodes, monkeypatch):
    from DPLSegmentLib import resources

    logic, _segmenter = quick()
    monkeypatch.setattr(resources, "available_memory", lambda: 2**20)
    with pytest.raises(InputError, match="GiB"):
        logic.prepareJob(**nodes.inputs())
    # Enough for each of them alone, but not for all copies and results together.
    needed = resources.estimate_memory([(12, 48, 48)] * 2, 1)
    monkeypatch.setattr(resources, "available_memory", lambda: needed)
    logic.prepareJob(**nodes.inputs(queryVolumeNode=nodes.other))
    with pytest.raises(InputError, match="2 scans"):
        logic.prepareJob(**nodes.inputs(queryVolumeNode=[nodes.scan, nodes.other]))


def test_job_holds_copies_and_the_support_only_once(nodes):
    logic, _segmenter = quick()
    prepared = logic.prepareJob(**nodes.inputs(queryVolumeNode=[nodes.scan, nodes.other]))
    assert [query.volume is None for query in prepared.job.queries] == [True, False]
    before = prepared.job.queries[1].volume.array.copy()
    slicer.util.arrayFromVolume(nodes.other)[:] = 7
    assert np.array_equal(prepared.job.queries[1].volume.array, before)


def test_summary_is_computed_again_only_after_a_change(nodes):
    from DPLSegmentModule.SupportReader import summarizeSupport
    from DPLSegmentModule.SupportSummaryCache import SupportSummaryCache

    calls = []
    cache = SupportSummaryCache(lambda *arguments: calls.append(arguments) or summarizeSupport(*arguments))
    for _n in range(3):
        assert cache.get(nodes.scan, nodes.annotation).segments[0].slices == (5,)
    assert len(calls) == 1

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "shift")
    changes = [
        lambda: nodes.annotation.GetDisplayNode().SetSegmentVisibility("ball", False),
        lambda: nodes.annotation.GetDisplayNode().SetSegmentVisibility("ball", True),
        lambda: nodes.annotation.SetAndObserveTransformNodeID(transform.GetID()),
        lambda: nodes.annotation.GetSegmentation().GetSegment("ball").SetName("sphere"),
        lambda: nodes.scan.SetSpacing(4.0, 4.0, 6.5),
    ]
    for number, change in enumerate(changes, start=2):
        change()
        for _n in range(2):
            try:
                cache.get(nodes.scan, nodes.annotation)
            except InputError:
                assert number == 2, "only hiding the only segment makes the annotation unusable"
        assert len(calls) == number


def test_painting_another_slice_is_seen(nodes):
    logic, _segmenter = quick()
    assert logic.supportText(nodes.scan, nodes.annotation) == "Ball: slice 5"
    labelmap = nodes.annotation.GetBinaryLabelmapInternalRepresentation("ball")
    painted = slicer.util.arrayFromSegmentInternalBinaryLabelmap(nodes.annotation, "ball")
    painted[:] = 0
    labelmap.Modified()
    assert "slice 5" not in logic.supportText(nodes.scan, nodes.annotation)


def test_line_about_the_support_says_what_is_missing(nodes):
    logic, _segmenter = quick()
    assert logic.supportText(None, nodes.annotation) == Messages.NO_SUPPORT_VOLUME
    assert logic.supportText(nodes.scan, None) == Messages.NO_SUPPORT_SEGMENTATION


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
