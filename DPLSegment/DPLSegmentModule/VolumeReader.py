"""Volume nodes as the library's volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
import vtk
from slicer.i18n import tr as _

if TYPE_CHECKING:
    import numpy as np

    from DPLSegmentLib import Volume


def volumeFromNode(volumeNode: Any) -> Volume:
    """The scan in a scalar volume node: a copy of its voxels (k, j, i), and the way from its IJK to world RAS in mm,
    parent transforms included.

    Raises:
        InputError: not a scan (label map, several values per voxel, no image), a non-linear parent transform, or
            voxels that cannot be used (NaN, all the same).
    """
    from DPLSegmentLib import Volume
    from DPLSegmentLib.errors import InputError

    checkVolumeNode(volumeNode)
    ijkToWorld = ijkToWorldMatrix(volumeNode)
    array = slicer.util.arrayFromVolume(volumeNode)
    if array.ndim != 3:
        raise InputError(
            _("The volume '{name}' has several values per voxel; choose a scan with one grey value per voxel.").format(
                name=volumeNode.GetName()
            )
        )
    volume = Volume(array.copy(), ijkToWorld, volumeNode.GetName())
    volume.validate()
    return volume


def checkVolumeNode(volumeNode: Any) -> None:
    """Raise InputError unless the node is a scalar volume with an image. Looks at no voxels."""
    from DPLSegmentLib.errors import InputError

    def refuse(message: str) -> None:
        raise InputError(message.format(name=volumeNode.GetName()))

    if volumeNode is None:
        raise InputError(_("There is no volume; choose a scan."))
    if not volumeNode.IsA("vtkMRMLScalarVolumeNode"):
        refuse(_("'{name}' is not a volume; choose a scan."))
    if volumeNode.IsA("vtkMRMLLabelMapVolumeNode"):
        refuse(_("The volume '{name}' is a label map; choose the scan that it belongs to."))
    image = volumeNode.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None or min(image.GetDimensions()) < 1:
        refuse(_("The volume '{name}' holds no image; load it again or choose another scan."))
    if volumeNode.IsA("vtkMRMLTensorVolumeNode") or image.GetNumberOfScalarComponents() != 1:
        refuse(_("The volume '{name}' has several values per voxel; choose a scan with one grey value per voxel."))


def ijkToWorldMatrix(volumeNode: Any) -> np.ndarray:
    """(4, 4) float64 from IJK to world RAS in mm. Raises InputError under a non-linear transform."""
    return parentToWorldMatrix(volumeNode) @ ijkToRASMatrix(volumeNode)


def ijkToRASMatrix(volumeNode: Any) -> np.ndarray:
    """(4, 4) float64 from IJK to the volume's own RAS in mm, parent transforms left out."""
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def parentToWorldMatrix(node: Any) -> np.ndarray:
    """(4, 4) float64 from a node's own coordinates to world RAS: all its parent transforms together.

    Raises InputError if one of them is not linear.
    """
    from DPLSegmentLib.errors import InputError

    matrix = vtk.vtkMatrix4x4()
    transform = node.GetParentTransformNode()
    if transform is not None:
        if not transform.IsTransformToWorldLinear():
            raise InputError(
                _(
                    "'{name}' is under the non-linear transform '{transform}'; harden the transform, or take the node "
                    "out of it."
                ).format(name=node.GetName(), transform=transform.GetName())
            )
        transform.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix).astype(float)
