"""Reading an annotation, or being refused, for the tests of the support reader."""

from __future__ import annotations

import pytest
from scene_objects import box, matrix

SHAPE = (8, 20, 24)
PLAIN = matrix((2.0, 2.0, 5.0), (30.0, 20.0, -10.0))
# Without a corner, so that a mirrored one is another shape.
LIVER = box(SHAPE, (3, 4), (4, 12), (5, 15)) & ~box(SHAPE, (3, 4), (4, 7), (5, 9))
KIDNEY = box(SHAPE, (6, 7), (10, 15), (14, 20))


def masksOf(volume, segmentation, **inputs):
    """Segment ID -> (k, j, i) mask on the volume's grid."""
    from DPLSegmentModule.SupportReader import readSupport

    data = readSupport(volume, segmentation, **inputs)
    return {data.segmentIDs[label]: mask for label, mask in data.masks.items()}


def refusal(*inputs, **named):
    """The one sentence with which both reading and summarising refuse."""
    from DPLSegmentLib.errors import InputError
    from DPLSegmentModule.SupportReader import readSupport, summarizeSupport

    with pytest.raises(InputError) as caught:
        readSupport(*inputs, **named)
    sentence = str(caught.value)
    assert sentence.endswith(".") and ". " not in sentence
    with pytest.raises(InputError) as summary:
        summarizeSupport(*inputs, **named)
    assert str(summary.value) == sentence
    return sentence
