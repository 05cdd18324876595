from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from DPLSegmentLib.preprocessing import intensity_map, neighbour_mix, network_grid
from DPLSegmentLib.resampling import read_grid, sample_level

EDGE = 12


def ramps(shape: tuple[int, int]) -> torch.Tensor:
    """(2, rows, columns): the row index and the column index of every pixel."""
    rows, columns = (torch.arange(size, dtype=torch.float32) for size in shape)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((100, 100), (2.0, 2.0)),
        ((256, 256), (1.5, 1.5)),
        ((512, 512), (0.7, 0.7)),
        ((300, 410), (1.0, 1.0)),
        ((128, 200), (3.0, 1.2)),
    ],
)
def test_the_network_grid_and_back_shift_nothing_by_half_a_pixel(shape, spacing):
    grid = network_grid(shape, spacing)
    assert all(size % 16 == 0 for size in grid.padded) and max(grid.resized) <= 256
    inside = ramps(shape)
    small = grid.to_network(inside)
    assert small.shape[1:] == grid.padded
    resized = small[:, : grid.resized[0], : grid.resized[1]]
    for axis in (0, 1):
        zoom = shape[axis] / grid.resized[axis]
        expected = (torch.arange(grid.resized[axis]) + 0.5) * zoom - 0.5
        profile = resized[axis].mean(1 - axis)
        assert float((profile - expected)[EDGE:-EDGE].abs().max()) < 0.1 * max(zoom, 1)
        assert abs(float((profile - expected)[EDGE:-EDGE].mean())) < 5e-3
    below, beside = small[:, grid.resized[0] :], small[:, :, grid.resized[1] :]
    assert torch.equal(below, small[:, grid.resized[0] - 1 :][:, :1].expand_as(below))
    assert torch.equal(beside, small[:, :, grid.resized[1] - 1 :][:, :, :1].expand_as(beside))
    back = grid.to_slices(small) - inside
    assert float(back[:, EDGE:-EDGE, EDGE:-EDGE].abs().max()) < 0.15
    assert abs(float(back[:, EDGE:-EDGE, EDGE:-EDGE].mean())) < 5e-3


@given(st.integers(1, 600), st.integers(1, 600), st.floats(0.2, 6.0), st.floats(0.2, 6.0), st.floats(0.01, 100.0))
def test_any_slice_gets_a_grid_of_bounded_size(rows, columns, row_mm, column_mm, pixel_mm):
    for wanted in (None, pixel_mm):
        grid = network_grid((rows, columns), (row_mm, column_mm), wanted)
        assert max(grid.padded) <= 528 and min(grid.resized) >= 1
        assert max(grid.resized) >= min(64, max(rows, columns)) - 1


def test_another_scans_pixel_size_is_taken_over():
    assert network_grid((256, 256), (1.5, 1.5), 2.0).pixel_mm == 2.0
    assert network_grid((256, 256), (1.5, 1.5), 2.0).resized == (192, 192)


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_levels_are_read_where_their_samples_lie(stride):
    size = 128 // stride
    pixels = torch.arange(size, dtype=torch.float32) * stride + stride - 1
    level = torch.stack([pixels[:, None].expand(size, size), pixels[None].expand(size, size)])[None]
    read = sample_level(level, stride, 4, (32, 32))[0]
    expected = torch.arange(32) * 4 + 1.5
    inside = (expected >= stride - 1) & (expected <= pixels[-1])
    assert torch.allclose(read[0][inside, 0], expected[inside], atol=1e-3)
    assert torch.allclose(read[1][0, inside], expected[inside], atol=1e-3)


def test_reading_at_pixel_centres_is_exact_and_the_edge_repeats():
    maps = torch.randn(2, 3, 7, 9)
    assert torch.allclose(read_grid(maps, torch.arange(7.0), torch.arange(9.0)), maps, atol=1e-5)
    assert torch.allclose(read_grid(maps, torch.tensor([-3.0]), torch.tensor([20.0]))[..., 0, 0], maps[..., 0, -1])
    outside = read_grid(maps, torch.tensor([-3.0]), torch.tensor([20.0]), padding="zeros")
    assert not bool(outside.any())


@given(st.integers(0, 1000), st.floats(0.01, 100.0), st.floats(-1000, 1000))
def test_intensities_are_mapped_monotonically_to_unit_range_whatever_their_scale(seed, gain, offset):
    array = np.random.default_rng(seed).gamma(2.0, 100.0, (4, 20, 20))
    mapping = intensity_map(array)
    values = mapping(np.sort(array, axis=None))
    assert values.dtype == np.float32 and values.min() >= 0 and values.max() <= 1 and (np.diff(values) >= 0).all()
    assert values.max() - values.min() > 0.9
    again = intensity_map(array * gain + offset)(array * gain + offset)
    assert np.abs(again - mapping(array)).max() < 0.02


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_a_nearly_constant_volume_still_shows_its_contrast(dtype):
    array = np.zeros((10, 64, 64), dtype)
    array[5, 3, 3] = 7
    mapped = intensity_map(array)(array)
    assert np.isfinite(mapped).all() and mapped[5, 3, 3] > mapped[0, 0, 0]


def test_neighbours_are_mixed_by_millimetres():
    slices = torch.randn(5, 4, 4)
    thick, thin = (
        neighbour_mix(slices, slice_mm=8.0, pixel_mm=1.0),
        neighbour_mix(slices, slice_mm=1.0, pixel_mm=1.0),
    )
    assert torch.allclose(thick[2, 0], 0.75 * slices[2] + 0.25 * slices[1])
    assert torch.allclose(thick[2, 2], 0.75 * slices[2] + 0.25 * slices[3])
    assert torch.allclose(thin[2, 0], slices[1]) and torch.equal(thin[:, 1], slices)
    assert torch.equal(thick[0, 0], slices[0]) and torch.equal(thick[-1, 2], slices[-1])
    alone = neighbour_mix(slices[:1], 5.0, 1.0)
    assert torch.equal(alone, slices[:1, None].expand(-1, 3, -1, -1))
