"""Looking organs up in another patient: which slices are asked, and what the variants change."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import disc, encoded_scan, seeded

import DPLSegmentLib.looking as module
from DPLSegmentLib.alignment import SliceAlignment
from DPLSegmentLib.checkpoint import load_weights
from DPLSegmentLib.correspondence import Correspondence
from DPLSegmentLib.errors import Cancelled
from DPLSegmentLib.look_up import look_up
from DPLSegmentLib.looking import REACH_MM, REFERENCES, references
from DPLSegmentLib.progress_parts import ProgressPart
from DPLSegmentLib.propagation import LabelResult
from DPLSegmentLib.training.objective import shrink

SIZE, COUNT, SLICE_MM = 96, 3, 8.0
SAME_PLACE = Correspondence({n: float(n) for n in range(COUNT)})
PLACES = {1: (30.0, 34.0), 2: (36.0, 66.0), 3: (66.0, 48.0)}  # label -> centre in the support


def patient(shift: float, seed: int) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    """Images (N, H, W) of a body with three organs of different brightness, and the organs' masks (H, W)."""
    noise = 0.03 * torch.randn(COUNT, SIZE, SIZE, generator=seeded(seed))
    masks = {n: disc(SIZE, (row + shift, column - shift), 11) for n, (row, column) in PLACES.items()}
    body = 0.3 * disc(SIZE, (SIZE / 2, SIZE / 2), 42)
    return body + sum((0.15 * n * mask for n, mask in masks.items()), torch.zeros(())) + noise, masks


@pytest.fixture(scope="module")
def looked_up():
    """A function (variants) -> probabilities and maps of all labels; the organs' masks in the query."""
    model, _ = load_weights()
    (first, drawn), (second, wanted) = patient(0.0, 1), patient(3.0, 2)
    support, query = encoded_scan(model, first, SLICE_MM), encoded_scan(model, second, SLICE_MM)

    def run(variants: int = 8, should_cancel=None, alignment=SAME_PLACE):
        enhancement = replace(model.config.enhancement, variants=variants)
        own = load_weights()[0]
        own.config = replace(model.config, enhancement=enhancement)
        masks = {label: LabelResult({n: mask for n in range(COUNT)}) for label, mask in drawn.items()}
        with torch.inference_mode():
            prototypes = {
                label: own.support_prototypes(support.features[1], shrink(mask[None])[0], 1.5, seeded(label))
                for label, mask in drawn.items()
            }
            maps = {n: own.similarity(query.features, p.enhanced, p.pooled.background) for n, p in prototypes.items()}
        noise = {label: seeded(10 + label) for label in drawn}
        progress = ProgressPart(None)
        return look_up(own, query, support, masks, prototypes, noise, maps, alignment, progress, should_cancel)

    return run, wanted


def test_the_nearest_slices_within_reach_are_asked_in_order():
    assert references(4.2, 20, 10.0) == [2, 3, 4, 5, 6]
    assert references(4.2, 20, 1.0) == [1, 2, 3, 4, 5, 6, 7]
    assert len(references(4.2, 20, 0.1)) == REFERENCES
    assert references(0.0, 20, REACH_MM + 1) == [0]


def test_where_the_support_shows_nothing_like_it_no_slice_is_asked():
    assert references(-5.0, 4, REACH_MM / 2) == [] and references(float("nan"), 4, 5.0) == []


@pytest.mark.parametrize("alignment", [SAME_PLACE, SliceAlignment(1.0, 0.0, 0.0)])
def test_organs_are_found_where_they_lie_in_the_other_patient(looked_up, alignment):
    run, wanted = looked_up
    found, _ = run(alignment=alignment)
    for label, mask in wanted.items():
        small = shrink(shrink(mask[None]), 2)[0] > 0.5
        others = shrink(shrink(sum(m for n, m in wanted.items() if n != label)[None]), 2)[0] > 0.5
        assert found[label][1][small].mean() > 0.5 > found[label][1][others].mean() + 0.3


def test_organs_are_shifted_where_slices_were_aligned_and_not_where_they_are_known(looked_up, monkeypatch):
    run, _ = looked_up
    far = [0.0, 10 * SLICE_MM, 0.0]
    monkeypatch.setattr("DPLSegmentLib.look_up.organ_shifts", lambda *_: far)
    aligned, _ = run(alignment=SliceAlignment(1.0, 0.0, 0.0))
    known, _ = run()
    assert [float(aligned[label].max()) > 0.5 for label in PLACES] == [True, False, True]
    assert all(float(known[label].max()) > 0.5 for label in PLACES)


def test_variants_of_the_organs_prototype_change_what_is_found_and_know_where(looked_up):
    run, _ = looked_up
    (plain, plain_maps), (varied, varied_maps) = run(0), run(8)
    for label in plain:
        assert 1e-4 < (plain[label] - varied[label]).abs().max() < 0.9
        assert varied_maps[label].spread.max() > plain_maps[label].spread.max()


@pytest.mark.parametrize("limit", ["TOGETHER", "MOST_SLICES"])
def test_how_many_labels_and_slices_are_looked_up_at_once_changes_nothing(looked_up, monkeypatch, limit):
    run, _ = looked_up
    monkeypatch.setattr("DPLSegmentLib.look_up.organ_shifts", lambda *_: [SLICE_MM, 0.0, -SLICE_MM])
    alignment = SliceAlignment(1.0, 0.0, 0.0)
    together, _ = run(alignment=alignment)
    monkeypatch.setattr(module, limit, 1)
    alone, _ = run(alignment=alignment)
    for label in together:
        torch.testing.assert_close(together[label], alone[label], rtol=0, atol=2e-5)


def test_the_same_noise_gives_the_same_bits(looked_up):
    run, _ = looked_up
    (one, first), (two, second) = run(), run()
    assert all(torch.equal(one[n], two[n]) and torch.equal(first[n].spread, second[n].spread) for n in one)


def test_cancelling_is_asked_for_within_a_slice(looked_up):
    run, _ = looked_up
    asked = []
    with pytest.raises(Cancelled):
        run(should_cancel=lambda: asked.append(1) or len(asked) > 2)
    assert len(asked) == 3
