"""What each protocol annotates, shows and scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scans import BALL, TUBE, frame

from DPLSegmentLib import InputError, Volume
from DPLSegmentLib.evaluation.protocols import (
    PROTOCOLS,
    chunk_of_slices,
    make_episode,
    places_of_slices,
    slices_to_annotate,
)
from DPLSegmentLib.evaluation.scans import Scan, folds


def scan(areas: dict[int, list[int]], name: str = "a", step: float = 5.0, upside_down: bool = False) -> Scan:
    """A scan whose labels have these areas in pixels, slice by slice."""
    count = len(next(iter(areas.values())))
    truth = np.zeros((count, 8, 16), np.uint8)
    for number, (label, area) in enumerate(areas.items()):
        for index, pixels in enumerate(area):
            part = np.zeros(64, np.uint8)
            part[:pixels] = label
            truth[index, :, 8 * number : 8 * number + 8] = part.reshape(8, 8)
    matrix = frame((step, 1.0, 1.0), truth.shape)
    if upside_down:
        matrix[:3, 2] *= -1
    return Scan(
        name, Volume(truth.astype(np.float32), matrix, name), truth, {label: f"label {label}" for label in areas}
    )


def mask_on(slices: list[int], count: int = 40) -> np.ndarray:
    mask = np.zeros((count, 3, 3), bool)
    mask[slices, 1, 1] = True
    return mask


def test_slices_are_annotated_where_the_published_codes_annotate_them():
    mask = mask_on(list(range(7, 29)))  # 22 slices: int(22/6) = 3, int(22/2) = 11, int(22*5/6) = 18
    assert slices_to_annotate(mask, 3, "middle") == [10, 18, 25]
    assert slices_to_annotate(mask, 1, "middle") == [18]
    assert slices_to_annotate(mask_on([4, 9]), 3, "middle") == [4, 9]


def test_one_slice_is_the_largest_the_first_of_equals():
    mask = mask_on([3, 4, 5])
    mask[4:6, 2, 2] = True
    assert slices_to_annotate(mask, 1, "largest") == [4]


@given(st.integers(1, 40), st.integers(1, 4))
def test_chunks_share_out_all_slices_in_order_and_nearly_evenly(count, number):
    shown, annotated = np.arange(5, 5 + count), list(range(10, 10 + number))
    chunks = chunk_of_slices(shown, annotated)
    assert sorted(chunks) == shown.tolist()
    assert list(chunks.values()) == sorted(chunks.values())
    sizes = [list(chunks.values()).count(index) for index in annotated]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(2, 40), st.integers(0, 30), st.integers(6, 40))
def test_places_keep_the_share_of_the_extent(count, first, extent):
    # Of an organ of `extent` slices the places of the annotated ones are exact to the published codes' rounding.
    annotated = [first + int(extent * share) for share in (1 / 6, 1 / 2, 5 / 6)]
    places = places_of_slices(np.arange(count), annotated, 1.0)
    shares = (np.arange(count) + 0.5) / count
    assert list(places) == list(range(count))
    assert np.all(np.diff(list(places.values())) >= 0)
    assert np.allclose(list(places.values()), first + extent * shares - 0.5, atol=1.6)


def test_a_single_annotated_slice_gives_places_by_distance():
    assert places_of_slices(np.array([4, 5, 6]), [20], 2.0) == {4: 18.0, 5: 20.0, 6: 22.0}


def test_in_the_same_scan_each_label_is_scored_without_its_own_annotated_slices():
    one = scan({BALL: [0, 4, 9, 4, 0], TUBE: [5, 3, 3, 3, 3]})
    episode = make_episode(PROTOCOLS["S1"], one, one, 1)
    assert {label: list(slices) for label, slices in episode.drawn.items()} == {BALL: [2], TUBE: [0]}
    assert episode.same_scan and episode.scored == (BALL, TUBE)
    assert np.flatnonzero(~episode.scored_slices(BALL)).tolist() == [2]
    assert np.flatnonzero(~episode.scored_slices(TUBE)).tolist() == [0]
    assert (episode.annotation()[BALL].sum(axis=(1, 2)) > 0).tolist() == [False, False, True, False, False]


def test_another_patient_is_scored_on_all_slices_and_on_common_labels():
    support, query = scan({BALL: [0, 4, 9], TUBE: [5, 3, 3]}), scan({BALL: [2, 2, 2, 2]}, "b")
    episode = make_episode(PROTOCOLS["R1"], support, query, 1)
    assert episode.scored == (BALL,) and set(episode.drawn) == {BALL, TUBE}
    assert episode.scored_slices(BALL).all() and episode.places is None
    with pytest.raises(InputError, match="no label in common"):
        make_episode(PROTOCOLS["R1"], support, scan({7: [2, 2]}, "c"), 1)


@pytest.mark.parametrize("upside_down", [False, True])
def test_known_slices_are_those_of_the_label_and_follow_the_scans_directions(upside_down):
    support = scan({BALL: [0, 1, 2, 3, 4, 5, 6, 7]})
    query = scan({BALL: [3, 3, 3, 3, 3, 3, 0, 0]}, "b", upside_down=upside_down)
    episode = make_episode(PROTOCOLS["EP1"], support, query, 3).only(BALL)
    assert sorted(episode.drawn[BALL]) == [2, 4, 6]
    assert np.flatnonzero(episode.scored_slices(BALL)).tolist() == [0, 1, 2, 3, 4, 5]
    expected = [2, 2, 4, 4, 6, 6]
    found = [episode.chunks[BALL][index] for index in range(6)]
    assert found == (expected[::-1] if upside_down else expected)
    places = [episode.places[BALL][index] for index in range(6)]
    assert places == sorted(places, reverse=upside_down)


def test_folds_are_consecutive():
    names = [str(number) for number in range(12)]
    assert folds(names) == [names[:5], names[5:10], names[10:]]
