from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
import torch

from DPLSegmentLib import checkpoint
from DPLSegmentLib.checkpoint import describe_weights, load_weights, save_weights
from DPLSegmentLib.enhancement import EnhancementConfig
from DPLSegmentLib.errors import InputError
from DPLSegmentLib.model import DPLModel, ModelConfig


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    model = DPLModel(ModelConfig(width=16, enhancement=EnhancementConfig(variants=4, alpha=0.8)))
    path = tmp_path_factory.mktemp("weights") / "weights.pt"
    save_weights(model, model.state_dict(), path, {"data": "none"})
    return path


@pytest.fixture
def changed(saved, tmp_path):
    """Save the stored dictionary again after a change."""

    def change(edit) -> Path:
        stored = torch.load(saved, weights_only=True)
        edit(stored)
        torch.save(stored, tmp_path / "changed.pt")
        return tmp_path / "changed.pt"

    return change


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_weights(path)
    message = str(caught.value)
    assert "\n" not in message and message[0].isupper() and message.endswith(".")
    assert not re.search(r"\. [A-Z]", message)  # one sentence
    return message


def test_a_saved_model_comes_back_in_half_precision(saved):
    torch.manual_seed(0)
    original = DPLModel(ModelConfig(width=16)).state_dict()
    model, info = load_weights(saved)
    assert model.config.width == 16 and model.config.enhancement == EnhancementConfig(variants=4, alpha=0.8)
    assert not model.training
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, original[name].half().float()), name
    assert info.expected_sha256 == info.sha256 and info.size == saved.stat().st_size


def test_weights_are_described_and_their_checksum_lies_beside_them(saved):
    described = describe_weights(saved)
    written = Path(f"{saved}.sha256").read_text().split()
    assert written == [described["sha256"], saved.name]
    assert described["notes"] == {"data": "none"} and described["matches"] is True
    assert described["parameters"] > 100_000 and described["bytes"] == saved.stat().st_size


@pytest.mark.parametrize("part", [0.02, 0.3, 0.5, 0.7, 0.98])
def test_a_flipped_byte_is_noticed(saved, tmp_path, part):
    content = bytearray(saved.read_bytes())
    content[int(part * len(content))] ^= 0xFF
    (tmp_path / "flipped.pt").write_bytes(content)
    assert "damaged" in refused(tmp_path / "flipped.pt")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_an_empty_or_truncated_file_is_refused(saved, tmp_path, share):
    content = saved.read_bytes()
    (tmp_path / "short.pt").write_bytes(content[: int(share * len(content))])
    assert "damaged" in refused(tmp_path / "short.pt")


class Code:
    """Runs a function when it is unpickled."""

    def __init__(self, victim: str) -> None:
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (Path(self.victim),)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, writer):
    path, victim = tmp_path / "code.pt", tmp_path / "ran"
    if writer == "torch":
        torch.save({"format": checkpoint.FORMAT, "state": Code(str(victim))}, path)
    else:
        path.write_bytes(pickle.dumps(Code(str(victim)), protocol=2))
    refused(path)
    assert not victim.exists()


def test_files_of_other_programs_are_refused(tmp_path):
    path = tmp_path / "foreign.pt"
    for foreign in ({"state_dict": {"w": torch.ones(3)}}, [1, 2], torch.ones(3), {"format": "other"}):
        torch.save(foreign, path)
        assert "does not belong to DPLSegment" in refused(path)
    path.write_text("not weights at all")
    refused(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "cannot be read" in refused(tmp_path / "missing.pt")
    assert "cannot be read" in refused(tmp_path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda stored: stored["config"].update(width=32),
        lambda stored: stored["config"].update(width="wide"),
        lambda stored: stored["config"].update(width=-1),
        lambda stored: stored["config"].update(surprise=1),
        lambda stored: stored["config"].update(enhancement={"surprise": 1}),
        lambda stored: stored["config"].update(diffusion_steps=0),
        lambda stored: stored.update(config=None),
        lambda stored: stored.pop("config"),
        lambda stored: stored.pop("state"),
        lambda stored: stored.update(state=[1, 2]),
        lambda stored: stored["state"].pop("similarity.bias"),
        lambda stored: stored["state"].update({"more": torch.ones(1)}),
        lambda stored: stored["state"].update({"similarity.bias": "text"}),
    ],
)
def test_weights_of_another_version_are_refused(changed, edit):
    assert "another version" in refused(changed(edit))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(changed, value):
    path = changed(lambda stored: stored["state"]["decoder.output.bias"].fill_(value))
    assert "not finite" in refused(path)


def test_bundled_weights_are_checked_against_their_checksum(saved, monkeypatch):
    content, digest = saved.read_bytes(), Path(f"{saved}.sha256").read_text().split()[0]
    monkeypatch.setattr(checkpoint, "bundled_weights", lambda: (content, "bundled", digest))
    assert load_weights()[1].expected_sha256 == digest and describe_weights()["matches"] is True
    monkeypatch.setattr(checkpoint, "bundled_weights", lambda: (content, "bundled", "0" * 64))
    with pytest.raises(InputError, match="damaged"):
        load_weights()


def test_missing_bundled_weights_are_told(monkeypatch):
    monkeypatch.setattr(checkpoint, "BUNDLED", "nowhere.pt")
    with pytest.raises(InputError, match="missing"):
        load_weights()
