from __future__ import annotations

import pytest

from DPLSegmentLib import resources
from DPLSegmentLib.errors import InputError
from DPLSegmentLib.resources import available_memory, check_memory, estimate_memory


def test_the_estimate_grows_with_everything_that_costs_memory():
    base = estimate_memory([(36, 256, 256)], 4)
    assert estimate_memory([(72, 256, 256)], 4) > base
    assert estimate_memory([(36, 512, 512)], 4) > base
    assert estimate_memory([(36, 256, 256)], 8) > base
    assert estimate_memory([(36, 256, 256)] * 2, 4) > base
    assert 0.7 * 2**30 < base < 3 * 2**30


def test_an_ordinary_scan_fits_and_an_enormous_one_is_refused_before_it_starts():
    check_memory([(36, 64, 64)], 1)
    with pytest.raises(InputError, match=r"^[^\n]*GiB[^\n]*; close other programs, or crop the scan\.$"):
        check_memory([(20_000, 20_000, 20_000)], 1)


def test_what_is_free_decides(monkeypatch):
    scan = [(129, 512, 512)]
    monkeypatch.setattr(resources, "available_memory", lambda: 2**28)
    with pytest.raises(InputError, match="0.2 GiB are free"):
        check_memory(scan, 4)
    monkeypatch.setattr(resources, "available_memory", lambda: 2**33)
    check_memory(scan, 4)
    monkeypatch.setattr(resources, "available_memory", lambda: None)  # unknown: let it try
    check_memory([(20_000, 20_000, 20_000)], 4)


def test_free_memory_is_believable():
    free = available_memory()
    assert free is None or 2**20 < free < 2**50
