"""Training data: pseudo-objects that follow borders, contrasts that keep shapes, a cache that comes back the
same."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

pytest.importorskip("scipy")

from DPLSegmentLib.geometry import Volume
from DPLSegmentLib.synthetic import generate_anatomy, with_couch
from DPLSegmentLib.training.bodies import body_scan, random_grid
from DPLSegmentLib.training.contrast import augment_contrast
from DPLSegmentLib.training.merging import merge_hierarchy, region_adjacency
from DPLSegmentLib.training.modality import body_mask, faint_body_mask, is_hounsfield
from DPLSegmentLib.training.objects import pseudo_objects
from DPLSegmentLib.training.prepare import natural_frame, prepare_scan
from DPLSegmentLib.training.training_scan import TrainingScan

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


def volume(array: np.ndarray, spacing=SPACING, orientation: str = "LPS") -> Volume:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    return Volume.from_sitk(sitk.DICOMOrient(image, orientation), "phantom")


def test_prepared_scan_has_known_orientation_and_survives_the_file(tmp_path):
    hu, _, truth = phantom()
    found = {}
    for name in ("LPS", "RAI"):
        labels = volume(truth.astype(np.uint8), orientation=name).array
        masks = {value: labels == value for value in (1, 2)}
        found[name] = prepare_scan(volume(hu.astype(np.int16), orientation=name), "phantom", masks, ("first", "second"))
    straight, flipped = found["LPS"], found["RAI"]
    assert np.array_equal(straight.image, flipped.image) and np.array_equal(straight.labels, flipped.labels)
    columns = [np.argwhere(straight.labels == value)[:, 2].mean() for value in (1, 2)]
    assert columns[0] < columns[1]
    assert straight.image.dtype == np.uint8 and np.ptp(straight.image) > 200
    assert max(straight.image.shape[1:]) <= 256 and np.allclose(straight.spacing, SPACING)
    straight.save(tmp_path / "phantom.npz")
    again = TrainingScan.load(tmp_path / "phantom.npz")
    assert again.label_names == ("first", "second") and again.name == "phantom" and again.kind == "scan"
    for name in ("image", "regions", "groups", "objects", "labels", "spacing"):
        assert np.array_equal(getattr(again, name), getattr(straight, name)), name


def test_large_images_are_reduced_and_keep_their_extent():
    hu, _, _ = phantom()
    scan = volume(hu.astype(np.int16))
    full, small = prepare_scan(scan, "a"), prepare_scan(scan, "a", max_size=40)
    assert max(small.image.shape[1:]) == 40
    extent = np.array(full.image.shape) * full.spacing
    assert np.allclose(np.array(small.image.shape) * small.spacing, extent, rtol=0.05)


def test_slices_are_those_that_were_acquired():
    hu, _, _ = phantom()
    sagittal = volume(np.transpose(hu.astype(np.int16), (1, 2, 0)), (2.0, 2.0, 4.0))
    assert natural_frame(sagittal).spacing == pytest.approx((4.0, 2.0, 2.0))
    assert prepare_scan(sagittal, "a").image.shape[0] == hu.shape[0]


def test_a_ct_is_recognised_by_its_air_and_tissue_and_never_guessed():
    hu, body, _ = phantom()
    assert is_hounsfield(hu)
    assert not is_hounsfield(hu + 1024)  # stored from 0: like an MR scan, so it has to be said
    assert not is_hounsfield(np.where(body, hu + 300, 0.0))
    assert not is_hounsfield((hu - hu.mean()) / hu.std())
    told = prepare_scan(volume((hu + 1024).astype(np.int16)), "a", hu_offset=-1024)
    plain = prepare_scan(volume(hu.astype(np.int16)), "a")
    assert np.array_equal(told.regions, plain.regions)


def test_objects_are_found_in_a_scan_without_an_intensity_scale():
    hu, body, truth = phantom()
    rng = np.random.default_rng(3)
    magnitude = np.where(truth > 0, 210.0, np.where(body, 90.0, 0.0))
    magnitude = np.hypot(magnitude + rng.normal(0, 6, hu.shape), rng.normal(0, 6, hu.shape))
    scan = prepare_scan(volume(magnitude.astype(np.float32)), "mr", {1: truth == 1, 2: truth == 2})
    inside = scan.regions > 0
    assert 0.9 < inside.sum() / body.sum() < 1.2
    for value in (1, 2):
        overlaps = []
        for level in range(len(scan.objects)):
            labels = scan.object_labels(level)
            shared = np.bincount(labels[scan.labels == value])
            shared[0] = 0
            best = int(shared.argmax())
            overlaps.append(2 * shared[best] / ((labels == best).sum() + (scan.labels == value).sum()))
        assert max(overlaps) > 0.8


def test_a_scan_without_background_is_all_body():
    rng = np.random.default_rng(0)
    assert faint_body_mask(rng.normal(500, 20, (6, 40, 40)), (5.0, 2.0, 2.0)).mean() > 0.95


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


def test_generated_bodies_fit_the_cache_and_stay_small(tmp_path):
    shape, spacing = random_grid(3)
    assert 30 <= shape[0] <= 60 and 128 <= shape[1] <= 224 and 2 <= spacing[0] <= 8
    anatomy = generate_anatomy(3, (16, 64, 64), (8.0, 6.0, 6.0))
    scan = body_scan(anatomy, 3)
    assert scan.save(tmp_path / "body.npz") < 0.25 * anatomy.labels.size
    again = TrainingScan.load(tmp_path / "body.npz")
    assert np.array_equal(again.regions, anatomy.labels)
    objects = again.object_labels(0)
    names = {anatomy.names[int(value)] for value in np.unique(objects[objects > 0])}
    assert "vertebrae" in names and not names & {"skin", "inner fat", "muscle wall"}


def test_a_couch_lies_behind_the_body_and_is_no_object():
    anatomy = generate_anatomy(3, (8, 96, 96), (8.0, 4.0, 4.0))
    lying = with_couch(anatomy, 3)
    assert np.array_equal(lying.labels[anatomy.labels > 0], anatomy.labels[anatomy.labels > 0])
    added = {label for label, kind in lying.kinds.items() if kind in ("couch", "foam")}
    assert added
    rows = np.argwhere(np.isin(lying.labels, list(added)))[:, 1]
    assert rows.mean() > np.argwhere(anatomy.labels > 0)[:, 1].mean()
    assert not body_scan(lying, 3).objects[0][list(added)].any()
