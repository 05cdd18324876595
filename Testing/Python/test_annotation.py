from __future__ import annotations

import numpy as np
import pytest

from DPLSegmentLib.annotation import interpret_annotation
from DPLSegmentLib.errors import InputError
from DPLSegmentLib.geometry import Volume


def scan(spacing=(1.0, 1.0, 5.0), shape=(6, 8, 10)) -> Volume:
    return Volume(np.arange(np.prod(shape), dtype=float).reshape(shape), np.diag([*spacing, 1.0]))


def labels_on(axis: int, index: int, shape=(6, 8, 10), value=3) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    where = [slice(1, 4)] * 3
    where[2 - axis] = slice(index, index + 1)
    labels[tuple(where)] = value
    return labels


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_slice_axis_is_the_one_with_fewest_annotated_slices(axis):
    annotation = interpret_annotation(labels_on(axis, 4), scan())
    assert annotation.slice_axis == axis
    assert annotation.slices == {3: (4,)}


@pytest.mark.parametrize("coarse", [0, 1, 2])
def test_a_tie_goes_to_the_coarsest_spacing(coarse):
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[2, 3, 4] = 1
    spacing = [1.0, 1.0, 1.0]
    spacing[coarse] = 3.0
    assert interpret_annotation(labels, scan(spacing)).slice_axis == coarse


def test_a_tie_in_an_isotropic_scan_goes_to_axial_slices_however_it_is_stored():
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[2, 3, 4] = 1
    assert interpret_annotation(labels, scan((1, 1, 1))).slice_axis == 2
    sagittal = np.eye(4)[[2, 0, 1, 3]]  # i runs along A, j along S
    assert interpret_annotation(labels, Volume(np.zeros(labels.shape), sagittal)).slice_axis == 1


def test_labels_on_different_and_several_slices_keep_their_own_slices():
    labels = labels_on(2, 1, value=3) + labels_on(2, 4, value=7)
    labels[5, 6, 6] = 3
    annotation = interpret_annotation(labels, scan())
    assert annotation.slices == {3: (1, 5), 7: (4,)}
    np.testing.assert_array_equal(annotation.masks[7], labels == 7)


def test_the_axis_can_be_overridden_and_a_slice_chosen():
    labels = labels_on(2, 1) + labels_on(2, 4, value=7)
    assert interpret_annotation(labels, scan(), slice_axis=0).slices == {3: (1, 2, 3), 7: (1, 2, 3)}
    chosen = interpret_annotation(labels, scan(), slice_axis=2, slice_index=4)
    assert chosen.slices == {7: (4,)}


def test_masks_may_overlap_and_empty_ones_are_no_annotation():
    mask = labels_on(2, 1) > 0
    annotation = interpret_annotation({5: mask, 2: mask, 9: np.zeros_like(mask)}, scan())
    assert list(annotation.masks) == [2, 5]


def test_which_labels_overlap_is_known():
    whole, part, other = labels_on(2, 1) > 0, np.zeros((6, 8, 10), bool), labels_on(2, 4) > 0
    part[1, 2, 2] = True
    overlaps = interpret_annotation({2: whole, 5: part, 9: other}, scan(), slice_axis=2).overlaps()
    assert overlaps == {2: {5}, 5: {2}, 9: frozenset()}


def test_whole_floating_values_are_labels():
    annotation = interpret_annotation(labels_on(2, 1).astype(np.float32), scan())
    assert list(annotation.masks) == [3]


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        (np.zeros((6, 8, 10)), {}, "empty"),
        ({4: np.zeros((6, 8, 10), bool)}, {}, "empty"),
        (labels_on(2, 1), {"slice_axis": 2, "slice_index": 2}, "empty on slice 2"),
        (labels_on(2, 1), {"slice_axis": 2, "slice_index": 6}, "does not exist"),
        (labels_on(2, 1), {"slice_axis": 2, "slice_index": -1}, "does not exist"),
        (labels_on(2, 1), {"slice_axis": 3}, "0, 1 or 2"),
        (np.ones((6, 8, 9)), {}, "9 x 8 x 6"),
        (labels_on(2, 1) * 0.5, {}, "whole"),
        (labels_on(2, 1) * np.nan, {}, "whole"),
        (labels_on(2, 1).astype(np.int16) * -1, {}, "negative label -3"),
        (labels_on(2, 1).astype(np.int64) * 30000, {}, "90000"),
        ({0: labels_on(2, 1)}, {}, "label value 0"),
    ],
)
def test_impossible_annotations_are_refused_with_a_reason(labels, options, words):
    with pytest.raises(InputError, match=words):
        interpret_annotation(labels, scan(), **options)
