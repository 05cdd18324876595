"""Real scans, where they are at hand: floors well below what the benchmarks report, so that only a break shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scans import annotate, dice

from DPLSegmentLib import OneShotSegmenter, Volume


@pytest.fixture(scope="module")
def segmenter():
    return OneShotSegmenter.load(device="cpu")


@pytest.fixture(scope="module")
def load(data_folder):
    """Reads one scan of a set and its label map (k, j, i)."""

    def read(name: str, number: int) -> tuple[Volume, np.ndarray]:
        folder = Path(data_folder) / name
        if not (folder / f"image_{number}.nii.gz").is_file():
            pytest.skip(f"NO REAL SCAN: {name} image {number} is not in {data_folder}.")
        image, labels = (sitk.ReadImage(str(folder / f"{kind}_{number}.nii.gz")) for kind in ("image", "label"))
        return Volume.from_sitk(image, f"{name} {number}"), sitk.GetArrayFromImage(labels)

    return read


def slice_axis_of(volume: Volume) -> int:
    """The numpy axis with the thickest slices."""
    return 2 - int(volume.spacing.argmax())


@pytest.fixture(scope="module")
def abdomen(load):
    volume, truth = load("chaos_t2", 2)
    return volume, truth, annotate(truth)


def test_one_slice_segments_the_rest_of_an_abdominal_scan(segmenter, abdomen):
    volume, truth, drawn = abdomen
    segmenter.set_support(volume, drawn)
    result = segmenter.segment()
    scores = [dice(result.labels, truth, value, drawn) for value in range(1, 5)]
    assert result.report["slice_axis"] == 2
    assert np.mean(scores) > 0.75, scores


def test_one_slice_segments_another_patient(segmenter, abdomen, load):
    volume, _, drawn = abdomen
    query, truth = load("chaos_t2", 15)
    segmenter.set_support(volume, drawn)
    result = segmenter.segment(query)
    assert result.labels.shape == query.array.shape and result.report["same_scan"] is False
    scores = [dice(result.labels, truth, value) for value in range(1, 5)]
    assert np.mean(scores) > 0.4, scores


def test_an_oblique_heart_is_segmented_on_its_own_grid(segmenter, load):
    volume, truth = load("card_bssfp", 1)
    axis = slice_axis_of(volume)
    directions = volume.ijk_to_world[:3, :3] / volume.spacing
    assert np.abs(directions).max(axis=0).min() < 0.99  # really oblique
    drawn = annotate(truth, axis=axis)
    segmenter.set_support(volume, drawn)
    result = segmenter.segment()
    assert result.labels.shape == volume.array.shape and result.report["slice_axis"] == 2 - axis
    assert np.mean([dice(result.labels, truth, value, drawn, axis) for value in (1, 2, 3)]) > 0.5
