from __future__ import annotations

import torch

from DPLSegmentLib.similarity import SimilarityMaps
from DPLSegmentLib.step import KIND_ANNOTATED, KIND_LAST, KIND_OLDER, KIND_SECOND_ANNOTATED, EncodedScan
from DPLSegmentLib.tracks import Claims, LabelTask, make_tracks


def task(annotated: dict[int, torch.Tensor]) -> LabelTask:
    nothing = torch.zeros(9, 16, 16)
    return LabelTask(annotated, SimilarityMaps(nothing, nothing, nothing, nothing, nothing))


def square(top: int, left: int) -> torch.Tensor:
    mask = torch.zeros(64, 64)
    mask[top : top + 12, left : left + 12] = 1.0
    return mask


def scan() -> EncodedScan:
    images = torch.rand(9, 64, 64, generator=torch.Generator().manual_seed(0))
    return EncodedScan(images, torch.zeros(9, 4, 16, 16), 1.0, 3.0)


def test_what_is_annotated_belongs_to_its_label():
    claims = Claims({1: task({4: square(10, 10)}), 2: task({6: square(30, 30)})})
    everywhere = torch.full((64, 64), 0.9)
    left = claims.left_for(4, 2, everywhere)
    assert float(left[10:22, 10:22].max()) == 0.0
    assert torch.equal(claims.left_for(4, 1, everywhere), everywhere)  # not taken from itself
    assert torch.equal(claims.left_for(5, 2, everywhere), everywhere)  # another slice


def test_the_label_that_came_first_keeps_its_voxels_and_no_seam_is_left_between_neighbours():
    claims = Claims({})
    first = torch.zeros(64, 64)
    first[:, :32], first[:, 32] = 0.9, 0.45  # the border column is neither surely the first's ...
    claims.add(3, 1, first)
    second = torch.zeros(64, 64)
    second[:, 20:] = 0.8
    left = claims.left_for(3, 2, second)
    assert float(left[:, :32].max()) < 0.5
    assert float(left[:, 32:].min()) > 0.5  # ... so the second may have it


def test_one_annotated_slice_starts_a_walk_each_way_to_the_ends_of_the_scan():
    up, down = make_tracks(1, task({4: square(20, 20)}), scan())
    assert (up.current, up.stop, up.left) == (5, 9, 4) and (down.current, down.stop, down.left) == (3, -1, 4)
    assert up.other is None and up.slot_count == len(up.request(scan()).slots) == 3
    up.accept(square(21, 20))
    request = up.request(scan())
    assert [slot.kind for slot in request.slots] == [KIND_ANNOTATED, KIND_OLDER, KIND_LAST]
    assert [slot.index for slot in request.slots] == [4, 4, 5] and request.current == 6


def test_walks_between_annotated_slices_remember_both_and_stop_before_them():
    tracks = make_tracks(1, task({2: square(20, 20), 5: square(24, 20)}), scan())
    between = [track for track in tracks if track.stop in (2, 5)]
    assert sorted((track.start, track.stop, track.left) for track in between) == [(2, 5, 2), (5, 2, 2)]
    for track in tracks:
        kinds = [slot.kind for slot in track.request(scan()).slots]
        assert kinds == [KIND_ANNOTATED, KIND_SECOND_ANNOTATED, KIND_OLDER, KIND_LAST]
        assert {track.start, track.other} == {2, 5}


def test_a_walk_is_over_at_the_end_of_the_scan_and_next_to_another_annotation():
    up, down = make_tracks(1, task({8: square(20, 20)}), scan())
    assert up.done and not down.done
    tracks = make_tracks(1, task({3: square(20, 20), 4: square(20, 20)}), scan())
    assert sum(track.done for track in tracks) == 2


def test_labels_that_may_overlap_do_not_take_voxels_from_each_other():
    inner = LabelTask(task({4: square(12, 12)}).annotated, None, frozenset({1}))
    outer = LabelTask(task({4: square(10, 10)}).annotated, None, frozenset({2}))
    claims = Claims({1: outer, 2: inner, 3: task({4: square(30, 30)})})
    wanted = square(10, 10)
    assert torch.equal(claims.left_for(4, 1, wanted), wanted)
    assert not claims.left_for(4, 2, square(30, 30)).any()
