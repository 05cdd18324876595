"""slicer.app.coreIOManager(): loads and saves through the storage classes of the real MRML logics."""

from __future__ import annotations

from pathlib import Path

_FILE_TYPES = {
    ".seg.nrrd": "SegmentationFile",
    ".seg.nhdr": "SegmentationFile",
    ".mrml": "SceneFile",
    ".mrb": "SceneFile",
    ".nii.gz": "VolumeFile",
    ".nii": "VolumeFile",
    ".nrrd": "VolumeFile",
    ".nhdr": "VolumeFile",
    ".mha": "VolumeFile",
    ".mhd": "VolumeFile",
}


class FileManager:
    """Stand-in of qSlicerCoreIOManager for volumes, segmentations and scenes."""

    def __init__(self, mrml):
        self._mrml = mrml

    def fileType(self, path) -> str:
        name = str(path).lower()
        ending = next((ending for ending in _FILE_TYPES if name.endswith(ending)), None)
        return _FILE_TYPES[ending] if ending else "NoFile"

    def fileWriterFileType(self, node) -> str:
        return "SegmentationFile" if node.IsA("vtkMRMLSegmentationNode") else "VolumeFile"

    def loadNodes(self, fileType, properties, loadedNodes=None, messages=None) -> bool:
        path = str(properties["fileName"])
        name = properties.get("name") or Path(path).name.split(".")[0]
        if not Path(path).exists():
            return False
        if fileType == "SceneFile":
            return self._loadScene(path, properties.get("clear", False))
        if fileType == "VolumeFile":
            options = 1 if properties.get("labelmap") else 0
            node = self._mrml.logic("Volumes").AddArchetypeVolume(path, name, options)
        elif fileType == "SegmentationFile":
            node = self._mrml.logic("Segmentations").LoadSegmentationFromFile(path, True, name)
        else:
            return False
        if node is None:
            return False
        if loadedNodes is not None:
            loadedNodes.AddItem(node)
        return True

    def loadScene(self, path, clear: bool = True) -> bool:
        return self._loadScene(str(path), clear)

    def _loadScene(self, path: str, clear: bool) -> bool:
        scene = self._mrml.scene
        if path.lower().endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, clear))
        scene.SetURL(path)
        return bool(scene.Connect() if clear else scene.Import())

    def saveNodes(self, fileType, properties, messages=None) -> bool:
        scene, path = self._mrml.scene, str(properties["fileName"])
        if fileType == "SceneFile":
            if path.lower().endswith(".mrb"):
                return bool(scene.WriteToMRB(path))
            return bool(scene.Commit(path))
        node = scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        return bool(storage.WriteData(node))
