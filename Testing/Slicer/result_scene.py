"""Results of a run and styles of segments, for the tests of what is written to the scene."""

from __future__ import annotations

import numpy as np
from scene_objects import addSegmentation, box, matrix, rotation, shift

SHAPE = (8, 20, 24)
PLAIN = matrix((2.0, 2.0, 5.0), (30.0, 20.0, -10.0))
OBLIQUE = matrix((0.7, 0.8, 3.0), (12.0, -34.0, 56.0), rotate=((1, 2, 3), 25))
LEFT_HANDED = PLAIN @ np.diag([1.0, 1.0, -1.0, 1.0])
LIVER = box(SHAPE, (1, 7), (4, 12), (5, 15)) & ~box(SHAPE, (3, 4), (5, 8), (6, 9))
KIDNEY = box(SHAPE, (2, 7), (13, 18), (16, 20))
TUMOUR = box(SHAPE, (3, 5), (8, 14), (12, 18))  # overlaps both
NOTHING = np.zeros(SHAPE, bool)
MOVED = rotation((2, -1, 1), 40) @ shift(11, -7, 5)


def resultFor(volume, masks, uncertainty=None):
    """What a run found in a scan: ``masks`` of the labels 1, 2, ..."""
    from DPLSegmentModule.SegmentationJob import QueryItem, QueryResult

    query = QueryItem(volume.GetID(), volume.GetName(), None)
    return QueryResult(query, dict(enumerate(masks, start=1)), uncertainty, {"labels": {}})


def stylesOf(*segmentIDs):
    """Styles with names, colours and tags of their own, from a segmentation that is gone afterwards."""
    import slicer

    from DPLSegmentModule.ResultWriter import readStyles

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    for number, segmentID in enumerate(segmentIDs):
        node.GetSegmentation().AddEmptySegment(segmentID, f"орган {segmentID}", (0.25, 0.5, 0.125 * number))
        segment = node.GetSegmentation().GetSegment(segmentID)
        segment.SetTerminology(f"Segmentation category~SCT^{number}^Organ")
        segment.SetTag("Own.Tag", f"value {number}")
    styles = readStyles(node, dict(enumerate(segmentIDs, start=1)))
    slicer.mrmlScene.RemoveNode(node)
    return styles


def userSegmentation(volume, collapse=True):
    """Segments of the user's: one that the run will replace, and two more; all in one shared label map."""
    masks = {
        "mine": box(SHAPE, (2, 6), (2, 6), (16, 22)),
        "a": box(SHAPE, (0, 8), (8, 10), (8, 10)),
        "other": box(SHAPE, (1, 3), (14, 19), (2, 9)),
    }
    node = addSegmentation(volume, masks, "user's")
    if collapse:
        node.GetSegmentation().CollapseBinaryLabelmaps(False)
    return node, masks
