from __future__ import annotations

import math

import pytest
import torch
from helpers import angle_between, unit_vectors

from DPLSegmentLib.sphere import clip_to_cone, compose, decompose, unit


def test_unit_has_length_one_and_leaves_zero_alone():
    vectors = unit_vectors(50, 8) * torch.logspace(-6, 6, 50, dtype=torch.float64)[:, None]
    assert torch.allclose(unit(vectors).norm(dim=-1), torch.ones(50, dtype=torch.float64))
    assert torch.equal(unit(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_decomposition_is_orthogonal_and_complete():
    axis, vectors = unit_vectors(40, 8), unit_vectors(40, 8, seed=1) * 3
    parallel, perpendicular = decompose(vectors, axis)
    assert torch.allclose((perpendicular * axis).sum(-1), torch.zeros(40, dtype=torch.float64))
    assert torch.allclose(parallel * axis + perpendicular, vectors)


def test_a_zero_offset_gives_back_the_axis_bit_for_bit():
    axis = unit_vectors(200, 64).float()
    assert torch.equal(compose(torch.zeros(200, 1), torch.zeros(200, 64), axis), axis)
    clipped, free = clip_to_cone(torch.zeros(200, 64), torch.full((200, 1), 8.0), axis, 0.5)
    assert torch.equal(clipped, axis) and float(free.max()) < 1e-6


@pytest.mark.parametrize("degrees", [5, 30, 60, 89])
def test_clipping_keeps_the_direction_and_moves_no_point_that_is_inside(degrees):
    cap = math.radians(degrees)
    axis, points = unit_vectors(500, 6), unit_vectors(500, 6, seed=1) * 4
    points[:100] = axis[:100] + 0.02 * points[:100]
    parallel, perpendicular = decompose(points, axis)
    clipped, free = clip_to_cone(perpendicular, parallel, axis, cap)
    angle = angle_between(points, axis)
    assert torch.allclose(free[:, 0], angle, atol=1e-9)
    assert torch.allclose(clipped.norm(dim=-1), torch.ones(500, dtype=torch.float64))
    assert torch.allclose(angle_between(clipped, axis), angle.clamp(max=cap), atol=1e-9)
    inside = angle <= cap
    assert inside.any() and not inside.all()
    assert torch.allclose(clipped[inside], unit(points)[inside], atol=1e-9)
    # on the geodesic: nothing outside of the plane of axis and point
    across = decompose(clipped, axis)[1]
    assert torch.allclose(unit(across), unit(perpendicular), atol=1e-9)


def test_the_gradient_at_the_axis_is_finite_and_not_zero():
    axis = unit_vectors(1, 8).float()
    offset = torch.zeros(1, 8, requires_grad=True)
    clipped, _ = clip_to_cone(offset, torch.full((1, 1), 2.0), axis, 0.5)
    (clipped * unit_vectors(1, 8, seed=1).float()).sum().backward()
    assert torch.isfinite(offset.grad).all() and float(offset.grad.norm()) > 0.1
