"""Sample data that needs no download: a generated abdomen with one annotated slice, and a second patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

CATEGORY = "DPLSegment"
ANNOTATED_SCAN = _("DPLSegment: abdomen with one annotated slice")
SECOND_PATIENT = _("DPLSegment: abdomen of a second patient")

# Of the generated bodies and contrasts, ones that look like an abdominal CT in a venous phase.
_BODY, _CONTRAST = 2, 44
_SECOND_BODY, _SECOND_CONTRAST = 202, 30
_SECOND_STRENGTH = 0.5  # how different the second body is, 1 being very
ANNOTATED_SLICE = 27  # along k; every organ below is well visible there
_WINDOW, _LEVEL = 400.0, 40.0  # soft tissue


@dataclass(frozen=True)
class SampleOrgan:
    """An annotated organ: its name in the generated anatomy, its display name, colour and SNOMED CT codes."""

    key: str
    name: str
    color: tuple[float, float, float]
    type: str
    modifier: str = "^^"

    @property
    def terminology(self) -> str:
        """The entry that Slicer keeps with a segment."""
        return (
            "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
            f"~{self.type}~{self.modifier}~Anatomic codes - DICOM master list~^^~^^"
        )


# Codes are those of Slicer's own list of anatomical structures; its colours of liver and kidneys are hard to tell
# apart.
ORGANS = (
    SampleOrgan("liver", _("liver"), (0.87, 0.51, 0.40), "SCT^10200004^Liver"),
    SampleOrgan("spleen", _("spleen"), (0.62, 0.42, 0.64), "SCT^78961009^Spleen"),
    SampleOrgan("right kidney", _("right kidney"), (0.31, 0.67, 0.88), "SCT^64033007^Kidney", "SCT^24028007^Right"),
    SampleOrgan("left kidney", _("left kidney"), (0.36, 0.77, 0.52), "SCT^64033007^Kidney", "SCT^7771000^Left"),
)


def registerSampleData() -> None:
    """Put the samples into Slicer's Sample Data module; to be called once the application has started. Imports and
    generates nothing; calling it again changes nothing."""
    try:
        import SampleData
    except ImportError:  # an application without that module
        return
    # The module's own check for doubles compares the loaders, which are new ones after a reload.
    known = {source.sampleName for source in getattr(slicer.modules, "sampleDataSources", {}).get(CATEGORY, [])}
    loaders = {
        ANNOTATED_SCAN: lambda source: list(loadAnnotatedScan()),
        SECOND_PATIENT: lambda source: [loadSecondPatient()],
    }
    for name, loader in loaders.items():
        if name not in known:
            # Without addresses there is nothing to download.
            SampleData.SampleDataLogic.registerCustomSampleDataSource(
                category=CATEGORY,
                sampleName=name,
                uris=[],
                fileNames=[],
                nodeNames=[],
                customDownloader=loader,
            )


def loadAnnotatedScan() -> tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLSegmentationNode]:
    """Add the annotated scan to the scene and show it.

    Returns:
        The scan (CT-like, HU, 40 slices of 5 mm) and its annotation: four organs on one axial slice. Both are the same
        every time.
    """
    import numpy as np

    with slicer.util.WaitCursor():
        anatomy = _anatomy()
        volumeNode = _addVolume(_("Abdomen"), anatomy, _CONTRAST)
        segmentationNode = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLSegmentationNode", slicer.mrmlScene.GenerateUniqueName(_("Abdomen annotation"))
        )
        segmentationNode.CreateDefaultDisplayNodes()
        segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
        for organ in ORGANS:
            mask = np.zeros(anatomy.labels.shape, np.uint8)
            mask[ANNOTATED_SLICE] = _maskOf(organ, anatomy)[ANNOTATED_SLICE]
            segmentID = segmentationNode.AddSegmentFromBinaryLabelmapRepresentation(
                _orientedImage(mask, volumeNode), organ.name, organ.color, organ.key
            )
            segment = segmentationNode.GetSegmentation().GetSegment(segmentID)
            segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), organ.terminology)
        _show(volumeNode)
    return volumeNode, segmentationNode


def loadSecondPatient() -> slicer.vtkMRMLScalarVolumeNode:
    """Add the scan of another body with the same organs to the scene and show it; the same every time."""
    from DPLSegmentLib.synthetic import second_patient

    with slicer.util.WaitCursor():
        anatomy = second_patient(_anatomy(), _SECOND_BODY, _SECOND_STRENGTH)
        volumeNode = _addVolume(_("Abdomen of a second patient"), anatomy, _SECOND_CONTRAST)
        _show(volumeNode)
    return volumeNode


def annotatedScanTruth() -> dict[str, Any]:
    """The whole organs of the annotated scan: a bool mask (k, j, i) for each segment name of its annotation."""
    anatomy = _anatomy()
    return {organ.name: _maskOf(organ, anatomy) for organ in ORGANS}


def _maskOf(organ: SampleOrgan, anatomy: Any) -> Any:
    import numpy as np

    # Kidneys have parts (medulla, sinus) with labels of their own.
    parts = [n for n, name in anatomy.names.items() if name == organ.key or name.startswith(f"{organ.key} ")]
    return np.isin(anatomy.labels, parts)


def _anatomy() -> Any:
    from DPLSegmentLib.synthetic import generate_anatomy

    return generate_anatomy(_BODY)


def _addVolume(name: str, anatomy: Any, contrast: int) -> slicer.vtkMRMLScalarVolumeNode:
    import numpy as np

    from DPLSegmentLib.synthetic import SyntheticScan, render

    scan = SyntheticScan(render(anatomy, contrast), anatomy.labels, anatomy.names, anatomy.spacing, ())
    volumeNode = slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(name)
    )
    slicer.util.updateVolumeFromArray(volumeNode, np.rint(scan.image).astype(np.int16))
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(scan.ijk_to_world.ravel())
    volumeNode.SetIJKToRASMatrix(matrix)
    volumeNode.CreateDefaultDisplayNodes()
    display = volumeNode.GetDisplayNode()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(_WINDOW, _LEVEL)
    return volumeNode


def _orientedImage(mask: Any, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkOrientedImageData:
    """A (k, j, i) mask on the grid of a volume. (slicer.util's way leaves display nodes of a label map behind.)"""
    from vtk.util.numpy_support import numpy_to_vtk

    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(mask.shape[::-1])
    image.SetGeometryFromImageToWorldMatrix(matrix)
    image.GetPointData().SetScalars(numpy_to_vtk(mask.ravel(), deep=True))
    return image


def _show(volumeNode: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show a scan in the slice views, at the annotated slice."""
    if slicer.app.layoutManager() is None:
        return
    slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    i, j, _k = volumeNode.GetImageData().GetDimensions()
    center = matrix.MultiplyPoint(((i - 1) / 2, (j - 1) / 2, ANNOTATED_SLICE, 1.0))
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *center[:3], slicer.vtkMRMLSliceNode.OffsetJumpSlice)
