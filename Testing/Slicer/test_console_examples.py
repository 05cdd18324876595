"""The examples of Resources/Docs/Console.md run, with the real library, on real nodes and files."""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np
import pytest
from shown_messages import ROOT


def _example(marker: str) -> ast.Module:
    """The Python block of the page that contains ``marker``."""
    text = (ROOT / "Resources" / "Docs" / "Console.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return ast.parse(next(block for block in blocks if marker in block))


def _run(example: ast.Module, names: dict[str, Any], values: dict[str, str]) -> dict[str, Any]:
    """Run an example; ``values`` replaces strings it assigns (its paths), by the variable's name."""
    for statement in example.body:
        target = ast.unparse(statement.targets[0]) if isinstance(statement, ast.Assign) else None
        if target in values:
            constants = [node for node in ast.walk(statement.value) if isinstance(node, ast.Constant)]
            constants[0].value = values.pop(target)
    assert values == {}
    exec(compile(ast.fix_missing_locations(example), "Console.md", "exec"), names)
    return names


@pytest.fixture(scope="session")
def scans():
    """A generated body, and the same organs in two other patients; small."""
    from DPLSegmentLib.synthetic import SyntheticScan, generate_anatomy, render, second_patient

    body = generate_anatomy(2, shape=(20, 80, 80), spacing=(10.0, 4.0, 4.0))
    bodies = [body, *(second_patient(body, seed, 0.3) for seed in (5, 6))]
    liver = next(label for label, name in body.names.items() if name == "liver")
    return [
        SyntheticScan(render(one, seed), one.labels, one.names, one.spacing, (liver,))
        for seed, one in enumerate(bodies)
    ]


@pytest.fixture
def painted(host, scene, module, scans):
    """The nodes ``CT`` and ``Segmentation``, one organ painted on one slice."""
    import slicer
    import vtk

    scan = scans[0]
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    slicer.util.updateVolumeFromArray(volume, scan.image)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(scan.ijk_to_world.ravel())
    volume.SetIJKToRASMatrix(matrix)
    organ = scan.labels == scan.organs[0]
    mask = np.zeros(scan.labels.shape, np.uint8)
    largest = int(organ.sum(axis=(1, 2)).argmax())
    mask[largest] = organ[largest]
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentID = segmentation.GetSegmentation().AddEmptySegment("", "liver")
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segmentID, volume)
    return volume, segmentation


def _voxels(segmentation, volume) -> int:
    import slicer

    segmentID = segmentation.GetSegmentation().GetSegmentIdBySegmentName("liver")
    assert segmentID
    return int((slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentID, volume) > 0).sum())


def test_three_lines(painted):
    import slicer

    names = _run(_example('getNode("CT"), '), {"slicer": slicer}, {})
    assert _voxels(names["result"], painted[0]) > _voxels(painted[1], painted[0])


def test_the_sample_is_loaded_from_the_console(host, scene, module):
    names = _run(_example("import SampleData"), {}, {})
    assert names["volume"].IsA("vtkMRMLScalarVolumeNode")
    assert names["painted"].GetSegmentation().GetNumberOfSegments() == 4


def test_the_uncertainty_of_one_segment(host, painted):
    import slicer

    from DPLSegmentModule.DPLSegmentLogic import DPLSegmentLogic

    volume, segmentation = painted
    names = {"slicer": slicer, "logic": DPLSegmentLogic(), "volume": volume, "painted": segmentation}
    _run(_example("segmentUncertainty"), names, {})
    own, whole = (slicer.util.arrayFromVolume(names[name]) for name in ("ofLiver", "uncertainty"))
    # The only segment, so nearly the same; the map of all also says where the prototypes disagree.
    assert 0.2 < own.max() <= 1.0 and (own <= whole + 1e-3).all()


def test_structures_that_were_not_found_are_named(painted, capsys):
    import slicer

    volume, segmentation = painted
    volume.SetName("Other CT")
    segmentation.GetSegmentation().AddEmptySegment("", "gallbladder")
    _run(_example("was not found"), {"slicer": slicer, "result": segmentation}, {})
    assert capsys.readouterr().out.splitlines()[-1:] == ["gallbladder was not found"]


def test_a_folder_of_scans_with_one_support(painted, scans, tmp_path, capsys):
    import SimpleITK as sitk
    import slicer

    folder = tmp_path / "Aufnahmen für Ö"
    folder.mkdir()
    volume, segmentation = painted
    assert slicer.util.saveNode(volume, str(tmp_path / "scan.nii.gz"))
    assert slicer.util.saveNode(segmentation, str(tmp_path / "painted.seg.nrrd"))
    slicer.mrmlScene.RemoveNode(volume)
    slicer.mrmlScene.RemoveNode(segmentation)
    for name, scan in zip(("a", "c"), scans[1:], strict=True):
        sitk.WriteImage(scan.volume.to_sitk(), str(folder / f"{name}.nii.gz"))
    blank = sitk.Image(16, 16, 8, sitk.sitkInt16)
    sitk.WriteImage(blank, str(folder / "b.nii.gz"))

    paths = {
        "support_scan": str(tmp_path / "scan.nii.gz"),
        "support_segmentation": str(tmp_path / "painted.seg.nrrd"),
        "scans": str(folder),
        "output": str(tmp_path / "results"),
    }
    _run(_example("def segment_file"), {"slicer": slicer}, paths)

    lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if line.startswith(("a.", "b.", "c."))]
    assert lines[0] == "a.nii.gz: done" and lines[2] == "c.nii.gz: done"
    assert "the same value everywhere" in lines[1]
    for name, scan in zip(("a", "c"), scans[1:], strict=True):
        result = sitk.ReadImage(str(tmp_path / "results" / f"{name}.seg.nrrd"))
        assert result.GetMetaData("Segment0_Name") == "liver"
        assert np.allclose(result.GetSpacing(), scan.spacing[::-1])
        assert 0.3 < sitk.GetArrayViewFromImage(result).astype(bool).sum() / (scan.labels == scan.organs[0]).sum() < 3
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["a.seg.nrrd", "c.seg.nrrd"]
    # of all that was loaded and made, only the support is left
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
