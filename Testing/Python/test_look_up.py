"""Looking organs up in another patient: which slices are asked, and what the variants change."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import disc, encoded_scan, seeded

import DPLSegmentLib.looking as module
from DPLSegmentLib.alignment import SliceAlignment
from DPLSegmentLib.checkpoint import load_weights
from DPLSegmentLib.coarse import CoarseOrgans, CoarseScan
from DPLSegmentLib.correspondence import Correspondence
from DPLSegmentLib.cross_matching import CrossMatcher
from DPLSegmentLib.errors import Cancelled
from DPLSegmentLib.look_up import look_up
from DPLSegmentLib.looking import REACH_MM, REFERENCES, Looking, fill_between, looked_at, references
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

    def run(variants: int = 8, should_cancel=None, alignment=SAME_PLACE, labels=tuple(PLACES)):
        enhancement = replace(model.config.enhancement, variants=variants)
        own = load_weights()[0]
        own.config = replace(model.config, enhancement=enhancement)
        masks = {label: LabelResult({n: drawn[label] for n in range(COUNT)}) for label in labels}
        with torch.inference_mode():
            prototypes = {
                label: own.support_prototypes(support.features[1], shrink(mask[None])[0], 1.5, seeded(label))
                for label, mask in drawn.items()
                if label in labels
            }
            maps = {n: own.similarity(query.features, p.enhanced, p.pooled.background) for n, p in prototypes.items()}
        noise = {label: seeded(10 + label) for label in labels}
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


def test_a_label_is_looked_up_alike_alone_and_beside_others_with_shifts_of_their_own(looked_up, monkeypatch):
    run, _ = looked_up
    shifts = dict(zip(PLACES, [SLICE_MM, 0.0, -SLICE_MM], strict=True))
    monkeypatch.setattr(
        "DPLSegmentLib.look_up.organ_shifts", lambda look, _: [shifts[label] for label in look.organs.labels]
    )
    alignment = SliceAlignment(1.0, 0.0, 0.0)
    together, _ = run(alignment=alignment)
    for label in PLACES:
        alone, _ = run(alignment=alignment, labels=[label])
        torch.testing.assert_close(together[label], alone[label], rtol=0, atol=2e-5)


def test_where_organs_are_located_first_no_slice_is_compared_twice(looked_up, monkeypatch):
    run, _ = looked_up
    compared = []
    by_slice = CrossMatcher.by_slice
    monkeypatch.setattr(CrossMatcher, "by_slice", lambda self, *a: compared.append(a[0]) or by_slice(self, *a))
    run(alignment=SliceAlignment(1.0, 0.0, 0.0))
    assert len(compared) == COUNT


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


def test_of_thin_slices_some_are_looked_at_with_both_ends_of_what_is_known():
    nan = float("nan")
    assert looked_at([0.0, 1.0, 2.0], 7.7) == [0, 1, 2]
    assert looked_at([0.1 * n for n in range(11)], 1.5) == [0, 4, 8, 10]
    assert looked_at([nan, nan, *[0.1 * n for n in range(7)], nan, 3.0], 1.5) == [2, 4, 8, 10]
    assert looked_at([nan, nan], 1.5) == []


def test_what_was_not_looked_at_lies_between_and_nothing_is_carried_over_a_gap():
    values = torch.zeros(1, 8, 1, 1)
    values[0, [0, 4, 7], 0, 0] = torch.tensor([0.0, 1.0, 0.5])
    fill_between(values, [0, 4, 7], [0.0, 0.1, 0.2, 0.3, 0.4, float("nan"), 0.6, 0.7])
    torch.testing.assert_close(values.flatten(), torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, 0.0, 0.0, 0.5]))


def test_in_thin_slices_organs_are_found_as_if_every_slice_had_been_looked_at(monkeypatch):
    model, _ = load_weights()
    (first, drawn), (second, _) = patient(0.0, 1), patient(3.0, 2)
    thick = [encoded_scan(model, images, SLICE_MM) for images in (second, first)]
    query, support = (CoarseScan.of(scan) for scan in thick)
    query, support = (
        CoarseScan(s.features.repeat_interleave(5, 0), s.places.repeat_interleave(5, 0), SLICE_MM / 5)
        for s in (query, support)
    )
    masks = torch.stack(
        [shrink(shrink(mask[None]), 2).expand(len(support.features), -1, -1) for mask in drawn.values()]
    )
    where = [float(n) for n in range(len(query.features))]
    look = Looking(model, query, support, CoarseOrgans(list(drawn), masks), where, None)
    with torch.inference_mode():
        some = look.plainly(ProgressPart(None)).probability
        monkeypatch.setattr(module, "SPACING_MM", SLICE_MM / 5)
        every = look.plainly(ProgressPart(None)).probability
    for one, other in zip(some > 0.5, every > 0.5, strict=True):
        assert 2 * (one & other).sum() > 0.9 * (one.sum() + other.sum()) > 0
