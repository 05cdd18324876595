from __future__ import annotations

import math

import pytest
import torch
from helpers import angle_between, in_cap, seeded, unit_vectors
from hypothesis import given, settings
from hypothesis import strategies as st

from DPLSegmentLib.fusion import conservative_fusion, fusion_bound
from DPLSegmentLib.sphere import unit

SLACK = 1e-9


def test_the_bound_is_nine_degrees_at_the_defaults():
    assert math.degrees(fusion_bound(0.7, math.radians(30))) == pytest.approx(8.9, abs=0.05)
    assert fusion_bound(1.0, 1.0) == 0.0


@settings(max_examples=100)
@given(
    st.floats(0.5, 1.0),
    st.floats(0.001, 89.0),
    st.floats(0.0, 100.0),
    st.integers(1, 12),
    st.integers(2, 64),
    st.integers(0, 2**31),
)
def test_the_fused_prototype_never_leaves_the_bound(alpha, degrees, beta, variants, channels, seed):
    cap = math.radians(degrees)
    z0 = unit_vectors(50, channels, seed=seed)
    # square root: many variants near the rim, where the bound is met
    angle = cap * torch.rand(50, variants, 1, generator=seeded(seed), dtype=torch.float64).sqrt()
    fused = conservative_fusion(z0, in_cap(z0[:, None], angle, seed + 1), alpha, beta)
    assert torch.allclose(fused.norm(dim=-1), torch.ones(50, dtype=torch.float64), atol=1e-9)
    assert float(angle_between(fused, z0).max()) <= fusion_bound(alpha, cap) + SLACK


@pytest.mark.parametrize("alpha", [0.5, 0.7, 0.95])
@pytest.mark.parametrize("degrees", [1.0, 30.0, 80.0])
def test_the_bound_is_reached_when_all_variants_sit_on_one_point_of_the_rim(alpha, degrees):
    cap = math.radians(degrees)
    z0 = unit_vectors(100, 16)
    rim = in_cap(z0, torch.full((100, 1), cap, dtype=torch.float64), seed=1)[:, None].expand(-1, 8, -1)
    angles = angle_between(conservative_fusion(z0, rim, alpha, 5.0), z0)
    assert torch.allclose(angles, torch.full((100,), fusion_bound(alpha, cap), dtype=torch.float64), atol=1e-9)


def test_the_bound_holds_in_single_precision_on_many_cases():
    z0 = unit_vectors(20_000, 64).float()
    angle = torch.full((20_000, 8, 1), math.radians(30)) * torch.rand(20_000, 8, 1, generator=seeded())
    fused = conservative_fusion(z0, in_cap(z0[:, None], angle), 0.7, 5.0)
    assert float((fused.norm(dim=-1) - 1).abs().max()) < 1e-6
    assert float(angle_between(fused.double(), z0.double()).max()) <= fusion_bound(0.7, math.radians(30)) + 1e-6


def test_fusion_is_the_formula():
    z0 = unit_vectors(30, 8)
    variants = in_cap(z0[:, None], torch.rand(30, 5, 1, generator=seeded(), dtype=torch.float64) * 0.5)
    weights = torch.softmax(3.0 * (variants * z0[:, None]).sum(-1), dim=1)
    mean = unit((weights[..., None] * variants).sum(1))
    assert torch.allclose(conservative_fusion(z0, variants, 0.6, 3.0), unit(0.6 * z0 + 0.4 * mean), atol=1e-9)


def test_nothing_to_fuse_returns_the_original_bits():
    z0 = unit_vectors(100, 64).float()
    far = in_cap(z0[:, None], torch.full((100, 8, 1), 0.5))
    assert torch.equal(conservative_fusion(z0, far, 1.0, 5.0), z0)
    assert torch.equal(conservative_fusion(z0, far[:, :0], 0.7, 5.0), z0)
    assert torch.equal(conservative_fusion(z0, z0[:, None].expand(-1, 8, -1), 0.7, 5.0), z0)


@pytest.mark.parametrize("alpha", [0.49, -1.0, 1.01])
def test_an_alpha_outside_of_its_range_is_refused(alpha):
    z0 = unit_vectors(1, 4)
    with pytest.raises(ValueError, match="alpha must lie"):
        conservative_fusion(z0, z0[:, None], alpha, 5.0)
