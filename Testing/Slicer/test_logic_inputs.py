"""What the logic checks on real nodes before a run, and what it says about the annotation."""

from __future__ import annotations

import numpy as np
import pytest
from logic_scene import (
    Nodes,
    addSegmentation,
    addVolume,
    ballScan,
    contents,
    quick,
)
from scene_objects import importable


@pytest.fixture(autouse=True)
def imports(host, monkeypatch):
    """The module's parts exist only once the host has been started."""
    global slicer, vtk, Messages, InputError
    importable(monkeypatch)
    import slicer
    import vtk

    from DPLSegmentLib.errors import InputError
    from DPLSegmentModule import Messages


@pytest.fixture
def nodes(scene):
    return Nodes()


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
