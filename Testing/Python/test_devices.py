from __future__ import annotations

import pytest
import torch

from DPLSegmentLib.devices import choose_device, describe_device
from DPLSegmentLib.errors import InputError


@pytest.fixture
def cuda(monkeypatch):
    """Pretend that this computer has so many CUDA devices."""

    def pretend(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


@pytest.mark.parametrize(
    "name", ["", "gpu", "CPU", "cpu:1", "meta", "cuda:", "cuda:x", "cuda:-1", "xpu", "cpu cuda", "cuda:0:1"]
)
def test_an_unknown_device_is_one_sentence(cuda, name):
    cuda(2)
    with pytest.raises(InputError, match=r"^[^\n]+; (use|the last)[^\n]+\.$|the last CUDA device is"):
        choose_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_cuda_on_a_computer_without_it_is_refused(cuda, name):
    cuda(0)
    with pytest.raises(InputError, match="no CUDA device"):
        choose_device(name)


def test_a_cuda_device_beyond_the_last_is_refused(cuda):
    cuda(2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(InputError, match="last CUDA device is cuda:1"):
        choose_device("cuda:2")


def test_auto_takes_cuda_if_there_is_any_and_never_mps(cuda, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    cuda(1)
    assert choose_device().type == "cuda"
    cuda(0)
    assert choose_device("auto") == torch.device("cpu")
    assert choose_device("mps").type == "mps"


def test_a_missing_mps_device_is_refused(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="no MPS device"):
        choose_device("mps")


def test_the_cpu_is_always_there():
    assert choose_device("cpu") == choose_device("cpu:0") == torch.device("cpu")
    assert "threads" in describe_device(torch.device("cpu"))
