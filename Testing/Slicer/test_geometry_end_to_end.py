"""The real library with its own weights on real nodes: results lie where the anatomy is, whatever the scene looks like.

A small generated scan, one annotated slice an organ. Every arrangement must give the same voxels as the plain one, and
its result must fit the truth so well that a shift by one voxel or a mirrored axis would show.
"""

from __future__ import annotations

import numpy as np
import pytest
from scene_objects import (
    addSegmentation,
    addTransform,
    addVolume,
    dice,
    exported,
    importable,
    maskPoints,
    nodeIDs,
    rotation,
    shift,
    worldPoints,
)

ORGANS = ("liver", "right kidney", "spleen")
PLACE = rotation((2, -1, 1), 40) @ shift(11, -7, 5)


@pytest.fixture(scope="module")
def body():
    """Scan and truth (k, j, i), IJK to RAS, and a second patient's."""
    from DPLSegmentLib.synthetic import generate_anatomy, generate_scan, render, second_patient

    shape, spacing = (20, 72, 96), (10.0, 4.0, 4.0)
    scan = generate_scan(3, shape, spacing)
    labels = {name: label for label, name in scan.names.items()}
    other = second_patient(generate_anatomy(3, shape, spacing), 5, strength=0.5)
    return {
        "image": scan.image,
        "truth": {name: scan.labels == labels[name] for name in ORGANS},
        "ijkToRAS": scan.ijk_to_world,
        "otherImage": render(other, 3),
        "otherTruth": {name: other.labels == labels[name] for name in ORGANS},
    }


@pytest.fixture(scope="module")
def network():
    """Loaded once; each run gets a segmenter of its own that has encoded nothing yet."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    from DPLSegmentLib.segmenter import OneShotSegmenter

    loaded = OneShotSegmenter.load(device="cpu")

    def factory(options):
        loaded.clear_cache()
        return loaded

    return factory


@pytest.fixture(autouse=True)
def imports(scene, monkeypatch):
    global InputError, QueryItem, RunOptions, SegmentationJob, applyResults, readStyles, readSupport, runJob
    global volumeFromNode
    importable(monkeypatch)
    from DPLSegmentLib.errors import InputError
    from DPLSegmentModule.ResultWriter import applyResults, readStyles
    from DPLSegmentModule.SegmentationJob import QueryItem, RunOptions, SegmentationJob, runJob
    from DPLSegmentModule.SupportReader import readSupport
    from DPLSegmentModule.VolumeReader import volumeFromNode


def painted(truth, axis=0):
    """The largest slice of each organ along a numpy axis."""
    drawn = {}
    for name, mask in truth.items():
        index = int(mask.sum(axis=tuple(n for n in range(3) if n != axis)).argmax())
        chosen = tuple(slice(index, index + 1) if n == axis else slice(None) for n in range(3))
        drawn[name] = np.zeros_like(mask)
        drawn[name][chosen] = mask[chosen]
    return drawn


def segment(network, support, segmentation, query=None, uncertainty=False, output=None):
    """From nodes to nodes, as the module does it."""
    data = readSupport(support, segmentation)
    styles = readStyles(segmentation, data.segmentIDs)
    node = query if query is not None else support
    item = QueryItem(node.GetID(), node.GetName(), None if query is None else volumeFromNode(query))
    job = SegmentationJob(data, [item], RunOptions(device="cpu", uncertainty=uncertainty))
    outcome = runJob(job, network, lambda fraction, message: None, lambda: False)
    assert not outcome.failures
    (applied,) = applyResults(outcome.results, styles, output)
    return applied


@pytest.fixture(scope="module")
def plain(body, network, host):
    """Masks of the plain arrangement, same scan and other patient: what all others are compared with."""
    from DPLSegmentLib import Volume

    drawn = painted(body["truth"])
    segmenter = network(None)
    support = Volume(body["image"], body["ijkToRAS"])
    segmenter.set_support(support, {n: drawn[name] for n, name in enumerate(ORGANS, start=1)})
    same = segmenter.segment()
    other = segmenter.segment(Volume(body["otherImage"], body["ijkToRAS"]))
    return [{name: result.mask(n) for n, name in enumerate(ORGANS, start=1)} for result in (same, other)]


def fits(found, truth, least):
    """Mean Dice is high, and clearly lower when moved by a voxel or mirrored: the check would see either."""
    score = np.mean([dice(found[name], truth[name]) for name in ORGANS])
    assert score > least
    for axis in range(3):
        for change in (lambda mask, axis=axis: np.roll(mask, 1, axis), lambda mask, axis=axis: np.flip(mask, axis)):
            assert np.mean([dice(change(found[name]), truth[name]) for name in ORGANS]) < score - 0.02
    return score


def test_the_plain_scan_gives_what_the_library_gives_and_it_fits(body, network, plain):
    volume = addVolume(body["image"], body["ijkToRAS"], "CT")
    applied = segment(network, volume, addSegmentation(volume, painted(body["truth"])), uncertainty=True)
    found = {name: exported(applied.segmentationNode, name, volume) for name in ORGANS}
    for name in ORGANS:
        assert np.array_equal(found[name], plain[0][name])
    fits(found, body["truth"], 0.75)
    import slicer

    assert slicer.util.arrayFromVolume(applied.uncertaintyNode).max() > 0


TURNS = {
    "flipped": ((0, 1, 2), (True, False, True)),
    "left-handed": ((0, 1, 2), (False, True, False)),
    "sagittal order": ((2, 0, 1), (False, False, False)),
    "coronal order, flipped": ((1, 0, 2), (True, True, False)),
}


def turned(array, turn):
    order, flips = turn
    return np.ascontiguousarray(np.flip(np.transpose(array, order), [n for n, flip in enumerate(flips) if flip]))


def turnedMatrix(ijkToRAS, shape, turn):
    toOld = np.zeros((4, 4))
    toOld[3, 3] = 1
    for new, (old, flip) in enumerate(zip(*turn, strict=True)):
        toOld[2 - old, 2 - new] = -1 if flip else 1
        toOld[2 - old, 3] = shape[old] - 1 if flip else 0
    return ijkToRAS @ toOld


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_any_storage_order_gives_the_same_voxels(body, network, plain, turn):
    shape = body["image"].shape
    volume = addVolume(turned(body["image"], turn), turnedMatrix(body["ijkToRAS"], shape, turn), "CT")
    drawn = {name: turned(mask, turn) for name, mask in painted(body["truth"]).items()}
    applied = segment(network, volume, addSegmentation(volume, drawn))
    for name in ORGANS:
        assert np.array_equal(exported(applied.segmentationNode, name, volume), turned(plain[0][name], turn))


def test_an_oblique_scan_gives_the_same_voxels(body, network, plain):
    volume = addVolume(body["image"], rotation((1, 2, 3), 20) @ body["ijkToRAS"], "CT")
    applied = segment(network, volume, addSegmentation(volume, painted(body["truth"])))
    for name in ORGANS:
        assert np.array_equal(exported(applied.segmentationNode, name, volume), plain[0][name])


def test_nested_transforms_on_scan_and_annotation_move_the_result_with_them(body, network, plain):
    volume = addVolume(body["image"], body["ijkToRAS"], "CT")
    segmentation = addSegmentation(volume, painted(body["truth"]))
    outer = addTransform(rotation((0, 0, 1), 12))
    addTransform(shift(30, -20, 10), volume, segmentation, parent=outer)
    applied = segment(network, volume, segmentation)
    toWorld = rotation((0, 0, 1), 12) @ shift(30, -20, 10) @ body["ijkToRAS"]
    for name in ORGANS:
        assert np.array_equal(exported(applied.segmentationNode, name, volume), plain[0][name])
        assert np.allclose(worldPoints(applied.segmentationNode, name), maskPoints(plain[0][name], toWorld), atol=1e-3)


def test_different_transforms_on_scan_and_annotation(body, network, plain):
    """The scan is stored elsewhere and brought back by its transform; the annotation by one of its own."""
    volume = addVolume(body["image"], np.linalg.inv(PLACE) @ body["ijkToRAS"], "CT")
    addTransform(PLACE, volume, name="of the scan")
    stored = addVolume(body["image"], shift(-50, 0, 0) @ body["ijkToRAS"], "stored")
    segmentation = addSegmentation(volume, painted(body["truth"]), geometry=stored)
    addTransform(shift(50, 0, 0), segmentation, name="of the annotation")
    applied = segment(network, volume, segmentation)
    for name in ORGANS:
        expected = maskPoints(plain[0][name], body["ijkToRAS"])
        assert np.allclose(worldPoints(applied.segmentationNode, name), expected, atol=1e-3)


def test_a_cropped_segmentation_geometry_changes_nothing(body, network, plain):
    volume = addVolume(body["image"], body["ijkToRAS"], "CT")
    drawn = painted(body["truth"])
    used = np.argwhere(np.any(list(drawn.values()), axis=0))
    low, high = used.min(axis=0), used.max(axis=0) + 1
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    cropped = addVolume(body["image"][part], body["ijkToRAS"] @ shift(*low[::-1]), "cropped")
    segmentation = addSegmentation(volume, {name: mask[part] for name, mask in drawn.items()}, geometry=cropped)
    applied = segment(network, volume, segmentation)
    for name in ORGANS:
        assert np.array_equal(exported(applied.segmentationNode, name, volume), plain[0][name])


@pytest.mark.parametrize("factor", [5, 2])
def test_annotations_painted_on_thinner_slices_are_found(body, network, plain, factor):
    """Painted between the scan's slices, on a grid of its own, they count on the nearest."""
    volume = addVolume(body["image"], body["ijkToRAS"], "CT")
    depth = body["image"].shape[0]
    fine = addVolume(body["image"].repeat(factor, 0), body["ijkToRAS"] @ np.diag([1, 1, 1 / factor, 1.0]), "fine")
    drawn = {}
    for name, mask in painted(body["truth"]).items():
        (index,) = np.flatnonzero(mask.any(axis=(1, 2)))
        drawn[name] = np.zeros((depth * factor, *mask.shape[1:]), bool)
        # With 5: two fifths above the slice; nearest neighbour would look at fifths 0, 5, 10 only.
        drawn[name][index * factor + (2 if factor == 5 else 0)] = mask[index]
    applied = segment(network, volume, addSegmentation(volume, drawn, geometry=fine))
    for name in ORGANS:
        assert np.array_equal(exported(applied.segmentationNode, name, volume), plain[0][name])


def test_an_annotation_on_a_coarser_grid_in_the_plane_still_fits(body, network):
    volume = addVolume(body["image"], body["ijkToRAS"], "CT")
    coarse = addVolume(
        body["image"][:, ::2, ::2], body["ijkToRAS"] @ shift(0.5, 0.5, 0) @ np.diag([2, 2, 1, 1.0]), "coarse"
    )
    drawn = {
        name: mask.reshape(20, 36, 2, 48, 2).mean(axis=(2, 4)) >= 0.5 for name, mask in painted(body["truth"]).items()
    }
    applied = segment(network, volume, addSegmentation(volume, drawn, geometry=coarse))
    found = {name: exported(applied.segmentationNode, name, volume) for name in ORGANS}
    fits(found, body["truth"], 0.7)


@pytest.mark.parametrize("axis", [1, 2], ids=["coronal", "sagittal"])
def test_coronal_and_sagittal_annotations_work(body, network, axis):
    volume = addVolume(body["image"], body["ijkToRAS"], "CT")
    drawn = painted(body["truth"], axis)
    applied = segment(network, volume, addSegmentation(volume, drawn))
    assert applied.report["slice_axis"] == 2 - axis
    found = {name: exported(applied.segmentationNode, name, volume) for name in ORGANS}
    for name in ORGANS:
        on = drawn[name].any(axis=tuple(n for n in range(3) if n != axis), keepdims=True)
        assert np.array_equal(found[name] & on, drawn[name])
    fits(found, body["truth"], 0.5)


def test_more_annotated_slices_are_all_used_and_kept(body, network):
    volume = addVolume(body["image"], body["ijkToRAS"], "CT")
    drawn = painted(body["truth"])
    for name, mask in body["truth"].items():
        slices = np.flatnonzero(mask.any(axis=(1, 2)))
        for index in (slices[1], slices[-2]):
            drawn[name][index] = mask[index]
    applied = segment(network, volume, addSegmentation(volume, drawn))
    found = {name: exported(applied.segmentationNode, name, volume) for name in ORGANS}
    for name in ORGANS:
        on = drawn[name].any(axis=(1, 2))
        assert on.sum() >= 2 and np.array_equal(found[name][on], drawn[name][on])
    fits(found, body["truth"], 0.75)


def test_hidden_and_empty_segments_do_not_change_the_others(body, network, plain):
    volume = addVolume(body["image"], body["ijkToRAS"], "CT")
    drawn = painted(body["truth"])
    masks = {"empty": np.zeros_like(drawn["liver"]), "hidden": drawn["spleen"], **drawn}
    segmentation = addSegmentation(volume, masks)
    segmentation.GetDisplayNode().SetSegmentVisibility("hidden", False)
    node = segment(network, volume, segmentation).segmentationNode
    assert list(node.GetSegmentation().GetSegmentIDs()) == list(ORGANS)
    for name in ORGANS:
        assert np.array_equal(exported(node, name, volume), plain[0][name])


def test_overlapping_annotations_give_overlapping_results(body, network):
    volume = addVolume(body["image"], body["ijkToRAS"], "CT")
    drawn = painted(body["truth"])
    half = drawn["liver"] & (np.arange(96) < np.median(np.nonzero(drawn["liver"])[2]))
    applied = segment(network, volume, addSegmentation(volume, {"liver": drawn["liver"], "part": half}))
    liver, part = (exported(applied.segmentationNode, name, volume) for name in ("liver", "part"))
    on = drawn["liver"].any(axis=(1, 2))
    assert np.array_equal(liver[on], drawn["liver"][on]) and np.array_equal(part[on], half[on])
    assert (liver & part & ~on[:, None, None]).any()


def test_another_patient_gives_what_the_library_gives_and_it_fits(body, network, plain):
    support = addVolume(body["image"], body["ijkToRAS"], "Müller")
    query = addVolume(body["otherImage"], body["ijkToRAS"], "Łukasz")
    applied = segment(network, support, addSegmentation(support, painted(body["truth"])), query)
    found = {name: exported(applied.segmentationNode, name, query) for name in ORGANS}
    for name in ORGANS:
        assert np.array_equal(found[name], plain[1][name])
    fits(found, body["otherTruth"], 0.55)
    assert applied.segmentationNode.GetName() == "Łukasz segmentation"


def test_another_patient_under_transforms_of_its_own_and_stored_turned(body, network, plain):
    support = addVolume(body["image"], np.linalg.inv(PLACE) @ body["ijkToRAS"], "support")
    segmentation = addSegmentation(support, painted(body["truth"]))
    addTransform(PLACE, support, segmentation)
    turn = TURNS["coronal order, flipped"]
    stored = turnedMatrix(body["ijkToRAS"], body["image"].shape, turn)
    away = rotation((1, 0, 0), 50) @ shift(100, 20, -300)
    query = addVolume(turned(body["otherImage"], turn), np.linalg.inv(away) @ stored, "query")
    addTransform(away @ shift(0, 5, 0), query, parent=None)
    inner = addTransform(shift(0, -5, 0), query)
    inner.SetAndObserveTransformNodeID(addTransform(away @ shift(0, 5, 0)).GetID())
    applied = segment(network, support, segmentation, query)
    for name in ORGANS:
        found = turned(plain[1][name], turn)
        score = dice(exported(applied.segmentationNode, name, query), found)
        assert score > 0.99  # matrices of several transforms are rounded; the anatomy is where it was
        place = worldPoints(applied.segmentationNode, name).mean(axis=0)
        assert np.allclose(place, maskPoints(plain[1][name], body["ijkToRAS"]).mean(axis=0), atol=0.2)


def test_a_query_with_one_slice(body, network):
    support = addVolume(body["image"], body["ijkToRAS"], "support")
    drawn = painted(body["truth"])
    (index,) = np.flatnonzero(drawn["liver"].any(axis=(1, 2)))
    single = addVolume(body["image"][index : index + 1], body["ijkToRAS"] @ shift(0, 0, index), "one slice")
    applied = segment(network, support, addSegmentation(support, {"liver": drawn["liver"]}), single)
    found = exported(applied.segmentationNode, "liver", single)
    assert found.shape == (1, 72, 96) and dice(found[0], body["truth"]["liver"][index]) > 0.8


def test_a_run_leaves_only_its_result_behind_and_a_refused_one_nothing(body, network):
    volume = addVolume(body["image"], body["ijkToRAS"], "CT")
    segmentation = addSegmentation(volume, {"liver": painted(body["truth"])["liver"]})
    before = nodeIDs()
    applied = segment(network, volume, segmentation)
    node = applied.segmentationNode
    assert nodeIDs() - before == {node.GetID(), node.GetDisplayNode().GetID()}
    before = nodeIDs()
    narrow = addVolume(np.full((3, 4, 5), 7, np.int16), body["ijkToRAS"], "constant")
    with pytest.raises(InputError, match="'constant'"):
        segment(network, volume, segmentation, narrow)
    assert nodeIDs() - before == {narrow.GetID(), narrow.GetDisplayNode().GetID()}
