"""One annotated slice of one patient, the whole scan of another: other anatomy, grid, spacing and orientation."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scans import BALL, TUBE, annotate, dice, phantom, turned_volume

from DPLSegmentLib import OneShotSegmenter, Volume
from DPLSegmentLib.synthetic import generate_anatomy, render, second_patient
from DPLSegmentLib.synthetic.scan import SyntheticScan

SHAPE, SPACING = (16, 72, 72), (8.0, 4.8, 4.8)
WANTED = ("liver", "spleen")


def scan_of(anatomy, seed: int) -> SyntheticScan:
    return SyntheticScan(render(anatomy, seed, "ct"), anatomy.labels, anatomy.names, anatomy.spacing, ())


def on_another_grid(image: sitk.Image, interpolator: int) -> sitk.Image:
    """Cropped, with voxels of 4 x 5.5 x 7 mm and stored sagittally."""
    sizes, spacing = (78, 58, 16), (4.0, 5.5, 7.0)
    start = image.TransformContinuousIndexToPhysicalPoint((2.3, 3.1, 0.9))
    moved = sitk.Resample(
        image, sizes, sitk.Transform(), interpolator, start, spacing, image.GetDirection(), 0.0, image.GetPixelID()
    )
    return sitk.PermuteAxes(moved, (1, 2, 0))


@pytest.fixture(scope="module")
def segmenter():
    return OneShotSegmenter.load(device="cpu")


@pytest.fixture(scope="module")
def patients():
    """Support volume, its annotation, query volume, its truth, names."""
    anatomy = generate_anatomy(2, SHAPE, SPACING)
    names = {value: name for value, name in anatomy.names.items() if name in WANTED}
    support, other = scan_of(anatomy, 2), scan_of(second_patient(anatomy, 5), 6)
    drawn = annotate(np.where(np.isin(support.labels, list(names)), support.labels, 0))
    query = Volume.from_sitk(on_another_grid(other.volume.to_sitk(), sitk.sitkLinear), "query")
    truth = Volume.from_sitk(on_another_grid(other.label_volume.to_sitk(), sitk.sitkNearestNeighbor)).array
    return support.volume, drawn, query, truth, names


def test_organs_of_another_patient_are_found_on_the_query_grid(segmenter, patients):
    volume, drawn, query, truth, names = patients
    assert len(names) == 2 and all((truth == value).sum() > 100 for value in names)
    segmenter.set_support(volume, drawn)
    result = segmenter.segment(query)
    assert result.labels.shape == query.array.shape and set(np.unique(result.labels)) <= {0, *names}
    assert result.report["same_scan"] is False and result.report["slice_axis"] == 1
    found = {name: dice(result.labels, truth, value) for value, name in names.items()}
    assert np.mean(list(found.values())) > 0.3, found
    for value in names:
        voxel_ml = abs(np.linalg.det(query.ijk_to_world[:3, :3])) / 1000
        entry = result.report["labels"][str(value)]
        assert entry["volume_ml"] == pytest.approx((result.labels == value).sum() * voxel_ml)


def test_other_noise_contrast_place_and_size_are_followed(segmenter):
    support, truth = phantom()
    query, wanted = phantom((8, 64, 50), (7.0, 3.5, 4.5), shift=(0.1, 0.05, -0.06), size=0.95, seed=4)
    darker = Volume(query.array * 0.3 - 20.0, query.ijk_to_world)
    segmenter.set_support(support, annotate(truth))
    for scan in (query, darker):
        result = segmenter.segment(scan)
        assert dice(result.labels, wanted, BALL) > 0.7 and dice(result.labels, wanted, TUBE) > 0.6


def test_an_organ_of_another_patient_is_found_at_about_its_size(segmenter):
    support, truth = phantom()
    query, wanted = phantom((8, 64, 50), (7.0, 3.5, 4.5), shift=(0.1, 0.05, -0.06), size=0.95, seed=4)
    segmenter.set_support(support, annotate(truth))
    labels = segmenter.segment(query).labels
    for label in (BALL, TUBE):
        assert 0.8 < (labels == label).sum() / (wanted == label).sum() < 1.3


def test_every_query_is_segmented_for_itself(segmenter):
    support, truth = phantom((6, 40, 40), (8.0, 5.0, 5.0))
    first, _ = phantom((5, 40, 44), (8.0, 5.0, 5.0), seed=1, shift=(0.0, 0.1, 0.0))
    second, _ = phantom((7, 36, 40), (8.0, 5.0, 5.0), seed=2, shift=(0.0, -0.1, 0.1))
    segmenter.set_support(support, annotate(truth, {BALL: [3]}))
    once = segmenter.segment(first)
    own = segmenter.segment()
    segmenter.segment(second)
    again = segmenter.segment(first)
    assert np.array_equal(once.labels, again.labels) and np.array_equal(once.uncertainty, again.uncertainty)
    assert own.report["same_scan"] is True and own.labels.shape == support.array.shape
    assert np.array_equal(own.labels, segmenter.segment(support).labels)


def test_a_query_that_shows_nothing_of_the_support_is_not_full_of_it(segmenter):
    support, truth = phantom((6, 40, 40), (8.0, 5.0, 5.0))
    noise = np.random.default_rng(0).normal(0, 1, (5, 40, 40))
    segmenter.set_support(support, annotate(truth, {BALL: [3]}))
    result = segmenter.segment(turned_volume(Volume(noise, support.ijk_to_world), ((2, 1, 0), (True, False, False))))
    assert result.labels.shape == (40, 40, 5)
    assert (result.labels > 0).mean() < 0.3
    assert np.isfinite(result.uncertainty).all()
    assert result.report["labels"][str(BALL)]["voxels"] == (result.labels == BALL).sum()
