"""Training data: pseudo-objects that follow borders, contrasts that keep shapes, a cache that comes back the
same."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

pytest.importorskip("scipy")

from DPLSegmentLib.synthetic import generate_anatomy
from DPLSegmentLib.training.cache import TrainingScan, load_cache, prepare_scan
from DPLSegmentLib.training.contrast import augment_contrast
from DPLSegmentLib.training.merging import merge_hierarchy, region_adjacency
from DPLSegmentLib.training.objects import body_mask, pseudo_objects
from DPLSegmentLib.training.synthetic_cache import random_grid, synthetic_training_scan

SPACING = (4.0, 2.0, 2.0)


def phantom() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU, body and truth: two organs of one intensity, joined by a narrow bridge, in fat, in air."""
    z, y, x = np.mgrid[:16, :64, :80]
    body = ((y - 32) / 28) ** 2 + ((x - 40) / 36) ** 2 < 1
    truth = np.zeros(body.shape, int)
    truth[((z - 7) / 6) ** 2 + ((y - 32) / 13) ** 2 + ((x - 24) / 12) ** 2 < 1] = 1
    truth[((z - 8) / 6) ** 2 + ((y - 32) / 13) ** 2 + ((x - 54) / 12) ** 2 < 1] = 2
    hu = np.where(truth > 0, 60.0, np.where(body, -100.0, -1000.0))
    hu[7:9, 31:33, 34:44] = 60.0
    return hu + np.random.default_rng(0).normal(0, 6, hu.shape), body, truth


@pytest.fixture(scope="module")
def found():
    hu, _, truth = phantom()
    body = body_mask(hu, -300)
    return pseudo_objects(np.clip((hu + 160) / 400, -0.25, 1.15), SPACING, body), body, truth


def test_pseudo_objects_find_the_organs(found):
    objects, _, truth = found
    labels = objects.labels(2)
    chosen = []
    for value in (1, 2):
        inside = np.bincount(labels[truth == value])
        inside[0] = 0
        best = int(inside.argmax())
        overlap = 2 * inside[best] / ((labels == best).sum() + (truth == value).sum())
        assert overlap > 0.8
        chosen.append(best)
    assert chosen[0] != chosen[1]


def test_levels_are_nested_and_cover_the_body():
    hu, _, _ = phantom()
    body = body_mask(hu, -300)
    objects = pseudo_objects(np.clip((hu + 160) / 400, -0.25, 1.15), SPACING, body, thresholds=(1e-3, 4e-3, 0.02, 0.5))
    assert np.array_equal(objects.regions > 0, body)
    counts = [len(np.unique(row)) for row in objects.groups]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]
    for fine, coarse in zip(objects.groups[:-1], objects.groups[1:], strict=True):
        pairs = np.unique(np.stack([fine, coarse]), axis=1)
        assert pairs.shape[1] == len(np.unique(fine))


def test_objects_are_never_skin_small_or_thin(found):
    objects, body, _ = found
    for labels in objects.volumes():
        assert not labels[~body].any()
        for value in np.unique(labels[labels > 0]):
            mask = labels == value
            assert mask.any(axis=(1, 2)).sum() >= 3
            assert mask.sum() * np.prod(SPACING) / 1000 >= 0.4


def test_region_adjacency_counts_shared_faces():
    regions = np.array([[[1, 1, 2], [1, 3, 2]]])
    pairs, faces, strength = region_adjacency(regions, np.ones(regions.shape))
    assert dict(zip(map(tuple, pairs.tolist()), faces.tolist(), strict=True)) == {
        (1, 2): 1,
        (1, 3): 2,
        (2, 3): 1,
    }
    assert np.allclose(strength, 1)


def test_merging_joins_alike_regions_first():
    regions = np.repeat(np.array([1, 2, 3]), 4).reshape(1, 1, 12) * np.ones((4, 4, 1), int)
    image = np.array([0.0, 0.0, 0.1, 1.0])[regions]
    table = merge_hierarchy(regions, image, np.zeros(image.shape), (0.2, 2.0), reference_voxels=64.0)
    assert table[0][1] == table[0][2] != table[0][3]
    assert len(np.unique(table[1][1:])) == 1 and table[1][0] == 0


def test_a_narrow_contact_keeps_alike_regions_apart_where_a_broad_one_does_not():
    def merged(contact: int, neck_power: float) -> bool:
        regions = np.zeros((16, 16, 33), int)
        regions[:, :, :16], regions[:, :, 17:] = 1, 2
        regions[:contact, :contact, 16] = 1
        weak = np.full(regions.shape, 0.1)
        table = merge_hierarchy(regions, weak * 0, weak, (0.2,), float(16**3), neck_power=neck_power)
        return bool(table[0][1] == table[0][2])

    assert merged(16, 1.0) and merged(3, 0.0)
    assert not merged(3, 1.0)


def test_prepared_scan_has_known_orientation_and_survives_the_file(tmp_path):
    hu, _, truth = phantom()
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing(SPACING[::-1])
    label = sitk.GetImageFromArray(truth.astype(np.uint8))
    label.CopyInformation(image)
    straight = prepare_scan(image, "phantom", label, ("first", "second"))
    flipped = prepare_scan(sitk.DICOMOrient(image, "RAI"), "phantom", sitk.DICOMOrient(label, "RAI"))
    assert np.array_equal(straight.image, flipped.image) and np.array_equal(straight.labels, flipped.labels)
    columns = [np.argwhere(straight.labels == value)[:, 2].mean() for value in (1, 2)]
    assert columns[0] < columns[1]
    assert max(straight.image.shape[1:]) <= 256 and np.allclose(straight.spacing, SPACING)
    straight.save(tmp_path / "phantom.npz")
    (again,) = load_cache(tmp_path)
    assert again.label_names == ("first", "second") and again.name == "phantom"
    for name in ("image", "regions", "groups", "objects", "labels", "spacing"):
        assert np.array_equal(getattr(again, name), getattr(straight, name))


def test_large_images_are_reduced_and_keep_their_extent():
    hu, _, _ = phantom()
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing(SPACING[::-1])
    full, small = prepare_scan(image, "a"), prepare_scan(image, "a", max_size=40)
    assert max(small.image.shape[1:]) == 40
    extent = np.array(full.image.shape) * full.spacing
    assert np.allclose(np.array(small.image.shape) * small.spacing, extent, rtol=0.05)


def slices() -> tuple[torch.Tensor, torch.Tensor]:
    hu, _, truth = phantom()
    body = torch.from_numpy(body_mask(hu, -300))
    return torch.from_numpy(hu[4:10]).float(), torch.from_numpy(truth[4:10] + 1) * body[4:10]


@pytest.mark.parametrize("seed", range(8))
def test_contrasts_stay_in_range_and_are_reproducible(seed):
    hu, groups = slices()
    image = ((hu + 1000) / 2500).clamp(0, 1)
    results = [augment_contrast(image, groups, np.random.default_rng(seed)) for _ in range(2)]
    assert torch.equal(*results)
    assert results[0].shape == hu.shape and results[0].min() >= 0 and results[0].max() <= 1
    assert torch.isfinite(results[0]).all() and not torch.equal(results[0], image)


def test_contrasts_change_the_order_of_structures_but_keep_their_borders():
    hu, groups = slices()
    image = ((hu + 1000) / 2500).clamp(0, 1)
    orders, sharp = set(), []
    for seed in range(24):
        changed = augment_contrast(image, groups, np.random.default_rng(seed))
        means = [float(changed[groups == value].mean()) for value in (1, 2, 3)]
        orders.add(tuple(np.argsort(means)))
        within = np.mean([float(changed[groups == value].std()) for value in (1, 2, 3)])
        sharp.append(np.ptp(means) > within)
    assert len(orders) >= 3  # one shape, many modalities
    assert np.mean(sharp) > 0.5  # structures can mostly still be told apart


def test_synthetic_bodies_fit_the_cache(tmp_path):
    shape, spacing = random_grid(3)
    assert 30 <= shape[0] <= 60 and 128 <= shape[1] <= 224 and 2 <= spacing[0] <= 8
    anatomy = generate_anatomy(3, (16, 64, 64), (8.0, 6.0, 6.0))
    scan = synthetic_training_scan(anatomy, 3)
    scan.save(tmp_path / "synth.npz")
    again = TrainingScan.load(tmp_path / "synth.npz")
    assert np.array_equal(again.regions, anatomy.labels)
    objects = again.object_labels(0)
    names = {anatomy.names[int(value)] for value in np.unique(objects[objects > 0])}
    assert "vertebrae" in names and not names & {"skin", "inner fat", "muscle wall"}
