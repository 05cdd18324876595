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
        assert float(profile[0]) < 0.01 < 0.15 < float(profile[18:22].max()) < 0.2  # one view of three
        half = (profile > 0.5 * profile.max()).sum() * pixel_mm
        assert FOCUS_MM <= float(half) < 2.0 * FOCUS_MM


@pytest.mark.parametrize("certainty", [0.1, 0.3, 0.5, 0.6, 0.8, 0.95])
def test_far_from_borders_doubt_is_the_probability_of_the_contrary(certainty):
    found = doubt(organ(28, range(COUNT), certainty), scan()).slice(4)
    assert float(found[32, 30]) == pytest.approx(min(certainty, 1.0 - certainty), abs=2e-3)


def painted(inside: float, outside: float) -> EncodedScan:
    """A scan with an organ of radius 20 and, within it and beside it, a spot that looks like the other side."""
    generator = torch.Generator().manual_seed(1)
    own = disc(SIDE, (32, 30), 20) > 0.5
    images = torch.where(own, inside, outside) + 0.02 * torch.randn(COUNT, SIDE, SIDE, generator=generator)
    images[:, 30:34, 20:24], images[:, 30:34, 56:60] = outside, inside
    return EncodedScan(images, scan().features, 1.0, 4.0)


def test_what_looks_like_the_other_side_is_doubted_more_and_what_looks_like_its_own_less():
    result = organ(20, range(COUNT), 0.9)
    for index in result.probability:
        result.probability[index] = result.probability[index].clamp_min(0.1)
    for looks in ((0.7, 0.3), (0.2, 0.6)):
        plain, found = doubt(result, scan()).slice(4), doubt(result, painted(*looks)).slice(4)
        assert float(found[32, 22]) > 1.2 * float(plain[32, 22])  # a spot within the organ that looks like outside
        assert float(found[32, 58]) > 1.2 * float(plain[32, 58])  # one beside it that looks like inside
        assert float(found[32, 36]) < 0.95 * float(plain[32, 36])
        assert float(found[5, 30]) < 0.95 * float(plain[5, 30])


def test_where_the_look_up_says_something_else_there_is_more_doubt():
    result = organ(20, range(COUNT))
    before = doubt(result, scan()).slice(4)
    result.looked_up = {n: disc(SIDE, (32, 30), 20) for n in range(COUNT)}
    agreed = doubt(result, scan()).slice(4)
    result.looked_up = {n: disc(SIDE, (32, 40), 20) for n in range(COUNT)}
    contradicted = doubt(result, scan()).slice(4)
    for column in (14, 56):  # found and not looked up, and the other way round
        assert float(agreed[32, column]) <= float(before[32, column]) < float(contradicted[32, column]) - 0.2
    assert float(contradicted[32, 35]) == pytest.approx(float(agreed[32, 35]), abs=2e-3)


def test_an_image_without_contrast_changes_nothing():
    result = organ(20, range(COUNT), 0.9)
    image = EncodedScan(torch.full((COUNT, SIDE, SIDE), 0.4), scan().features, 1.0, 4.0)
    assert torch.equal(doubt(result, image).values, doubt(result, scan()).values)


def test_where_a_walk_ended_there_is_doubt_but_no_label():
    result = organ(15, range(2, 6))
    before = doubt(result, scan(slice_mm=20.0))
    assert 0.09 < float(before.slice(6)[32, 30]) < 0.11  # the view across slices alone
    assert before.slice(7) is None
    result.rejected[6] = disc(SIDE, (32, 30), 15)
    after = doubt(result, scan(slice_mm=20.0)).slice(6)
    assert float(after[32, 30]) > 0.3 and float(after[2, 2]) == 0.0


@pytest.mark.parametrize("corner", [(0, 0), (63, 63)])
def test_an_object_at_the_border_of_the_slice_stays_in_its_place(corner):
    result = LabelResult({0: disc(SIDE, corner, 6)})
    found = doubt(result, scan()).slice(0)
    assert found.shape == (SIDE, SIDE)
    assert float(found[32, 32]) == 0.0 < float(found[abs(corner[0] - 6), corner[1]])
