from __future__ import annotations

import pytest
import torch
from helpers import seeded

from DPLSegmentLib.alignment import align_slices
from DPLSegmentLib.step import EncodedScan

SLICES = 24


def body(count: int = SLICES, slice_mm: float = 4.0) -> EncodedScan:
    """A body whose anatomy (features) changes smoothly along the slice axis."""
    images = torch.zeros(count, 64, 64)
    images[:, 8:56, 6:58] = 0.6
    features = torch.randn(1, 32, count, 4, 4, generator=seeded())
    features = torch.nn.functional.avg_pool3d(
        torch.nn.functional.pad(features, (0, 0, 0, 0, 2, 2)), (5, 1, 1), stride=1
    )[0].transpose(0, 1)
    features = torch.nn.functional.interpolate(features, size=(16, 16), mode="bilinear")
    return EncodedScan(images, features, 1.5, slice_mm)


def part(scan: EncodedScan, chosen: slice) -> EncodedScan:
    step = chosen.step or 1
    return EncodedScan(scan.images[chosen], scan.features[chosen], scan.pixel_mm, scan.slice_mm * step)


@pytest.mark.parametrize("chosen", [slice(0, SLICES), slice(5, 20), slice(9, 24), slice(0, SLICES, 2), slice(3, 22, 3)])
def test_a_part_of_a_scan_is_found_where_it_was_cut_out(chosen):
    support = body()
    query = part(support, chosen)
    alignment = align_slices(query, support)
    places = [alignment.support_index(n, query, support) for n in range(len(query.images))]
    expected = list(range(SLICES))[chosen]
    assert max(abs(a - b) for a, b in zip(places, expected, strict=True)) <= 1.0
    assert alignment.scale == pytest.approx(1.0, abs=0.06)


def test_the_longer_scan_can_be_the_query():
    query = body()
    support = part(query, slice(6, 18))
    alignment = align_slices(query, support)
    assert alignment.support_index(6, query, support) == pytest.approx(0.0, abs=1.0)
    assert alignment.support_index(0, query, support) < -4


def test_a_stretched_scan_is_found_with_its_scale():
    support = body()
    query = EncodedScan(support.images, support.features, 1.5, 4.0 * 1.12)
    alignment = align_slices(query, support)
    assert alignment.scale == pytest.approx(1 / 1.12, abs=0.04)
    assert alignment.support_index(20, query, support) == pytest.approx(20, abs=1.0)


@pytest.mark.parametrize("first", [4, 15, 21])
@pytest.mark.parametrize("count", [1, 2])
def test_a_query_of_one_or_two_slices_is_found(first, count):
    support = body()
    query = part(support, slice(first, first + count))
    assert align_slices(query, support).support_index(0, query, support) == pytest.approx(first, abs=1.0)


def test_a_scan_without_contrast_is_aligned_somewhere_finite():
    flat = EncodedScan(torch.zeros(3, 64, 64), torch.zeros(3, 32, 16, 16), 1.5, 4.0)
    assert abs(align_slices(flat, body()).support_index(0, flat, body())) < 10 * SLICES
