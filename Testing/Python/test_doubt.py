from __future__ import annotations

import pytest
import torch
from helpers import disc

from DPLSegmentLib.doubt import FOCUS_MM, doubt
from DPLSegmentLib.propagation import LabelResult
from DPLSegmentLib.step import EncodedScan

SIDE, COUNT = 64, 9


def scan(pixel_mm: float = 1.0, slice_mm: float = 4.0) -> EncodedScan:
    return EncodedScan(torch.zeros(COUNT, SIDE, SIDE), torch.zeros(COUNT, 1, SIDE // 4, SIDE // 4), pixel_mm, slice_mm)


def organ(radius: float, slices: range, certainty: float = 1.0) -> LabelResult:
    return LabelResult({n: certainty * disc(SIDE, (32, 30), radius) for n in slices})


def test_a_label_that_was_not_found_leaves_no_doubt():
    for nothing in (LabelResult(), LabelResult({3: torch.zeros(SIDE, SIDE)})):
        assert all(doubt(nothing, scan()).slice(n) is None for n in range(COUNT))


def test_a_sharp_border_is_in_doubt_for_a_few_millimetres_and_the_inside_is_not():
    for pixel_mm in (1.0, 2.0):
        found = doubt(organ(20, range(COUNT)), scan(pixel_mm)).slice(4)
        profile = found[32, 30:]  # from the centre to the right
        assert float(profile[0]) < 0.01 < 0.45 < float(profile[18:22].max())
        half = (profile > 0.5 * profile.max()).sum() * pixel_mm
        assert FOCUS_MM < float(half) < 3.5 * FOCUS_MM


def test_an_open_probability_is_in_doubt_everywhere():
    found = doubt(organ(20, range(COUNT), 0.5), scan()).slice(4)
    assert float(found[32, 30]) > 0.95


def test_where_a_walk_ended_there_is_doubt_but_no_label():
    result = organ(15, range(2, 6))
    before = doubt(result, scan(slice_mm=20.0))
    assert before.slice(6) is None or float(before.slice(6).max()) < 0.1
    result.rejected[6] = disc(SIDE, (32, 30), 15)
    after = doubt(result, scan(slice_mm=20.0)).slice(6)
    assert float(after[32, 30]) > 0.9 and float(after[2, 2]) == 0.0


@pytest.mark.parametrize("corner", [(0, 0), (63, 63)])
def test_an_object_at_the_border_of_the_slice_stays_in_its_place(corner):
    result = LabelResult({0: disc(SIDE, corner, 6)})
    found = doubt(result, scan()).slice(0)
    assert found.shape == (SIDE, SIDE)
    assert float(found[32, 32]) == 0.0 < float(found[abs(corner[0] - 6), corner[1]])
