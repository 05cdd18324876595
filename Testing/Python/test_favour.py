"""What is found in another patient, and between two annotated slices, is raised in favour of the organ."""

from __future__ import annotations

import pytest
import torch
from helpers import disc

from DPLSegmentLib.favour import FAVOUR, LARGE_MM2, MEETING, favour, raised, raised_between
from DPLSegmentLib.propagation import LabelResult

SIZE = 160


def organ(radius: float) -> torch.Tensor:
    return disc(SIZE, (SIZE / 2, SIZE / 2), radius)


def test_a_small_organ_is_raised_in_full():
    for radius in (1, 5, 20, 39):
        assert favour([organ(radius)], 1.0) == FAVOUR


def test_a_large_organ_is_raised_in_inverse_proportion_to_its_area():
    mask = organ(60)
    expected = FAVOUR * LARGE_MM2 / float(mask.sum())
    assert favour([mask], 1.0) == pytest.approx(expected)
    assert favour([mask], 2.0) == pytest.approx(expected / 4)


def test_the_size_counts_in_millimetres():
    assert favour([organ(60)], 1.0) == pytest.approx(favour([organ(30)], 2.0), rel=0.02)


def test_of_several_annotated_slices_the_mean_area_counts():
    both = (float(organ(60).sum()) + float(organ(50).sum())) / 2
    assert favour([organ(60), organ(50)], 1.0) == pytest.approx(FAVOUR * LARGE_MM2 / both)


def test_an_organ_smaller_than_a_pixel_is_raised_in_full():
    assert favour([torch.zeros(SIZE, SIZE)], 1.0) == FAVOUR


def test_a_raised_probability_is_that_of_a_raised_logit_and_stays_certain_where_it_was():
    probability = torch.linspace(0.0, 1.0, 101)
    found = raised(probability, 0.5)
    torch.testing.assert_close(found, (torch.logit(probability) + 0.5).sigmoid())
    assert found[0] == 0.0 and found[-1] == 1.0
    torch.testing.assert_close(raised(found, -0.5), probability)


def test_slices_between_annotated_ones_are_raised_and_no_others():
    soft = {n: torch.full((4, 4), 0.45).half() for n in range(7)}
    given = LabelResult(soft, {7: torch.ones(4, 4).half()})
    result = raised_between(given, {1, 3, 5})
    expected = raised(soft[2].float(), MEETING).half()
    assert float(expected[0, 0]) > 0.5
    for n, value in result.probability.items():
        assert torch.equal(value, expected if n in (2, 4) else soft[n]), n
    assert result.rejected is given.rejected and torch.equal(given.probability[2], soft[0])


@pytest.mark.parametrize("annotated", [(), {3}], ids=["another patient", "one slice"])
def test_without_two_annotated_slices_nothing_is_raised(annotated):
    given = LabelResult({n: torch.full((4, 4), 0.45).half() for n in range(7)})
    assert raised_between(given, annotated) is given
