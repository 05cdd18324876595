"""DPLSegment: paint one slice, click once.

What Slicer needs to know of the module. Nothing heavy is imported here: the library and PyTorch come with the click.
"""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule

from DPLSegmentModule import Paths
from DPLSegmentModule.DPLSegmentLogic import DPLSegmentLogic
from DPLSegmentModule.DPLSegmentTest import DPLSegmentTest
from DPLSegmentModule.DPLSegmentWidget import DPLSegmentWidget

__all__ = ["DPLSegment", "DPLSegmentLogic", "DPLSegmentTest", "DPLSegmentWidget"]

Paths.addLibraryToPath()


class DPLSegment(ScriptedLoadableModule):
    """Title, texts and icon of the module."""

    def __init__(self, parent: object) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("DPLSegment")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations", "Volumes", "SegmentEditor"]
        parent.contributors = ["DPLSegment contributors"]
        parent.helpText = _(
            "Paint the structures you need on one slice of a CT or MR scan; DPLSegment segments the rest of that scan, "
            "or other scans, and says voxel by voxel how sure it is. Nothing leaves the computer. "
            "DPLSegment is not a medical device. "
            'See <a href="https://github.com/DPLSegment/SlicerDPLSegment">the documentation</a>.'
        )
        parent.acknowledgementText = _(
            "The method is DPL, Diffusion Prototype Learning "
            '(<a href="https://arxiv.org/abs/2510.12159">arXiv 2510.12159</a>); please cite it, and this software '
            "(CITATION.cff)."
        )
        # Slicer looks for the icon beside this file only, and in a source checkout it lies elsewhere.
        parent.icon = qt.QIcon(Paths.resourcePath("Icons/DPLSegment.png"))
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Offer the generated scan in the Sample Data module."""
    from DPLSegmentModule import SampleScan

    SampleScan.registerSampleData()
