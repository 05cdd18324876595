from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DPLSegmentLib import cli
from DPLSegmentLib.geometry import Volume
from DPLSegmentLib.segments import Segment
from DPLSegmentLib.writing import write_labels, write_scalar

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = files("DPLSegmentLib") / "weights"
needs_model = pytest.mark.skipif(
    not WEIGHTS.is_dir() or not any(item.name.endswith((".pt", ".pth")) for item in WEIGHTS.iterdir()),
    reason="THE BUNDLED WEIGHTS ARE MISSING: nothing that needs the model is tested",
)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "DPLSegmentLib", *map(str, arguments)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=200,
    )  # fmt: skip


@pytest.fixture(scope="module")
def scan() -> Volume:
    """Two bright balls of different brightness in a noisy body."""
    k, j, i = np.mgrid[:14, :64, :72]
    array = np.random.default_rng(0).normal(0, 8, k.shape) - 900
    array[((j - 32) / 28) ** 2 + ((i - 36) / 32) ** 2 < 1] += 900
    array[ball(k, j, i, 24)] += 150
    array[ball(k, j, i, 48)] += 300
    return Volume(array.astype(np.float32), np.diag([2.0, 2.0, 5.0, 1.0]), "scan")


def ball(k: np.ndarray, j: np.ndarray, i: np.ndarray, column: int) -> np.ndarray:
    return ((k - 7) / 4) ** 2 + ((j - 32) / 9) ** 2 + ((i - column) / 9) ** 2 < 1


@pytest.fixture
def case(tmp_path, scan) -> dict[str, Path]:
    """A good command line's files; tests spoil one of them."""
    k, j, i = np.mgrid[:14, :64, :72]
    labels = np.zeros(scan.array.shape, np.uint16)
    labels[7][ball(k, j, i, 24)[7]] = 4
    labels[7][ball(k, j, i, 48)[7]] = 300
    support, annotation = tmp_path / "Patient ü.nii.gz", tmp_path / "label.seg.nrrd"
    write_scalar(support, scan.array, scan)
    write_labels(annotation, labels, scan, [Segment(4, "größe", (0.1, 0.5, 0.25), {"Tags": "x:y|"}, "A7")])
    return {"support": support, "annotation": annotation, "output": tmp_path / "out.seg.nrrd"}


def command(case: dict[str, object], *more: object) -> list[str]:
    return [
        "segment",
        *(str(part) for name, value in case.items() for part in (f"--{name}", value)),
        *map(str, more),
    ]


def refused(case: dict[str, object], capfd: pytest.CaptureFixture[str], *more: object) -> str:
    """Run a bad command line in this process; check the contract of bad input and return the sentence."""
    folder = Path(case["support"]).parent
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    code = cli.main(command(case, *more))
    out, err = capfd.readouterr()
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1 and err.endswith(".\n") and "Traceback" not in err
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    return err


def rewrite(path: Path, change) -> Path:
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(change(image), str(path))
    return path


def with_voxel(value: float):
    def change(image: sitk.Image) -> sitk.Image:
        image[3, 3, 3] = value
        return image

    return change


def shifted(image: sitk.Image) -> sitk.Image:
    image.SetOrigin((3.0, 0.0, 0.0))
    return image


SCANS = {
    "4-D": (lambda image: sitk.JoinSeries([image, image]), "4-D"),
    "vector": (lambda image: sitk.Compose([image, image]), "2 values per voxel"),
    "complex": (lambda image: sitk.RealAndImaginaryToComplex(image, image), "complex"),
    "NaN": (with_voxel(float("nan")), "NaN"),
    "infinite": (with_voxel(float("inf")), "infinite"),
    "constant": (lambda image: image * 0 + 5, "same value"),
}


@pytest.mark.parametrize("role", ["support", "query"])
@pytest.mark.parametrize("kind", SCANS)
def test_scans_that_cannot_be_used_are_refused(case, capfd, tmp_path, role, kind):
    change, words = SCANS[kind]
    path = tmp_path / "bad.nrrd"
    sitk.WriteImage(change(sitk.ReadImage(str(case["support"]))), str(path))
    assert words in refused({**case, role: path}, capfd)


@pytest.mark.parametrize("role", ["support", "annotation", "query"])
@pytest.mark.parametrize("name", ["missing.nrrd", "text.nrrd", "text.nii.gz", "text.mha", "text.jpg", "folder"])
def test_files_that_are_missing_damaged_or_of_another_kind_are_refused(case, capfd, tmp_path, role, name):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif "text" in name:
        path.write_text("this is not an image\n" * 40)
    assert name in refused({**case, role: path}, capfd)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: image * 0, "empty"),
        (lambda image: sitk.Cast(image, sitk.sitkFloat32) * 0.3, "whole"),
        (lambda image: sitk.Cast(image, sitk.sitkInt32) * -1, "negative"),
        (lambda image: sitk.Cast(image, sitk.sitkInt32) * 1000, "65535"),
        (lambda image: image[:, :, 1:], "another grid"),
        (shifted, "origin"),
    ],
)
def test_annotations_that_mean_nothing_are_refused(case, capfd, tmp_path, change, words):
    path = tmp_path / "labels.nii.gz"
    image = sitk.ReadImage(str(case["annotation"]))
    sitk.WriteImage(change(image), str(path))
    assert words in refused({**case, "annotation": path}, capfd)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--output", "out.png"), "suffix"),
        (("--output", "nowhere/out.nrrd"), "does not exist"),
        (("--output", "."), "suffix"),
        (("--output", "label.seg.nrrd"), "also the annotation"),
        (("--uncertainty", "out.seg.nrrd"), "grey"),
        (("--uncertainty", "u.txt"), "suffix"),
        (("--report", "r.txt"), ".json"),
        (("--report", "nowhere/r.json"), "does not exist"),
        (("--weights", "w.pt"), "weights"),
        (("--device", "tpu"), "tpu"),
        (("--slice-axis", "3"), "slice-axis"),
        (("--seed", "-1"), "seed"),
        (("--seed", "x"), "seed"),
        (("--unknown", "1"), "unknown"),
    ],
)
def test_options_that_cannot_work_are_refused(case, capfd, monkeypatch, options, words):
    monkeypatch.chdir(case["support"].parent)
    assert words in refused(case, capfd, *options)


def test_an_unwritable_folder_is_refused(case, capfd):
    folder = Path("/proc")
    if not folder.is_dir():
        pytest.skip("needs a folder in which nobody may create files")
    assert "cannot be written" in refused({**case, "output": folder / "out.nrrd"}, capfd)


@pytest.mark.parametrize("arguments", [(), ("segment",), ("fly",), ("demo",), ("segment", "--support")])
def test_an_incomplete_command_line_is_one_sentence(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "--help" in done.stderr


def test_native_chatter_stays_out_of_the_process_stderr(case, tmp_path):
    (tmp_path / "bad.mha").write_text("ObjectType = Image\nNDims = 3\n")
    done = run(*command({**case, "support": tmp_path / "bad.mha"}))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_help_and_bad_input_do_not_wait_for_torch():
    script = (
        "import sys; from DPLSegmentLib.cli import main;"
        "codes = [main(['--help']), main(['segment', '--help']),"
        " main('segment --support a.nrrd --annotation b.nrrd --output c.nrrd'.split())];"
        "assert codes == [0, 0, 2], codes; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for option in ("--support", "--query", "--uncertainty", "--quiet"):
        assert option in done.stdout


def test_an_interruption_exits_with_130_and_leaves_nothing(case, capfd, monkeypatch, tmp_path):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("DPLSegmentLib.commands.segment.read_volume", interrupted)
    assert cli.main(command(case)) == 130
    assert "Interrupted" in capfd.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


@needs_model
def test_a_segmentation_lies_on_the_grid_of_the_query_with_names_and_colours(case, tmp_path, scan):
    uncertainty, report = tmp_path / "u.nrrd", tmp_path / "r.json"
    done = run(*command(case, "--uncertainty", uncertainty, "--report", report, "--device", "cpu"))
    assert done.returncode == 0, done.stderr
    assert "%" in done.stderr
    image, query = sitk.ReadImage(str(case["output"])), sitk.ReadImage(str(case["support"]))
    assert image.GetSize() == query.GetSize()
    np.testing.assert_allclose(image.GetOrigin(), query.GetOrigin(), atol=1e-5)
    np.testing.assert_allclose(image.GetDirection(), query.GetDirection(), atol=1e-6)
    fields = {key: image.GetMetaData(f"Segment0_{key}") for key in ("ID", "Name", "Color", "Tags", "LabelValue")}
    assert fields == {"ID": "A7", "Name": "größe", "Color": "0.1 0.5 0.25", "Tags": "x:y|", "LabelValue": "4"}
    labels = sitk.GetArrayFromImage(image)
    assert set(np.unique(labels)) <= {0, 4, 300} and (labels[8] == 4).any()
    certainty = sitk.GetArrayFromImage(sitk.ReadImage(str(uncertainty)))
    assert certainty.shape == labels.shape and certainty.min() >= 0 and certainty.max() <= 1
    assert json.loads(report.read_text(encoding="utf-8"))["files"]["output"] == str(case["output"])


@needs_model
def test_damaged_weights_and_absent_devices_are_refused(case, capfd, tmp_path):
    (tmp_path / "w.pt").write_bytes(b"nothing")
    refused(case, capfd, "--weights", tmp_path / "w.pt")
    assert "cuda:99" in refused(case, capfd, "--device", "cuda:99")


@needs_model
def test_stopping_the_process_leaves_no_file(case, tmp_path):
    before = sorted(tmp_path.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-m", "DPLSegmentLib", *command(case)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that a shell runs in the background inherit that this signal is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    process.stderr.readline()  # the first progress line: the work has begun
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 130 and "Traceback" not in rest
    assert time.monotonic() - started < 10
    assert sorted(tmp_path.iterdir()) == before


@needs_model
def test_info_names_versions_devices_and_a_matching_checksum():
    done = run("info")
    assert done.returncode == 0, done.stderr
    for words in ("torch", "SimpleITK", "device cpu", "sha256", "checksum:       matches"):
        assert words in done.stdout


@needs_model
def test_the_demo_writes_everything_and_prints_dice(tmp_path):
    folder = tmp_path / "new" / "demo"
    done = run("demo", "--output", folder)
    assert done.returncode == 0, done.stderr
    images = [
        "annotation.seg.nrrd",
        "scan.nii.gz",
        "segmentation.seg.nrrd",
        "truth.nii.gz",
        "uncertainty.nii.gz",
    ]
    assert sorted(file.name for file in folder.iterdir()) == sorted([*images, "picture.png", "report.json"])
    scores = json.loads((folder / "report.json").read_text(encoding="utf-8"))["dice"]
    assert np.mean(list(scores.values())) > 0.7
    assert all(name in done.stdout for name in scores) and "picture.png" in done.stdout
