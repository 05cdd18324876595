"""The shared encoder: EfficientNet-Lite0 up to stride 16, fused into one dense feature map.

Architecture after Tan & Le (2019) and the "Lite" variant of the TensorFlow model garden (no squeeze-and-excitation,
ReLU6). Batch normalisation is folded into the convolutions when the ImageNet weights are converted
(``training/imagenet.py``): the statistics stay those of ImageNet, an encoded slice does not depend on its batch, and
every convolution is cheaper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .resampling import sample_level

STAGES = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
)
STEM_CHANNELS = 32
LEVEL_STRIDES = (4, 8, 16)
LEVEL_CHANNELS = (24, 40, 112)
# Brings the ImageNet activations of each level to about unit spread; constants, so that a crop encodes like the whole.
LEVEL_SCALES = (1 / 9.0, 1 / 6.0, 1 / 3.5)
FEATURE_STRIDE = 4


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, as the ImageNet weights were trained with.

    For stride 2 the padding is asymmetric: the output sample ``n`` is centred on input sample ``2n + 1``.
    """

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        padding = []
        for size in (x.shape[-1], x.shape[-2]):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [total // 2, total - total // 2]
        if padding[0] == padding[1] == padding[2] == padding[3]:
            return F.conv2d(x, self.weight, self.bias, self.stride, padding[0], 1, self.groups)
        return F.conv2d(F.pad(x, padding), self.weight, self.bias, self.stride, 0, 1, self.groups)


class InvertedResidual(nn.Module):
    """MBConv without squeeze-and-excitation: expand, depthwise, project, add when the shape allows."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = SameConv2d(inputs, hidden, 1) if expansion != 1 else None
        self.depthwise = SameConv2d(hidden, hidden, kernel, stride=stride, groups=hidden)
        self.project = SameConv2d(hidden, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class Backbone(nn.Module):
    """EfficientNet-Lite0 without its last two stages; returns the maps at strides 4, 8 and 16."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, STEM_CHANNELS, 3, stride=2)
        self.stages = nn.ModuleList()
        inputs = STEM_CHANNELS
        for repeats, kernel, stride, expansion, outputs in STAGES:
            blocks = []
            for index in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, kernel, stride if index == 0 else 1, expansion))
                inputs = outputs
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [-1, 1] -> maps of 24, 40 and 112 channels at strides 4, 8 and 16."""
        x = F.relu6(self.stem(x))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return [maps[1], maps[2], maps[4]]


class Encoder(nn.Module):
    """Slices to dense features, one width at one stride.

    Each level of the backbone is projected to ``width`` channels and read at the places where its samples really
    lie (sample ``n`` of stride ``s`` is centred on pixel ``s·n + s - 1``), so that levels do not smear against
    each other. What all features have in common is taken out (``centre``, their mean in training): it says nothing
    about anatomy, but would dominate every cosine.
    """

    centre: Tensor

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.width = width
        self.backbone = Backbone()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in LEVEL_CHANNELS)
        self.smooth = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.output = nn.Conv2d(width, width, 1)
        self.register_buffer("centre", torch.zeros(width))

    def forward(self, slices: Tensor) -> Tensor:
        """Encode slices with their neighbours.

        Args:
            slices: (B, 3, H, W), the slice between its two neighbours, intensities in [0, 1]; H and W multiples of 16.

        Returns:
            (B, width, H/4, W/4) features; the centre of sample (r, c) is pixel (4r + 1.5, 4c + 1.5).
        """
        return self.fuse(self.backbone(slices * 2.0 - 1.0))

    def fuse(self, maps: list[Tensor]) -> Tensor:
        """Fuse backbone maps (strides 4, 8, 16) into one (B, width, H/4, W/4) map."""
        height, width = maps[0].shape[-2:]
        fused = None
        for level, stride, scale, lateral in zip(maps, LEVEL_STRIDES, LEVEL_SCALES, self.lateral, strict=True):
            projected = sample_level(lateral(level * scale), stride, FEATURE_STRIDE, (height, width))
            fused = projected if fused is None else fused + projected
        return self.output(fused + F.relu(self.smooth(fused))) - self.centre[:, None, None]
