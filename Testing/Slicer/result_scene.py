"""Results of a run and styles of segments, for the tests of what is written to the scene."""

from __future__ import annotations

from scene_objects import addSegmentation, box


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
    shape = volume.GetImageData().GetDimensions()[::-1]
    masks = {
        "mine": box(shape, (2, 6), (2, 6), (16, 22)),
        "a": box(shape, (0, 8), (8, 10), (8, 10)),
        "other": box(shape, (1, 3), (14, 19), (2, 9)),
    }
    node = addSegmentation(volume, masks, "user's")
    if collapse:
        node.GetSegmentation().CollapseBinaryLabelmaps(False)
    return node, masks
