"""The result lies on the query's grid, whatever its orientation, spacing and size, and does not depend on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scans import BALL, TUBE, annotate, dice, frame, phantom, rotation, turned, turned_volume, turns

from DPLSegmentLib import OneShotSegmenter, Volume

SMALL = {"shape": (7, 40, 40), "spacing": (7.5, 5.5, 5.0)}
MIRROR = ((0, 1, 2), (False, False, True))


@pytest.fixture(scope="module")
def segmenter():
    return OneShotSegmenter.load(device="cpu")


@pytest.fixture(scope="module")
def small(segmenter):
    """Scan, annotation (one label) and result."""
    volume, truth = phantom(**SMALL)
    drawn = annotate(truth, {BALL: [3]})
    segmenter.set_support(volume, drawn)
    return volume, drawn, segmenter.segment()


def segmented(segmenter, volume, drawn, **choices):
    segmenter.set_support(volume, drawn, **choices)
    return segmenter.segment()


@given(turn=turns)
@example(turn=MIRROR)  # a left-handed frame
@settings(max_examples=6)
def test_a_turned_copy_gives_the_turned_result(segmenter, small, turn):
    volume, drawn, expected = small
    result = segmented(segmenter, turned_volume(volume, turn), turned(drawn, turn))
    assert np.array_equal(result.labels, turned(expected.labels, turn))
    assert np.array_equal(result.uncertainty, turned(expected.uncertainty, turn))
    new_axis = turn[0].index(0)  # where the old slices went
    assert result.report["slice_axis"] == 2 - new_axis
    before, after = expected.report["labels"][str(BALL)], result.report["labels"][str(BALL)]
    assert after["volume_ml"] == pytest.approx(before["volume_ml"])
    place = before["least_certain_slice"]
    assert after["least_certain_slice"] == (6 - place if turn[1][new_axis] else place)


@given(turn=turns)
@example(turn=((1, 0, 2), (False, True, False)))
@settings(max_examples=3)
def test_a_turned_query_of_another_patient_gives_the_turned_result(segmenter, small, turn):
    volume, drawn, _ = small
    query, truth = phantom((6, 36, 44), (8.0, 5.5, 5.0), shift=(0.05, 0.04, -0.04), seed=3)
    segmenter.set_support(volume, drawn)
    expected = segmenter.segment(query)
    result = segmenter.segment(turned_volume(query, turn))
    assert dice(expected.labels, truth, BALL) > 0.6
    assert result.labels.shape == tuple(query.array.shape[axis] for axis in turn[0])
    assert np.array_equal(result.labels, turned(expected.labels, turn))
    assert np.array_equal(result.uncertainty, turned(expected.uncertainty, turn))


@given(
    axis=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1),
    degrees=st.floats(-30, 30),
    origin=st.tuples(*[st.floats(-900, 900)] * 3),
    mirrored=st.booleans(),
)
@settings(max_examples=6)
def test_an_oblique_frame_changes_nothing(segmenter, small, axis, degrees, origin, mirrored):
    volume, drawn, expected = small
    matrix = rotation(axis, degrees) @ volume.ijk_to_world
    matrix[:3, 3] = origin
    oblique = Volume(volume.array, matrix)
    turn = MIRROR if mirrored else ((0, 1, 2), (False, False, False))
    result = segmented(segmenter, turned_volume(oblique, turn), turned(drawn, turn))
    assert np.array_equal(result.labels, turned(expected.labels, turn))
    # Spacings read from an oblique matrix are rounded, which the last digits may show.
    assert np.allclose(result.uncertainty, turned(expected.uncertainty, turn), atol=1e-3)


@pytest.mark.parametrize("axis", [1, 2])
def test_coronal_and_sagittal_annotations_are_found_and_followed(segmenter, axis):
    volume, truth = phantom((36, 40, 40), (5.0, 5.0, 5.0))
    drawn = annotate(np.where(truth == BALL, truth, 0), axis=axis)
    result = segmented(segmenter, volume, drawn)
    assert result.report["slice_axis"] == 2 - axis
    assert dice(result.labels, truth, BALL, drawn, axis) > 0.8
    place = int(np.flatnonzero(drawn.any(axis=tuple(n for n in range(3) if n != axis)))[0])
    assert result.report["labels"][str(BALL)]["annotated_slices"] == [place]
    assert np.array_equal(np.take(result.labels, place, axis), np.take(drawn, place, axis))


def test_the_slice_axis_can_be_given(segmenter):
    volume, truth = phantom((20, 24, 24), (5.0, 6.0, 6.0))
    drawn = annotate(np.where(truth == BALL, truth, 0))
    result = segmented(segmenter, volume, drawn, slice_axis=0)
    annotated = np.flatnonzero(drawn.any(axis=(0, 1)))
    assert result.report["slice_axis"] == 0
    assert result.report["labels"][str(BALL)]["annotated_slices"] == annotated.tolist()
    assert np.array_equal(result.labels[:, :, annotated], drawn[:, :, annotated])


@pytest.mark.parametrize("count", [1, 2])
def test_one_and_two_slices_are_enough_for_support_and_query(segmenter, count):
    volume, truth = phantom((count, 56, 56))
    drawn = annotate(truth, {BALL: [0], TUBE: [0]})
    result = segmented(segmenter, volume, drawn, slice_axis=2)
    assert np.array_equal(result.labels[0], drawn[0])
    assert dice(result.labels, truth, TUBE) > 0.9
    thick, _ = phantom((5, 56, 56), seed=2)
    assert segmenter.segment(thick).labels.shape == thick.array.shape  # a thin support, a thick query


@pytest.mark.parametrize("count", [1, 2])
def test_a_thin_query_of_another_patient_is_segmented(segmenter, small, count):
    volume, drawn, _ = small
    whole, truth = phantom(**SMALL, shift=(0.0, 0.05, 0.05), seed=9)
    matrix = whole.ijk_to_world.copy()
    matrix[:, 3] = matrix @ (0, 0, 3, 1)
    segmenter.set_support(volume, drawn)
    result = segmenter.segment(Volume(whole.array[3 : 3 + count], matrix))
    assert result.labels.shape == (count, 40, 40) and result.report["same_scan"] is False
    assert dice(result.labels, truth[3 : 3 + count], BALL) > 0.5


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        pytest.param((5, 128, 128), (5.0, 2.0, 2.0), id="128 x 128"),
        pytest.param((3, 512, 512), (5.0, 0.7, 0.7), id="512 x 512"),
        pytest.param((6, 90, 120), (8.0, 0.5, 0.5), id="thick slices, not square"),
        pytest.param((40, 33, 47), (1.0, 5.0, 4.0), id="thin slices, odd sides"),
    ],
)
def test_size_and_spacing_do_not_matter(segmenter, shape, spacing):
    volume, truth = phantom(shape, spacing)
    middle = shape[0] // 2
    drawn = annotate(truth, {BALL: [middle]})
    result = segmented(segmenter, volume, drawn, slice_axis=2)
    assert result.labels.shape == shape
    assert dice(result.labels, truth, BALL, drawn) > 0.75


def test_voxel_types_do_not_matter(segmenter):
    volume, truth = phantom(**SMALL)
    whole = np.round(volume.array)
    drawn = annotate(truth, {BALL: [3]})
    results = [
        segmented(segmenter, Volume(whole.astype(kind), frame(SMALL["spacing"], SMALL["shape"])), drawn)
        for kind in (np.int16, np.float64, ">f4")
    ]
    assert all(np.array_equal(results[0].labels, other.labels) for other in results[1:])
