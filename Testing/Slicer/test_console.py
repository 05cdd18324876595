"""The module as it is used from the Python console, with the real library."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_segmenter import FakeSegmenter
from logic_scene import addSegmentation, addVolume, ballScan, contents, dice, maskOf, oneSlice

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def console(module):
    """What somebody at the console has: slicer, and a scene with an annotated scan and another one."""
    module.enter()
    import slicer

    image, ball = ballScan()
    scan = addVolume("scan", image)
    annotation = addSegmentation("annotation", scan, {"ball": oneSlice(ball)})
    otherImage, otherBall = ballScan(seed=1, shift=(0.1, 0.1, 0.0))
    other = addVolume("other", otherImage)
    return {"slicer": slicer, "scan": scan, "annotation": annotation, "other": other, "balls": (ball, otherBall)}


def test_three_lines_segment_another_scan(console):
    code = """
logic = slicer.util.getModuleLogic("DPLSegment")
result = logic.segment(queryVolumeNode=other, supportVolumeNode=scan, supportSegmentationNode=annotation)
name = result.GetName()
"""
    exec(code, console)
    assert console["name"] == "other segmentation"
    found = maskOf(console["result"], "ball", console["other"])
    assert dice(found, console["balls"][1]) > 0.7


def test_library_is_importable(console):
    exec("import DPLSegmentLib; version = DPLSegmentLib.__version__", console)
    assert console["version"]


def test_logic_is_that_of_the_panel(console):
    slicer = console["slicer"]
    assert slicer.util.getModuleLogic("DPLSegment") is slicer.util.getModuleWidget("DPLSegment").logic


def test_only_keywords_are_accepted(console):
    logic = console["slicer"].util.getModuleLogic("DPLSegment")
    with pytest.raises(TypeError):
        logic.segment(console["other"], console["annotation"], console["scan"])


def test_support_is_found_when_it_is_not_named(console):
    logic = console["slicer"].util.getModuleLogic("DPLSegment")
    # The annotation knows the scan it was painted on, so another scan may be the query.
    segmenter = FakeSegmenter()
    logic = type(logic)(segmenterFactory=segmenter.load)
    logic.segment(queryVolumeNode=console["other"], supportSegmentationNode=console["annotation"])
    assert segmenter.support.name == "scan"
    # Without that, the query itself is the annotated scan.
    console["annotation"].SetNodeReferenceID("referenceImageGeometryRef", None)
    logic.segment(queryVolumeNode=console["scan"], supportSegmentationNode=console["annotation"])
    assert segmenter.support.name == "scan" and segmenter.queries[-1] is None


def test_list_of_scans_gives_a_list_of_results(console):
    logic = console["slicer"].util.getModuleLogic("DPLSegment")
    told = []
    results = logic.segment(
        queryVolumeNode=[console["scan"], console["other"]],
        supportVolumeNode=console["scan"],
        supportSegmentationNode=console["annotation"],
        progressCallback=lambda fraction, message: told.append((fraction, message)),
    )
    assert [result.GetName() for result in results] == ["scan segmentation", "other segmentation"]
    scores = [
        dice(maskOf(result, "ball", console[name]), ball)
        for result, name, ball in zip(results, ("scan", "other"), console["balls"], strict=True)
    ]
    assert min(scores) > 0.7, scores
    fractions = [fraction for fraction, _message in told]
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)
    assert any("other" in message for _fraction, message in told)


def test_result_into_an_existing_segmentation_leaves_its_other_segments(console):
    import slicer

    theirs = np.zeros(console["balls"][0].shape, bool)
    theirs[2:4, 3:9, 3:9] = True
    output = addSegmentation("mine", console["scan"], {"theirs": theirs})
    logic = slicer.util.getModuleLogic("DPLSegment")
    result = logic.segment(
        queryVolumeNode=console["scan"],
        supportSegmentationNode=console["annotation"],
        outputSegmentationNode=output,
    )
    assert result is output
    assert np.array_equal(maskOf(output, "theirs", console["scan"]), theirs)
    assert dice(maskOf(output, "ball", console["scan"]), console["balls"][0]) > 0.85


def test_cancelling_raises_and_changes_nothing(console):
    from DPLSegmentLib.errors import Cancelled

    logic = console["slicer"].util.getModuleLogic("DPLSegment")
    before = contents(console["slicer"].mrmlScene)
    asked = []
    with pytest.raises(Cancelled):
        logic.segment(
            queryVolumeNode=console["other"],
            supportVolumeNode=console["scan"],
            supportSegmentationNode=console["annotation"],
            shouldCancel=lambda: asked.append(1) or len(asked) > 5,
        )
    assert contents(console["slicer"].mrmlScene) == before
    assert not logic.isRunning


@pytest.mark.parametrize("wrong", ["device", "weights", "variants"])
def test_librarys_sentence_comes_through_and_nothing_changes(console, tmp_path, wrong):
    logic = console["slicer"].util.getModuleLogic("DPLSegment")
    before = contents(console["slicer"].mrmlScene)
    options, expected = {
        "device": ({"device": "abacus"}, "abacus"),
        "weights": ({"weightsPath": str(tmp_path / "Gewichte für Ö.pt")}, "Gewichte für Ö.pt"),
        "variants": ({"variants": 1000}, "1000"),
    }[wrong]
    with pytest.raises(ValueError) as raised:
        logic.segment(queryVolumeNode=console["scan"], supportSegmentationNode=console["annotation"], **options)
    assert expected in str(raised.value) and str(raised.value).endswith(".")
    assert contents(console["slicer"].mrmlScene) == before


def test_failure_in_a_list_writes_nothing(console):
    from DPLSegmentLib.errors import InputError

    logic = console["slicer"].util.getModuleLogic("DPLSegment")
    segmenter = FakeSegmenter()
    logic = type(logic)(segmenterFactory=segmenter.load)
    compute = segmenter.segment

    def segment(query=None, **keywords):
        if query is not None:
            raise InputError("It shows something else.")
        return compute(query, **keywords)

    segmenter.segment = segment
    before = contents(console["slicer"].mrmlScene)
    with pytest.raises(InputError, match="It shows something else"):
        logic.segment(
            queryVolumeNode=[console["scan"], console["other"]],
            supportSegmentationNode=console["annotation"],
        )
    assert contents(console["slicer"].mrmlScene) == before


def test_unexpected_error_is_a_sentence_and_a_traceback_in_the_log(console, caplog):
    logic = console["slicer"].util.getModuleLogic("DPLSegment")
    logic = type(logic)(segmenterFactory=FakeSegmenter(error=KeyError("organ")).load)
    with pytest.raises(ValueError, match="KeyError") as raised:
        logic.segment(queryVolumeNode=console["scan"], supportSegmentationNode=console["annotation"])
    assert isinstance(raised.value.__cause__, KeyError)
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("layout", ["checkout", "installed"])
def test_library_is_found_in_both_layouts(tmp_path, layout):
    folder = CHECKOUT / "DPLSegment"
    if layout == "installed":
        folder = tmp_path / "qt-scripted-modules"
        shutil.copytree(CHECKOUT / "DPLSegment" / "DPLSegmentModule", folder / "DPLSegmentModule")
        shutil.copytree(CHECKOUT / "DPLSegmentLib", folder / "DPLSegmentLib", ignore=shutil.ignore_patterns("*.pt"))
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from DPLSegmentModule.Paths import addLibraryToPath; "
        "addLibraryToPath(); addLibraryToPath(); import DPLSegmentLib; print(DPLSegmentLib.__file__); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    expected = folder if layout == "installed" else CHECKOUT
    assert Path(done.stdout.strip()) == expected / "DPLSegmentLib" / "__init__.py"
