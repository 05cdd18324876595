"""The sample data: generated, complete, the same every time, and registered without costing anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, scope="module")
def imports(host):
    """The module's parts exist only once the host has been started."""
    global slicer, SampleScan
    sys.path.insert(0, str(CHECKOUT / "DPLSegment"))
    import slicer

    from DPLSegmentModule import SampleScan

    yield
    sys.path.remove(str(CHECKOUT / "DPLSegment"))


def maskOf(segmentation, segmentID, volume) -> np.ndarray:
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentID, volume) > 0


def test_annotated_scan_is_a_volume_and_a_segmentation_on_one_slice(scene):
    volume, segmentation = SampleScan.loadAnnotatedScan()
    image = slicer.util.arrayFromVolume(volume)
    assert image.shape == (40, 160, 160) and image.dtype == np.int16
    assert np.allclose(volume.GetSpacing(), (2.0, 2.0, 5.0))
    assert image.min() == -1024 and 100 < image.max() < 2000, "not in Hounsfield units"
    assert (volume.GetDisplayNode().GetWindow(), volume.GetDisplayNode().GetLevel()) == (400.0, 40.0)
    for organ in SampleScan.ORGANS:
        mask = maskOf(segmentation, organ.key, volume)
        assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [SampleScan.ANNOTATED_SLICE], organ.name
        assert mask.sum() > 200, organ.name
        inside = image[mask]
        assert 20 < np.median(inside) < 300 and inside.std() < 100, "the annotation does not lie on its organ"


def test_segments_have_names_colours_and_terminology(scene):
    volume, segmentation = SampleScan.loadAnnotatedScan()
    segments = segmentation.GetSegmentation()
    assert list(segments.GetSegmentIDs()) == ["liver", "spleen", "right kidney", "left kidney"]
    colors = set()
    for organ in SampleScan.ORGANS:
        segment = segments.GetSegment(organ.key)
        assert segment.GetName() == organ.name
        assert np.allclose(segment.GetColor(), organ.color, atol=1e-6)
        colors.add(segment.GetColor())
        tag = slicer.vtkSegment.GetTerminologyEntryTagName()
        import vtk

        entry = vtk.reference("")
        assert segment.GetTag(tag, entry)
        assert len(str(entry).split("~")) == 7, "Slicer rejects entries with another number of parts"
        assert str(entry).split("~")[2].split("^")[2].lower() in organ.name
    assert len(colors) == len(SampleScan.ORGANS)
    left, right = (segments.GetSegment(key) for key in ("left kidney", "right kidney"))
    assert "7771000^Left" in left.GetTerminology() and "24028007^Right" in right.GetTerminology()


def test_right_and_left_are_the_patients(scene):
    volume, segmentation = SampleScan.loadAnnotatedScan()
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)

    def toTheRight(segmentID):
        k, j, i = np.argwhere(maskOf(segmentation, segmentID, volume)).mean(axis=0)
        return matrix.MultiplyPoint((i, j, k, 1.0))[0]

    assert toTheRight("right kidney") > 20 and toTheRight("left kidney") < -20
    assert toTheRight("liver") > 20 and toTheRight("spleen") < -20


def test_samples_are_the_same_every_time(scene):
    first, firstAnnotation = SampleScan.loadAnnotatedScan()
    second, secondAnnotation = SampleScan.loadAnnotatedScan()
    assert first.GetName() != second.GetName()
    assert np.array_equal(slicer.util.arrayFromVolume(first), slicer.util.arrayFromVolume(second))
    for organ in SampleScan.ORGANS:
        assert np.array_equal(maskOf(firstAnnotation, organ.key, first), maskOf(secondAnnotation, organ.key, second)), (
            organ.name
        )


def test_second_patient_is_another_body_of_the_same_size(scene):
    first, _annotation = SampleScan.loadAnnotatedScan()
    second = SampleScan.loadSecondPatient()
    a, b = slicer.util.arrayFromVolume(first), slicer.util.arrayFromVolume(second)
    assert a.shape == b.shape and np.allclose(first.GetOrigin(), second.GetOrigin())
    assert 0.02 < np.mean((a > -200) != (b > -200)) < 0.2, "the bodies are the same, or have nothing in common"


def test_no_helper_node_is_left_behind(scene):
    def nodes():
        return [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]

    before = {node.GetID() for node in nodes()}
    SampleScan.loadAnnotatedScan()
    added = {node.GetClassName() for node in nodes() if node.GetID() not in before}
    assert added - {"vtkMRMLSubjectHierarchyNode"} == {
        "vtkMRMLScalarVolumeNode",
        "vtkMRMLScalarVolumeDisplayNode",
        "vtkMRMLSegmentationNode",
        "vtkMRMLSegmentationDisplayNode",
    }


def test_samples_are_loaded_from_the_sample_data_module(scene):
    SampleScan.registerSampleData()
    SampleScan.registerSampleData()
    sources = slicer.modules.sampleDataSources[SampleScan.CATEGORY]
    assert [source.sampleName for source in sources] == [SampleScan.ANNOTATED_SCAN, SampleScan.SECOND_PATIENT]
    nodes = sources[0].customDownloader(sources[0])
    assert [node.GetClassName() for node in nodes] == ["vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode"]
    assert [node.GetClassName() for node in sources[1].customDownloader(sources[1])] == ["vtkMRMLScalarVolumeNode"]


def test_generating_the_samples_needs_no_torch():
    code = (
        "import sys; from DPLSegmentLib.synthetic import generate_anatomy, render, second_patient, SyntheticScan; "
        "a = generate_anatomy(2); render(second_patient(a, 3, 0.5), 3); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=True)
