"""The public interface on a small scan with known truth: what comes back, how sure, and what is computed only once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scans import BALL, TUBE, annotate, dice, phantom

from DPLSegmentLib import OneShotSegmenter, Volume
from DPLSegmentLib.errors import InputError


@pytest.fixture(scope="module")
def segmenter():
    return OneShotSegmenter.load(device="cpu")


@pytest.fixture(scope="module")
def scan():
    volume, truth = phantom()
    return volume, truth, annotate(truth)


@pytest.fixture(scope="module")
def done(segmenter, scan):
    """The scan segmented once, and what progress said."""
    volume, _, drawn = scan
    said = []
    segmenter.set_support(volume, drawn, progress=lambda fraction, message: said.append(("support", fraction, message)))
    return segmenter.segment(progress=lambda fraction, message: said.append(("query", fraction, message))), said


@pytest.fixture
def encoded(segmenter):
    """Collects how many slices each call of the encoder gets."""
    batches = []
    handle = segmenter._model.encoder.register_forward_hook(lambda module, given, made: batches.append(len(made)))
    yield batches
    handle.remove()


def test_three_lines_segment_a_scan_on_its_own_grid(scan):
    volume, truth, drawn = scan
    segmenter = OneShotSegmenter.load(device="auto")
    segmenter.set_support(volume, drawn)
    result = segmenter.segment()
    assert result.labels.shape == result.uncertainty.shape == volume.array.shape
    assert result.labels.dtype == np.uint16 and set(np.unique(result.labels)) == {0, BALL, TUBE}
    assert result.uncertainty.dtype == np.float32
    assert result.uncertainty.min() >= 0 and 0.1 < result.uncertainty.max() <= 1
    assert dice(result.labels, truth, BALL, drawn) > 0.85
    assert dice(result.labels, truth, TUBE, drawn) > 0.8


def test_errors_are_less_certain_than_the_rest(done, scan):
    result, truth = done[0], scan[1]
    wrong = result.labels != truth
    assert wrong.any() and result.uncertainty[wrong].mean() > 5 * result.uncertainty[~wrong].mean()


def test_the_uncertainty_about_one_label_leaves_the_others_out(done, scan):
    result, truth, drawn = done[0], scan[1], scan[2]
    about = {value: result.label_uncertainty(value) for value in (BALL, TUBE)}
    mistaken = 0
    for value, other in ((BALL, TUBE), (TUBE, BALL)):
        assert about[value].shape == truth.shape and about[value].dtype == np.float32
        assert (about[value] <= result.uncertainty + 2e-3).all()
        wrong = (result.labels == value) != (truth == value)
        mistaken += int(wrong.sum())
        assert not wrong.any() or about[value][wrong].mean() > 5 * about[value][~wrong].mean()
        assert about[value][truth == other].mean() < 0.2 * about[other][truth == other].mean()
        annotated = (drawn == value).any(axis=(1, 2))
        assert (about[value][annotated] == 0).all()
    assert mistaken > 0


def test_the_uncertainty_about_a_label_that_was_not_annotated_is_refused(done):
    with pytest.raises(InputError, match=f"Label 77 was not annotated; choose one of {BALL}, {TUBE}"):
        done[0].label_uncertainty(77)


def test_the_annotation_stands_as_drawn_and_is_certain(done, scan):
    result, drawn = done[0], scan[2]
    for value in (BALL, TUBE):
        mask = drawn == value
        place = int(np.flatnonzero(mask.any(axis=(1, 2)))[0])
        assert np.array_equal(result.labels[place] == value, mask[place])
        assert (result.uncertainty[mask] == 0).all()
        assert (result.uncertainty[place - 1][result.labels[place - 1] == value] > 0).any()


def test_what_was_not_drawn_on_a_fully_annotated_slice_is_certain_background(segmenter, scan):
    volume, truth, _ = scan
    drawn = annotate(truth, {BALL: [4], TUBE: [4]})
    segmenter.set_support(volume, drawn)
    result = segmenter.segment()
    assert np.array_equal(result.labels[4], drawn[4])
    assert (result.uncertainty[4] == 0).all()


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_noise(done, scan):
    volume, truth, drawn = scan
    first = done[0]
    for seed in (0, 0, 11):
        fresh = OneShotSegmenter.load(device="cpu", seed=seed)
        fresh.set_support(volume, drawn)
        result = fresh.segment()
        if seed == 0:
            assert np.array_equal(result.labels, first.labels)
            assert np.array_equal(result.uncertainty, first.uncertainty)
            assert np.array_equal(fresh.segment().uncertainty, first.uncertainty)
        else:
            assert not np.array_equal(result.uncertainty, first.uncertainty)
            assert (result.labels != first.labels).sum() < 0.02 * (truth > 0).sum()
            assert np.abs(result.uncertainty - first.uncertainty).mean() < 0.01
        assert result.report["seed"] == seed


def test_a_second_label_or_slice_on_the_same_scan_is_not_encoded_again(segmenter, scan, encoded):
    volume, truth, drawn = scan
    segmenter.clear_cache()
    segmenter.set_support(volume, np.where(drawn == BALL, drawn, 0))
    assert sum(encoded) == len(volume.array)
    segmenter.segment()
    copy = Volume(volume.array.copy(), volume.ijk_to_world.copy(), "a copy")
    segmenter.set_support(copy, annotate(truth, {TUBE: [6]}))
    result = segmenter.segment(copy)
    assert sum(encoded) == len(volume.array)
    assert set(np.unique(result.labels)) == {0, TUBE}
    segmenter.clear_cache()
    assert np.array_equal(segmenter.segment().labels, result.labels)
    assert sum(encoded) == 2 * len(volume.array)


def test_a_query_that_holds_the_support_voxels_is_the_same_scan(segmenter, scan, done):
    volume, _, drawn = scan
    segmenter.set_support(volume, drawn)
    result = segmenter.segment(Volume(volume.array.copy(), volume.ijk_to_world.copy()))
    assert result.report["same_scan"] is True
    assert np.array_equal(result.labels, done[0].labels)
    assert np.array_equal(result.uncertainty, done[0].uncertainty)


def test_changed_voxels_are_noticed_though_the_array_is_the_same_object(segmenter, scan, encoded):
    volume, _, drawn = scan
    segmenter.set_support(volume, drawn)
    encoded.clear()
    changed = Volume(volume.array.copy(), volume.ijk_to_world)
    segmenter.set_support(changed, drawn)
    assert encoded == []
    changed.array[4, 20:30, 20:30] += 40.0
    segmenter.segment()
    assert sum(encoded) == len(volume.array)


def test_progress_never_falls_and_ends_at_one(done):
    for part in ("support", "query"):
        fractions = [fraction for name, fraction, _ in done[1] if name == part]
        assert len(fractions) >= 2 and fractions == sorted(fractions)
        assert 0 <= fractions[0] < 1 and fractions[-1] == 1.0
    assert all(isinstance(message, str) and message for _, _, message in done[1])


def test_the_report_is_json_and_agrees_with_the_labels(done, scan, segmenter):
    result, drawn = done[0], scan[2]
    report = result.report
    assert json.loads(json.dumps(report)) == report
    assert report["same_scan"] is True and report["slice_axis"] == 2 and report["device"].startswith("cpu")
    assert report["weights"]["sha256"] == segmenter.weights.sha256
    assert 0 < report["seconds"]["matching"] <= report["seconds"]["total"]
    assert set(report["labels"]) == {str(BALL), str(TUBE)}
    for value in (BALL, TUBE):
        entry, mask = report["labels"][str(value)], result.labels == value
        slices = np.flatnonzero(mask.any(axis=(1, 2)))
        assert entry["voxels"] == mask.sum() > 0
        assert entry["volume_ml"] == pytest.approx(mask.sum() * 6.0 * 4.0 * 4.0 / 1000)
        assert entry["annotated_slices"] == np.flatnonzero((drawn == value).any(axis=(1, 2))).tolist()
        assert [entry["first_slice"], entry["last_slice"]] == [slices[0], slices[-1]]
        own = result.label_uncertainty(value)  # not the map of all labels, in which the other one's border shows, too
        assert entry["mean_uncertainty"] == pytest.approx(own[mask].mean(), rel=1e-4)
        means = {int(k): own[k][mask[k]].mean() for k in slices}
        assert means[entry["least_certain_slice"]] == pytest.approx(max(means.values()), rel=1e-5)
