"""The mean of the weights of several runs: of runs that began alike, and of no others."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("scipy")

from DPLSegmentLib import InputError
from DPLSegmentLib.checkpoint import load_weights
from DPLSegmentLib.model import DPLModel, ModelConfig
from DPLSegmentLib.training.averaging import average_runs
from DPLSegmentLib.training.export import main


def moved(state: dict, seed: int) -> dict:
    generator = torch.Generator().manual_seed(seed)
    return {name: value + 0.01 * torch.randn(value.shape, generator=generator) for name, value in state.items()}


@pytest.fixture(scope="module")
def start() -> dict:
    torch.manual_seed(0)
    return {name: value.clone() for name, value in DPLModel(ModelConfig(follows=True)).state_dict().items()}


@pytest.fixture
def runs(start, tmp_path):
    """Checkpoints of three runs that began with the same weights."""
    paths = []
    for seed in range(3):
        paths.append(tmp_path / f"{seed}.pt")
        config = ModelConfig(follows=True).to_dict()
        content = {"average": moved(start, seed), "start": start, "update": 4, "config": config}
        torch.save(content, paths[-1])
    return paths


def test_every_run_counts_the_same_in_any_order(runs, start):
    found, turned = average_runs(runs), average_runs(runs[::-1])
    assert found["runs"] == 3 and found["update"] == 12
    for name, value in found["average"].items():
        expected = sum(moved(start, seed)[name] for seed in range(3)) / 3
        assert torch.allclose(value, expected, atol=1e-6), name
        assert torch.allclose(value, turned["average"][name], atol=1e-7), name
        assert value.dtype == start[name].dtype


def test_one_run_is_taken_as_it_is_and_needs_no_beginning(runs, tmp_path):
    stored = torch.load(runs[0], weights_only=True)
    del stored["start"]
    torch.save(stored | {"figures": {"synthetic": 0.5}}, tmp_path / "best.pt")
    found = average_runs([tmp_path / "best.pt"])
    assert found["runs"] == 1 and found["figures"] == {"synthetic": 0.5}
    assert all(torch.equal(value, stored["average"][name]) for name, value in found["average"].items())
    with pytest.raises(InputError, match=r"best\.pt' does not tell what its run began with"):
        average_runs([runs[0], tmp_path / "best.pt"])


def test_runs_that_began_differently_are_refused(runs, start, tmp_path):
    stored = torch.load(runs[1], weights_only=True)
    torch.save(stored | {"start": moved(start, 9)}, tmp_path / "elsewhere.pt")
    torch.save(stored | {"config": ModelConfig().to_dict()}, tmp_path / "another.pt")
    for name in ("elsewhere.pt", "another.pt"):
        with pytest.raises(InputError, match="began with different weights; average only runs that"):
            average_runs([runs[0], tmp_path / name])


def test_files_that_are_no_checkpoints_get_one_sentence(runs, tmp_path, capsys):
    (tmp_path / "torn.pt").write_bytes(runs[0].read_bytes()[:1000])
    torch.save({"format": "something"}, tmp_path / "weights.pt")
    for name, said in (
        ("missing.pt", "does not exist"),
        ("torn.pt", "damaged or of another kind"),
        ("weights.pt", "is no checkpoint of a training run"),
    ):
        output = tmp_path / "out.pt"
        assert main(["--checkpoint", str(runs[0]), str(tmp_path / name), "--output", str(output)]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1 and not output.exists()


def test_the_mean_is_exported_and_says_of_how_many_runs_it_is(runs, start, tmp_path, capsys):
    output = tmp_path / "mean.pt"
    assert main(["--checkpoint", *map(str, runs), "--output", str(output), "--data", "none"]) == 0
    assert "SHA-256" in capsys.readouterr().out
    notes = torch.load(output, weights_only=True)["notes"]
    assert notes["averaged runs"] == "3" and notes["updates"] == "12"
    model, _ = load_weights(output)
    assert model.config.follows
    mean = average_runs(runs)["average"]
    for name, value in model.state_dict().items():
        assert torch.allclose(value, mean[name], rtol=1e-3, atol=1e-5), name
