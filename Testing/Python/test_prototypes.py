from __future__ import annotations

import pytest
import torch
from helpers import disc, seeded
from hypothesis import given
from hypothesis import strategies as st

from DPLSegmentLib.conditioning import GEOMETRY, STATISTICS, mask_geometry, prototype_statistics
from DPLSegmentLib.prototypes import (
    MAX_BACKGROUND,
    MAX_FOREGROUND,
    extract_prototypes,
    masked_average_pooling,
)

FEATURES = torch.randn(16, 24, 32, generator=seeded())


def test_masked_average_pooling_is_the_mean_under_the_mask():
    mask = torch.rand(24, 32, generator=seeded(1)) > 0.7
    pooled = masked_average_pooling(FEATURES, mask.float())
    assert torch.allclose(pooled, FEATURES[:, mask].mean(1), atol=1e-6)
    assert torch.equal(masked_average_pooling(FEATURES, torch.zeros(24, 32)), torch.zeros(16))


def test_the_first_prototype_is_global_and_local_ones_pool_disjoint_parts_of_the_mask():
    mask = torch.zeros(24, 32)
    mask[4:18, 6:26] = 1
    found = extract_prototypes(FEATURES, mask)
    assert torch.allclose(found.foreground[0], FEATURES[:, mask > 0].mean(1), atol=1e-6)
    local = found.weights[1:] > 0
    assert 4 <= len(local) < MAX_FOREGROUND
    assert int(local.sum(0).max()) == 1 and not bool(local[:, mask == 0].any())
    assert torch.allclose(found.weights.sum((-2, -1)), torch.ones(len(found.weights)))
    assert torch.allclose(found.background[0], FEATURES[:, mask == 0].mean(1), atol=1e-5)


def test_local_prototypes_can_be_switched_off():
    assert len(extract_prototypes(FEATURES, disc(24, (12, 12), 9).repeat(1, 2)[:, :32], local=False).foreground) == 1


@pytest.mark.parametrize("area", ["empty", "one pixel", "whole slice"])
def test_degenerate_masks_are_defined(area):
    mask = torch.zeros(24, 32) if area != "whole slice" else torch.ones(24, 32)
    if area == "one pixel":
        mask[7, 9] = 1
    found = extract_prototypes(FEATURES, mask)
    statistics = prototype_statistics(FEATURES, found)
    values = [found.foreground, found.weights, found.background, statistics, mask_geometry(mask, 3.0)]
    assert all(bool(torch.isfinite(value).all()) for value in values)
    expected = {
        "empty": torch.zeros(16),
        "one pixel": FEATURES[:, 7, 9],
        "whole slice": FEATURES.mean((1, 2)),
    }
    assert torch.allclose(found.foreground[0], expected[area], atol=1e-5)
    if area == "whole slice":
        assert not bool(found.background[0].any())


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.3, 0.9, 1.0]))
def test_any_mask_on_any_slice_gives_finite_prototypes_within_the_limits(seed, height, width, level):
    generator = seeded(seed)
    features = torch.randn(8, height, width, generator=generator) * 10 ** float(torch.randn(1, generator=generator))
    mask = (torch.rand(height, width, generator=generator) < level).float()
    found = extract_prototypes(features, mask)
    assert 1 <= len(found.foreground) <= MAX_FOREGROUND and 1 <= len(found.background) <= 1 + MAX_BACKGROUND
    statistics, geometry = prototype_statistics(features, found), mask_geometry(mask, 3.0)
    assert statistics.shape == (len(found.foreground), STATISTICS) and geometry.shape == (GEOMETRY,)
    for value in (found.foreground, found.background, statistics, geometry):
        assert bool(torch.isfinite(value).all())


@pytest.mark.parametrize("scale", [1e-4, 0.1, 1e4])
def test_statistics_do_not_depend_on_the_scale_of_the_features(scale):
    mask = disc(24, (12, 11), 7)
    features = FEATURES[:, :, :24]
    reference = prototype_statistics(features, extract_prototypes(features, mask))
    scaled = prototype_statistics(features * scale, extract_prototypes(features * scale, mask))
    assert torch.allclose(scaled, reference, atol=1e-4)


def test_concentrated_features_are_told_from_scattered_ones():
    mask = disc(24, (12, 12), 7)
    same = torch.ones(16, 24, 24)
    scattered = torch.randn(16, 24, 24, generator=seeded())
    concentration = [prototype_statistics(f, extract_prototypes(f, mask))[0, 5] for f in (same, scattered)]
    assert concentration[0] == pytest.approx(1.0, abs=1e-5) and concentration[1] < 0.3


def test_geometry_measures_in_millimetres():
    one, fine = mask_geometry(disc(32, (15.5, 15.5), 8), 2.0), mask_geometry(disc(64, (31.5, 31.5), 16), 1.0)
    assert torch.allclose(one, fine, atol=0.03)
    square = torch.zeros(32, 32)
    square[8:16, 20:28] = 1
    g = mask_geometry(square, 2.0)
    assert float((g[0] * 10).exp()) == pytest.approx(256.0, rel=1e-3)  # area, mm²
    assert g[1] < 0 < g[2]  # above the middle, right of it
    assert float((g[3] * 10).exp()) == pytest.approx(16.0**2 / 12, rel=0.15)  # second moment of a 16 mm side
    assert float(g[5]) == pytest.approx(0.0, abs=1e-5)
    assert float(g[6]) == pytest.approx(torch.pi * 64 * 4 / 32**2, rel=1e-4)
    assert torch.equal(mask_geometry(torch.zeros(8, 8), 2.0), torch.zeros(GEOMETRY))
