"""The state of the panel, kept in the scene: it survives saving and loading."""

from __future__ import annotations

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

DEFAULT_DEVICE = "auto"
DEFAULT_SEED = 0
DEFAULT_VARIANTS = 0
LARGEST_SEED = 2**31 - 1


@parameterNodeWrapper
class DPLSegmentParameters:
    """Choices of the user, and what the last run found.

    The ``result...`` lists have one entry per scan of the last run, in the same order as the reports in
    ``resultReports`` (JSON); nodes are held by reference, so they are found again when the scene is loaded under other
    IDs, and an entry is None when its node was deleted.
    """

    # Support
    supportVolume: vtkMRMLScalarVolumeNode
    supportSegmentation: vtkMRMLSegmentationNode
    # Query
    querySupportVolume: bool = True
    queryVolumes: list[vtkMRMLScalarVolumeNode]
    # Result
    outputSegmentation: vtkMRMLSegmentationNode
    show3D: bool = True
    uncertainty: bool = False
    uncertaintySegment: str = ""  # segment ID; "": all segments
    uncertaintyOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    resultReports: str = ""
    resultQueries: list[vtkMRMLScalarVolumeNode]
    resultSegmentations: list[vtkMRMLSegmentationNode]
    resultUncertainties: list[vtkMRMLScalarVolumeNode]
    shownResult: int = 0
    # Advanced
    device: str = DEFAULT_DEVICE
    seed: Annotated[int, WithinRange(0, LARGEST_SEED)] = DEFAULT_SEED
    variants: Annotated[int, WithinRange(0, 64)] = DEFAULT_VARIANTS  # 0: as the weights were trained
    weightsPath: str = ""  # "": the bundled weights
