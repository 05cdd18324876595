"""What counts as evidence of an organ: its sure places, if there are enough."""

from __future__ import annotations

import torch
from helpers import seeded

from DPLSegmentLib.evidence import FEWEST, LIKELY, SURE, SURE_PART, evidence, organ_prototype


def test_the_organ_prototype_is_the_mean_unit_feature_of_sure_places():
    features = torch.randn(2, 8, 5, 6, generator=seeded()) * torch.tensor([1.0, 50.0])[:, None, None, None]
    probability = torch.zeros(2, 5, 6)
    probability[0, 1:3, 2:5], probability[1, 4, :4], probability[1, 0, 0] = 0.9, 1.0, 0.6
    chosen = torch.cat([features[0, :, 1:3, 2:5].flatten(1), features[1, :, 4, :4]], dim=1)
    expected = (chosen / chosen.norm(dim=0)).mean(1)
    assert torch.allclose(organ_prototype(features, probability)[0], expected, atol=1e-6)


def test_too_few_sure_places_are_no_evidence():
    features, probability = torch.ones(1, 3, 4, 4), torch.zeros(1, 4, 4)
    probability[0].view(-1)[: FEWEST - 1] = 1.0
    assert organ_prototype(features, probability) is None
    probability[0].view(-1)[FEWEST] = 1.0
    assert organ_prototype(features, probability) is not None


def test_a_first_look_counts_only_if_enough_of_what_is_likely_is_sure():
    features = torch.randn(1, 8, 20, 10, generator=seeded())
    probability = torch.zeros(1, 20, 10)
    places = probability[0].view(-1)
    places[:100] = (LIKELY + SURE) / 2
    enough = round(100 * SURE_PART)
    places[: enough - 1] = SURE + 0.1
    assert organ_prototype(features, probability) is not None
    assert evidence(features, probability) is None
    places[enough - 1] = SURE + 0.1
    assert torch.equal(evidence(features, probability), organ_prototype(features, probability))
    places[:] = 0.0
    assert evidence(features, probability) is None
