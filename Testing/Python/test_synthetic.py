"""Synthetic bodies: reproducible, varied, anatomically arranged, and rendered as asked."""

from __future__ import annotations

import numpy as np
import pytest

from DPLSegmentLib import InputError
from DPLSegmentLib.synthetic import generate_anatomy, generate_scan, render, second_patient

SHAPE, SPACING = (24, 96, 96), (8.0, 3.6, 3.6)


@pytest.fixture(scope="module")
def anatomies():
    return [generate_anatomy(seed, SHAPE, SPACING) for seed in range(6)]


def centre(anatomy, name):
    label = next(value for value, text in anatomy.names.items() if text == name)
    return np.argwhere(anatomy.labels == label).mean(axis=0)


def test_same_seed_gives_the_same_scan_and_another_seed_another_body():
    first, again, other = (generate_scan(seed, SHAPE, SPACING) for seed in (3, 3, 4))
    assert np.array_equal(first.image, again.image) and np.array_equal(first.labels, again.labels)
    assert first.organs == again.organs
    assert (first.labels != other.labels).mean() > 0.1


def test_every_label_is_named_and_present(anatomies):
    for anatomy in anatomies:
        present = set(np.unique(anatomy.labels).tolist()) - {0}
        assert present == set(anatomy.names) == set(anatomy.kinds)
        assert anatomy.labels.dtype == np.int16


def test_organs_lie_where_they_belong(anatomies):
    checked = 0
    for anatomy in anatomies:
        names = set(anatomy.names.values())
        spine = centre(anatomy, "vertebrae")
        if {"liver", "spleen"} <= names:
            # Columns run to the patient's left, rows to posterior.
            assert centre(anatomy, "liver")[2] < spine[2] < centre(anatomy, "spleen")[2]
            checked += 1
        if {"left kidney", "right kidney"} <= names:
            assert centre(anatomy, "right kidney")[2] < spine[2] < centre(anatomy, "left kidney")[2]
            checked += 1
        assert centre(anatomy, "aorta")[1] < spine[1]
    assert checked >= 6


def test_organs_begin_and_end_at_different_slices(anatomies):
    ends = set()
    for anatomy in anatomies:
        for label, kind in anatomy.kinds.items():
            if kind == "organ":
                found = np.flatnonzero((anatomy.labels == label).any(axis=(1, 2)))
                ends.add((int(found[0]), int(found[-1])))
    assert len(ends) > 15


def test_air_surrounds_the_body_and_ct_values_tell_tissues_apart(anatomies):
    anatomy = anatomies[0]
    image = render(anatomy, 0, "ct")
    kinds = np.array(["outside"] + [anatomy.kinds[i] for i in range(1, max(anatomy.kinds) + 1)])[anatomy.labels]
    mean = {kind: image[kinds == kind].mean() for kind in ("outside", "fat", "muscle", "bone")}
    assert mean["outside"] < -900 < mean["fat"] < 0 < mean["muscle"] < mean["bone"]


@pytest.mark.parametrize("contrast", ["t1", "t2", "random"])
def test_mr_like_images_are_finite_and_not_negative(anatomies, contrast):
    image = render(anatomies[1], 5, contrast)
    assert image.dtype == np.float32 and image.shape == SHAPE
    assert np.isfinite(image).all() and image.min() >= 0 and image.std() > 0.02


def test_contrast_changes_the_image_and_never_the_anatomy(anatomies):
    before = anatomies[2].labels.copy()
    ct, t2 = render(anatomies[2], 1, "ct"), render(anatomies[2], 1, "t2")
    assert abs(np.corrcoef(ct.ravel(), t2.ravel())[0, 1]) < 0.95
    assert np.array_equal(before, anatomies[2].labels)


def test_second_patient_has_the_same_structures_elsewhere(anatomies):
    anatomy = anatomies[0]
    assert np.array_equal(second_patient(anatomy, 1, strength=0.0).labels, anatomy.labels)
    other = second_patient(anatomy, 1)
    assert other.names == anatomy.names
    body, moved = anatomy.labels > 0, other.labels > 0
    assert 0.7 < 2 * (body & moved).sum() / (body.sum() + moved.sum()) < 0.999
    assert (other.labels != anatomy.labels).mean() > 0.05


def test_scan_offers_organs_and_stands_right_in_the_world():
    scan = generate_scan(1, SHAPE, SPACING)
    assert len(scan.organs) >= 5
    assert all((scan.labels == label).any(axis=(1, 2)).sum() >= 3 for label in scan.organs)
    assert np.allclose(scan.volume.spacing, SPACING[::-1])
    assert np.array_equal(np.sign(np.diag(scan.volume.ijk_to_world)), [-1, -1, 1, 1])
    scan.volume.validate()
    assert np.array_equal(scan.label_volume.ijk_to_world, scan.volume.ijk_to_world)


def test_unusable_requests_are_refused():
    with pytest.raises(InputError, match="contrast"):
        render(generate_anatomy(0, (2, 32, 32), (8.0, 10.0, 10.0)), 0, "pet")
    with pytest.raises(InputError, match="rows"):
        generate_anatomy(0, (10, 8, 8))
    with pytest.raises(InputError, match="spacing"):
        generate_anatomy(0, (10, 64, 64), (1.0, 0.0, 1.0))
