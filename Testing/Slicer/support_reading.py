"""Reading an annotation, or being refused, for the tests of the support reader."""

from __future__ import annotations

import pytest


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
