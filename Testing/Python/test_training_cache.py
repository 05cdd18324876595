"""The training cache: which files count as scans, what is left out, what is reused, how large it gets."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("scipy")

from DPLSegmentLib import InputError
from DPLSegmentLib.training.cache import DataConfig, main, prepare_cache
from DPLSegmentLib.training.codec import read_arrays, write_arrays
from DPLSegmentLib.training.prepare import kept_runs
from DPLSegmentLib.training.scan_files import find_scans, fold_of, natural_key
from DPLSegmentLib.training.training_scan import TrainingScan, is_cache, load_cache

SPACING = (2.5, 2.5, 5.0)
TINY = ((8, 48, 48), (10.0, 8.0, 8.0))


def write(path, array) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def body(offset: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An MR-like scan with one bright organ on slices 6..10, and its label map."""
    z, y, x = np.mgrid[:20, :40, :40]
    inside = ((y - 20) / 16) ** 2 + ((x - 20) / 17) ** 2 < 1
    organ = ((z - 8) / 2.9) ** 2 + ((y - 20) / 8) ** 2 + ((x - 16 - offset) / 8) ** 2 < 1
    image = np.where(organ, 240, np.where(inside, 100, 0)) + np.random.default_rng(offset).normal(0, 4, inside.shape)
    return np.abs(image).astype(np.int16), organ.astype(np.uint8)


@pytest.fixture()
def data(tmp_path):
    folder = tmp_path / "mr"
    for number in (1, 2, 10):
        image, label = body(number % 3)
        write(folder / f"image_{number}.nii.gz", image)
        write(folder / f"label_{number}.nii.gz", label)
        write(folder / f"supervoxels_{number}.nii.gz", label)
    return folder


def test_label_maps_are_no_scans_but_found_beside_them(data):
    scans = find_scans([data])
    assert [scan.path.name for scan in scans] == ["image_1.nii.gz", "image_2.nii.gz", "image_10.nii.gz"]
    assert [scan.labels.name for scan in scans] == ["label_1.nii.gz", "label_2.nii.gz", "label_10.nii.gz"]
    assert scans[0].name == "mr_image_1"


def test_names_can_be_chosen(data):
    assert len(find_scans([data], pattern="*_1*")) == 6  # a pattern is taken at its word
    assert [s.path.name for s in find_scans([data], pattern="*_10*", exclude="[ls]*")] == ["image_10.nii.gz"]
    with pytest.raises(InputError, match="holds no scans that match"):
        find_scans([data], pattern="nothing*")
    with pytest.raises(InputError, match="does not exist"):
        find_scans([data / "none"])


@pytest.mark.parametrize(
    ("scan", "label"),
    [("p01_ct.nrrd", "p01_label.nrrd"), ("a.nii.gz", "a_seg.nii.gz"), ("b.mha", "b.seg.nrrd"), ("mask_x.nrrd", None)],
)
def test_common_names_of_label_maps(tmp_path, scan, label):
    image, organ = body()
    write(tmp_path / scan, image)
    if label is None:
        with pytest.raises(InputError, match="no scans"):
            find_scans([tmp_path])
        return
    write(tmp_path / label, organ)
    (found,) = find_scans([tmp_path])
    assert found.path.name == scan and found.labels.name == label


def test_folds_are_consecutive_scans_in_natural_order(tmp_path):
    names = [f"image_{n}.nii.gz" for n in (10, 2, 33, 1, 5, 21, 7, 8)]
    for name in names:
        write(tmp_path / name, body()[0])
    scans = find_scans([tmp_path])
    others, test = fold_of(scans, 0)
    numbers = [int(natural_key(scan.path)[-2][1]) for scan in test]
    assert len(test) == 5 and len(others) == 3 and not set(test) & set(others)
    assert [s.path.name for s in test] == [f"image_{n}.nii.gz" for n in (1, 2, 5, 7, 8)], numbers
    with pytest.raises(InputError, match="no fold 2"):
        fold_of(scans, 2)


def test_the_cache_is_reused_until_a_scan_changes(data, tmp_path):
    config = DataConfig(data=(data,), bodies=1, pairs=1, grid=TINY)
    files = prepare_cache(config, tmp_path / "cache")
    assert is_cache(tmp_path / "cache") and len(load_cache(tmp_path / "cache")) == 3 + 2
    times = {path: path.stat().st_mtime_ns for path in files}
    assert prepare_cache(config, tmp_path / "cache") == files
    assert times == {path: path.stat().st_mtime_ns for path in files}
    image, _ = body(2)
    write(data / "image_1.nii.gz", image)
    os.utime(data / "image_1.nii.gz", (1e9, 1e9))
    again = prepare_cache(config, tmp_path / "cache")
    assert len(set(files) - set(again)) == 1
    # A cache is data like any other, and is used as it is.
    assert prepare_cache(DataConfig(data=(tmp_path / "cache",)), tmp_path / "other") == sorted(again)


def test_labels_are_kept_only_where_asked_for(data, tmp_path):
    (plain, *_) = [TrainingScan.load(p) for p in prepare_cache(DataConfig(data=(data,)), tmp_path / "a")]
    (kept, *_) = [TrainingScan.load(p) for p in prepare_cache(DataConfig((data,), (data,)), tmp_path / "b")]
    assert not plain.labels.size and kept.labels.any()


def test_a_test_fold_never_reaches_the_cache(data, tmp_path):
    for number in (3, 4, 5, 6):
        write(data / f"image_{number}.nii.gz", body(number % 3)[0])
    files = prepare_cache(DataConfig(data=(data,), fold=0), tmp_path / "cache")
    assert sorted(TrainingScan.load(path).name for path in files) == ["mr_image_10", "mr_image_6"]


def test_a_prepared_cache_is_never_silently_used_whole(data, tmp_path):
    prepare_cache(DataConfig(data=(data,)), tmp_path / "cache")
    for wrong in ({"fold": 0}, {"drop_organs": ()}):
        with pytest.raises(InputError, match="cannot be divided"):
            prepare_cache(DataConfig(data=(tmp_path / "cache",), **wrong), tmp_path / "other")
    with pytest.raises(InputError, match="give their folder"):
        prepare_cache(DataConfig(fold=0, bodies=1), tmp_path / "other")


def test_slices_with_any_test_organ_are_dropped_before_anything_is_computed(data, tmp_path):
    config = DataConfig(data=(data,), drop_organs=(), pattern="image_*")
    found = [TrainingScan.load(path) for path in prepare_cache(config, tmp_path / "cache")]
    shown = np.flatnonzero(body()[1].any(axis=(1, 2)))
    parts = [scan for scan in found if scan.name.startswith("mr_image_1_")]
    assert [scan.name[-5:] for scan in parts] == ["part1", "part2"]
    assert [len(scan.image) for scan in parts] == [shown[0], 20 - shown[-1] - 1]
    # The organ is the only bright thing, and no slice shows it.
    volume = body()[0]
    left = np.concatenate([volume[: shown[0]], volume[shown[-1] + 1 :]])
    assert (left > 200).sum() == 0
    other = DataConfig(data=(data,), drop_organs=(7,), pattern="image_*")
    whole = [TrainingScan.load(path) for path in prepare_cache(other, tmp_path / "other")]
    assert {len(scan.image) for scan in whole} == {20}


def test_dropping_every_slice_is_said(tmp_path):
    image, label = body()
    write(tmp_path / "all" / "image_1.nii.gz", image)
    write(tmp_path / "all" / "label_1.nii.gz", np.ones_like(label))
    with pytest.raises(InputError, match="enough slices without these labels"):
        prepare_cache(DataConfig(data=(tmp_path / "all",), drop_organs=(), bodies=1), tmp_path / "cache")


def test_short_runs_are_not_kept():
    keep = np.array([1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1], bool)
    assert kept_runs(keep) == [slice(4, 9)]
    assert kept_runs(np.ones(6, bool)) == [slice(0, 6)]


def test_arrays_come_back_and_damage_is_noticed(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 4, 5)).astype(np.uint8)
    labels = rng.integers(0, 70_000, (3, 4, 5))
    labels[0, 0, 0] = 70_000
    path = tmp_path / "a.npz"
    write_arrays(path, {"image": image, "labels": labels, "name": np.array("x")}, ("image",), ("labels",))
    again = read_arrays(path)
    assert np.array_equal(again["image"], image) and np.array_equal(again["labels"], labels)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="damaged"):
        read_arrays(path)


def test_the_command_says_the_size_and_refuses_bad_input(data, tmp_path, capsys):
    assert main(["--data", str(data), "--bodies", "0", "--output", str(tmp_path / "c")]) == 0
    assert "3 prepared scans and 0 generated bodies" in capsys.readouterr().out
    for wrong in (["--data", str(tmp_path / "none")], ["--data", str(data), "--offset", "x=1"], []):
        assert main([*wrong, "--output", str(tmp_path / "d")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
