"""What may be annotated: several labels, several slices, large values, masks that overlap, too little of anything."""

from __future__ import annotations

import numpy as np
import pytest
from scans import BALL, TUBE, annotate, dice, phantom

from DPLSegmentLib import InputError, OneShotSegmenter, Volume


@pytest.fixture(scope="module")
def segmenter():
    return OneShotSegmenter.load(device="cpu")


@pytest.fixture(scope="module")
def scan():
    return phantom()


def segmented(segmenter, volume, labels, **choices):
    segmenter.set_support(volume, labels, **choices)
    return segmenter.segment()


def test_labels_on_different_slices_and_more_slices_are_at_least_as_good(segmenter, scan):
    volume, truth = scan
    one = annotate(truth, {BALL: [4], TUBE: [8]})
    more = annotate(truth, {BALL: [2, 4, 7], TUBE: [0, 5, 8]})
    first, second = segmented(segmenter, volume, one), segmented(segmenter, volume, more)
    assert first.report["labels"][str(TUBE)]["annotated_slices"] == [8]
    assert second.report["labels"][str(TUBE)]["annotated_slices"] == [0, 5, 8]
    for value in (BALL, TUBE):
        left_out = np.where(more == value, more, 0)
        before, after = (dice(result.labels, truth, value, left_out) for result in (first, second))
        assert before > 0.75 and after > before - 0.02
        drawn = (more == value).any(axis=(1, 2))
        assert np.array_equal(second.labels[drawn] == value, more[drawn] == value)


def test_a_gap_between_two_annotated_slices_is_closed_from_both_sides(segmenter, scan):
    volume, truth = scan
    drawn = annotate(truth, {TUBE: [0, 8]})
    result = segmented(segmenter, volume, drawn)
    assert all((result.labels[k] == TUBE).any() for k in range(9))
    assert dice(result.labels, truth, TUBE, drawn) > 0.85


def test_label_values_are_kept(segmenter, scan):
    volume, truth = scan
    values = np.array([0, 300, 65535], np.int32)
    drawn = values[annotate(truth)]
    result = segmented(segmenter, volume, drawn)
    assert set(np.unique(result.labels)) == {0, 300, 65535}
    assert dice(result.labels, values[truth], 300) > 0.85 and dice(result.labels, values[truth], 65535) > 0.8
    assert set(result.report["labels"]) == {"300", "65535"}


def test_masks_may_overlap(segmenter, scan):
    volume, truth = scan
    ball = annotate(truth, {BALL: [4]}) == BALL
    upper = ball.copy()
    rows = np.flatnonzero(ball.any(axis=(0, 2)))
    upper[:, rows[len(rows) // 2] :] = False
    result = segmented(segmenter, volume, {2: ball, 700: upper})
    assert set(np.unique(result.labels[4])) == {0, 2, 700}
    assert np.array_equal(result.labels[4] > 0, ball[4])
    assert (result.labels[4][(ball & ~upper)[4]] == 2).all()
    assert dice(result.labels > 0, truth == BALL, True, ball) > 0.8


def test_overlapping_labels_overlap_in_the_result_and_take_nothing_from_each_other(segmenter, scan):
    volume, truth = scan
    ball = annotate(truth, {BALL: [4]}) == BALL
    tube = annotate(truth, {TUBE: [4]}) == TUBE
    alone = segmented(segmenter, volume, {2: ball, 3: tube})
    assert alone.overlapping == {} and np.array_equal(alone.mask(2), alone.labels == 2)
    both = segmented(segmenter, volume, {2: ball, 3: tube, 7: ball | tube})
    assert set(both.overlapping) == {2, 3, 7}
    for value, single in ((2, alone.mask(2)), (3, alone.mask(3))):
        assert dice(both.mask(value), single, True) > 0.97
        assert dice(both.mask(value) & both.mask(7), both.mask(value), True) > 0.6
    assert np.array_equal(both.mask(7)[4], (ball | tube)[4]) and np.array_equal(both.mask(2)[4], ball[4])
    assert np.array_equal(both.labels == 7, both.mask(7))
    assert both.report["labels"]["2"]["voxels"] == both.mask(2).sum()
    assert not (both.mask(2) & both.mask(3)).any()


def test_the_number_of_variants_can_be_chosen(scan):
    volume, truth = scan
    drawn = annotate(truth)
    none = segmented(OneShotSegmenter.load(device="cpu", variants=0), volume, drawn)
    default = segmented(OneShotSegmenter.load(device="cpu"), volume, drawn)
    again = segmented(OneShotSegmenter.load(device="cpu", variants=8), volume, drawn)
    assert np.array_equal(again.uncertainty, default.uncertainty)
    assert not np.array_equal(none.uncertainty, default.uncertainty)
    with pytest.raises(InputError, match="variants"):
        OneShotSegmenter.load(device="cpu", variants=-1)


def test_one_slice_of_many_can_be_chosen(segmenter, scan):
    volume, truth = scan
    chosen = segmented(segmenter, volume, annotate(truth, {BALL: [3, 5]}), slice_index=5)
    alone = segmented(segmenter, volume, annotate(truth, {BALL: [5]}))
    assert np.array_equal(chosen.labels, alone.labels)
    assert chosen.report["labels"][str(BALL)]["annotated_slices"] == [5]


def test_a_single_voxel_and_a_whole_slice_can_be_annotated(segmenter, scan):
    volume, truth = scan
    voxel, whole = np.zeros_like(truth), np.zeros_like(truth)
    voxel[4, 20, 20], whole[4] = 1, 1
    for drawn in (voxel, whole):
        result = segmented(segmenter, volume, drawn, slice_axis=2)
        assert np.array_equal(result.labels[4], drawn[4])
        assert np.isfinite(result.uncertainty).all()


def bad_inputs():
    """name -> (change of volume and annotation, words of the message)."""

    def voxels(change):
        def make(volume, drawn):
            array = volume.array.copy()
            change(array)
            return Volume(array, volume.ijk_to_world, "scan"), drawn, {}

        return make

    def put(value, where):
        return voxels(lambda array: array.__setitem__(where, value))

    return {
        "nan": (put(np.nan, (0, 0, 0)), "NaN"),
        "infinite": (put(np.inf, (2, 3, 4)), "infinite"),
        "constant": (put(3.0, ...), "same value"),
        "size": (lambda volume, drawn: (volume, drawn[:-1], {}), "size"),
        "empty": (lambda volume, drawn: (volume, np.zeros_like(drawn), {}), "empty"),
        "no masks": (lambda volume, drawn: (volume, {}, {}), "empty"),
        "empty slice": (lambda volume, drawn: (volume, drawn, {"slice_axis": 2, "slice_index": 0}), "slice 0"),
        "no such slice": (lambda volume, drawn: (volume, drawn, {"slice_axis": 2, "slice_index": 9}), "does not exist"),
        "axis": (lambda volume, drawn: (volume, drawn, {"slice_axis": 3}), "slice axis"),
        "fractions": (lambda volume, drawn: (volume, drawn * 0.5, {}), "whole numbers"),
        "negative": (lambda volume, drawn: (volume, -drawn.astype(int), {}), "negative"),
        "too large": (lambda volume, drawn: (volume, drawn.astype(int) * 70000, {}), "65535"),
        "matrix": (lambda volume, drawn: (Volume(volume.array, np.zeros((4, 4))), drawn, {}), "matrix"),
        "flat": (
            lambda volume, drawn: (Volume(volume.array, volume.ijk_to_world[:, [0, 0, 2, 3]]), drawn, {}),
            "inverted",
        ),
        "2-d": (lambda volume, drawn: (Volume(volume.array[0], volume.ijk_to_world), drawn[0], {}), "3-D"),
        "complex": (lambda volume, drawn: (Volume(volume.array * 1j, volume.ijk_to_world), drawn, {}), "real"),
    }


def test_bad_input_is_refused_in_one_sentence_and_the_support_before_stays(segmenter, scan):
    volume, truth = scan
    drawn = annotate(truth, {BALL: [4]})
    before = segmented(segmenter, volume, drawn)
    for name, (change, words) in bad_inputs().items():
        support, labels, choices = change(volume, drawn)
        with pytest.raises(InputError) as caught:
            segmenter.set_support(support, labels, **choices)
        message = str(caught.value)
        assert words in message, name
        assert "\n" not in message and message.endswith(".") and ". " not in message, name
        if support is not volume:
            with pytest.raises(InputError, match=words):
                segmenter.segment(support)
    assert np.array_equal(segmenter.segment().labels, before.labels)


def test_without_a_support_there_is_nothing_to_segment(scan):
    with pytest.raises(InputError, match="support"):
        OneShotSegmenter.load(device="cpu").segment(scan[0])


def test_a_structure_thinner_than_a_network_pixel_is_not_lost_before_the_walk_begins(segmenter):
    array = np.random.default_rng(0).normal(50.0, 3.0, (5, 512, 512)).astype(np.float32)
    truth = np.zeros(array.shape, np.uint16)
    truth[:, 200:202, 301] = 1  # two voxels, half a network pixel
    array[truth == 1] = 400.0
    volume = Volume(array, np.diag([-0.5, -0.5, 2.0, 1.0]))
    drawn = np.where(np.arange(5)[:, None, None] == 2, truth, 0)
    result = segmented(segmenter, volume, drawn)
    assert np.array_equal(result.labels[2], truth[2])
    scan = segmenter._preparer.prepare(volume, 2)
    assert float(scan.network_mask(drawn == 1, 2).max()) == 1.0
