"""Turn a training checkpoint into a weights file.

``python -m DPLSegmentLib.training.export --checkpoint RUN/checkpoint.pt --output FILE.pt --data "what it saw"``
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..checkpoint import save_weights
from ..model import DPLModel, ModelConfig
from ..version import __version__


def export(checkpoint: Path, output: Path, data: str) -> str:
    """Write the averaged weights of a checkpoint in half precision; returns their SHA-256."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model = DPLModel(ModelConfig.from_dict(state["config"]))
    model.load_state_dict(state["average"])
    notes = {
        "version": __version__,
        "updates": str(state["update"]),
        "initialisation": "EfficientNet-Lite0, ImageNet (Apache-2.0)",
        "data": data,
        "licence": "Apache-2.0",
    }
    return save_weights(model, state["average"], output, notes)


def main(arguments: list[str] | None = None) -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m DPLSegmentLib.training.export", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", default="", help="what the weights were trained on, kept in the file")
    options = parser.parse_args(arguments)
    digest = export(options.checkpoint, options.output, options.data)
    print(f"{options.output}: {options.output.stat().st_size / 2**20:.2f} MiB, SHA-256 {digest}")


if __name__ == "__main__":
    main()
