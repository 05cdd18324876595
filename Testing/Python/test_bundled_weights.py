"""The weights that come with the library."""

from __future__ import annotations

import hashlib
from importlib import resources

import torch

from DPLSegmentLib import OneShotSegmenter
from DPLSegmentLib.checkpoint import BUNDLED, describe_weights

FOLDER = resources.files("DPLSegmentLib") / "weights"


def test_there_is_one_file_of_at_most_12_mb_and_its_checksum_matches():
    assert [path.name for path in FOLDER.iterdir() if path.name.endswith(".pt")] == [BUNDLED]
    content = (FOLDER / BUNDLED).read_bytes()
    assert 500_000 < len(content) <= 12_000_000
    words = (FOLDER / f"{BUNDLED}.sha256").read_text(encoding="ascii").split()
    assert words == [hashlib.sha256(content).hexdigest(), BUNDLED]
    described = describe_weights()
    assert described["matches"] is True and described["sha256"] == words[0]


def test_weights_are_stored_in_half_precision_and_say_where_they_come_from():
    with resources.as_file(FOLDER / BUNDLED) as path:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    assert {value.dtype for value in stored["state"].values()} == {torch.float16}
    assert stored["notes"]


def test_loaded_weights_are_ready_and_learned():
    segmenter = OneShotSegmenter.load(device="cpu")
    model = segmenter._model
    assert not model.training
    assert model.denoiser.outputs.weight.abs().max() > 0  # zero before training
    assert segmenter.weights.sha256 == segmenter.weights.expected_sha256
