"""Volume nodes become the library's volumes: voxels, place, transforms, and sentences for what cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
from scene_objects import addNonLinearTransform, addTransform, addVolume, importable, matrix, noise, rotation, shift

OBLIQUE = matrix((0.7, 0.8, 3.0), (12.0, -34.0, 56.0), rotate=((1, 2, 3), 25))
FLIPPED = matrix((1.0, 1.5, 2.0)) @ np.diag([1.0, -1.0, -1.0, 1.0])
LEFT_HANDED = matrix((1.0, 1.5, 2.0)) @ np.diag([1.0, 1.0, -1.0, 1.0])


@pytest.fixture(autouse=True)
def imports(scene, monkeypatch):
    global InputError, volumeFromNode
    importable(monkeypatch)
    from DPLSegmentLib.errors import InputError
    from DPLSegmentModule.VolumeReader import volumeFromNode


@pytest.mark.parametrize("ijkToRAS", [OBLIQUE, FLIPPED, LEFT_HANDED], ids=["oblique", "flipped", "left-handed"])
def test_voxels_and_place_are_those_of_the_node(ijkToRAS):
    array = noise((5, 6, 7))
    volume = volumeFromNode(addVolume(array, ijkToRAS, "Löwe ライオン"))
    assert np.array_equal(volume.array, array) and volume.array.dtype == array.dtype
    assert np.allclose(volume.ijk_to_world, ijkToRAS, atol=1e-9)
    assert volume.name == "Löwe ライオン"


def test_the_array_is_a_copy():
    import slicer

    node = addVolume(noise(), matrix())
    volume = volumeFromNode(node)
    before = volume.array.copy()
    slicer.util.arrayFromVolume(node)[:] = 7
    assert np.array_equal(volume.array, before)


def test_nested_linear_transforms_move_the_volume():
    node = addVolume(noise(), OBLIQUE)
    outer = addTransform(rotation((0, 0, 1), 30))
    addTransform(shift(5, 6, 7), node, parent=outer)
    expected = rotation((0, 0, 1), 30) @ shift(5, 6, 7) @ OBLIQUE
    assert np.allclose(volumeFromNode(node).ijk_to_world, expected, atol=1e-9)


def test_a_non_linear_transform_gives_one_sentence_that_names_both_nodes():
    node = addVolume(noise(), matrix(), "CT")
    addNonLinearTransform(node, name="bend")
    with pytest.raises(InputError, match=r"^'CT' is under the non-linear transform 'bend'; harden [^.]*\.$"):
        volumeFromNode(node)


def test_a_non_linear_transform_above_a_linear_one_is_found():
    node = addVolume(noise(), matrix(), "CT")
    inner = addTransform(shift(1, 2, 3), node)
    addNonLinearTransform(inner)
    with pytest.raises(InputError, match="non-linear"):
        volumeFromNode(node)


def test_a_volume_with_one_slice_is_a_scan():
    volume = volumeFromNode(addVolume(noise((1, 20, 24)), matrix()))
    assert volume.array.shape == (1, 20, 24)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_every_usual_type_of_voxel_is_read_as_it_is(kind):
    array = np.abs(noise()).astype(kind)
    assert np.array_equal(volumeFromNode(addVolume(array, matrix())).array, array)


def test_nodes_that_are_no_scan_give_one_sentence():
    import slicer
    import vtk

    def refused(node, words):
        with pytest.raises(InputError, match=words) as caught:
            volumeFromNode(node)
        sentence = str(caught.value)
        assert sentence.endswith(".") and sentence.count(". ") == 0

    refused(None, "There is no volume")
    refused(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "bare"), "'bare' holds no image")
    refused(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "liver"), "'liver' is not a volume")
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    empty.SetAndObserveImageData(vtk.vtkImageData())
    refused(empty, "'empty' holds no image")
    labels = addVolume(np.ones((4, 5, 6), np.uint8), matrix(), "labels", "vtkMRMLLabelMapVolumeNode")
    refused(labels, "'labels' is a label map")
    color = addVolume(np.zeros((4, 5, 6, 3), np.uint8), matrix(), "photo", "vtkMRMLVectorVolumeNode")
    refused(color, "'photo' has several values per voxel")
    two = vtk.vtkImageData()
    two.SetDimensions(4, 5, 6)
    two.AllocateScalars(vtk.VTK_SHORT, 2)
    pair = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "pair")
    pair.SetAndObserveImageData(two)
    refused(pair, "'pair' has several values per voxel")
    refused(addVolume(np.full((4, 5, 6), 3, np.int16), matrix(), "flat"), "'flat' has the same value everywhere")
    holes = np.ones((4, 5, 6), np.float32)
    holes[1, 2, 3] = np.nan
    refused(addVolume(holes, matrix(), "holes"), "'holes' has NaN")
