"""The real MRML scene of slicer-core with the module logics a segmentation module needs."""

from __future__ import annotations

import tempfile
from pathlib import Path

_COLORS = """0 background 0 0 0 0
1 tissue 128 174 128 255
2 bone 241 214 145 255
3 skin 177 122 101 255
4 blood 216 101 79 255
5 organ 221 130 101 255
"""

# Module name: logic class. The scene holds logics weakly, so `MrmlScene` keeps them.
_LOGICS = {
    "Units": "vtkSlicerUnitsLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "SegmentEditor": "vtkSlicerSegmentEditorLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
}


class MrmlScene:
    """Creates the scene, the application logic and the module logics, and connects them to each other."""

    def __init__(self):
        import slicer

        self.scene = slicer.vtkMRMLScene()
        slicer.mrmlScene = self.scene
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-cache-")
        self._logics = {}
        self.applicationLogic = slicer.vtkSlicerApplicationLogic()
        self.applicationLogic.SetMRMLScene(self.scene)
        self.applicationLogic.SetTemporaryPath(self._folder.name)
        self._addColors()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self._addRemoteFiles()
        for name, className in _LOGICS.items():
            self._addLogic(name, getattr(slicer, className)())
        self.addDefaultNodes()

    def logic(self, name: str):
        return self._logics[name]

    def names(self) -> list[str]:
        return list(self._logics)

    def addDefaultNodes(self) -> None:
        """The nodes that Slicer has in every scene, also after it was closed."""
        import slicer

        if self.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode") is None:
            crosshair = slicer.vtkMRMLCrosshairNode()
            crosshair.SetSingletonTag("default")
            self.scene.AddNode(crosshair)
        for name in ("Selection", "Interaction"):
            if self.scene.GetFirstNodeByClass(f"vtkMRML{name}Node") is None:
                node = self.scene.CreateNodeByClass(f"vtkMRML{name}Node")
                node.UnRegister(None)
                node.SetSingletonTag("Singleton")
                self.scene.AddNode(node)

    def _addColors(self) -> None:
        """Colour tables that Slicer reads from files, in short: slicer-core brings none."""
        import slicer

        folder = Path(self._folder.name, "share", "ColorFiles")
        folder.mkdir(parents=True)
        for name in ("GenericColors", "GenericAnatomyColors"):
            (folder / f"{name}.txt").write_text(_COLORS)
        self.applicationLogic.SetHomeDirectory(self._folder.name)
        self.applicationLogic.SetShareDirectory("share")
        colors = slicer.vtkSlicerColorLogic()
        self._addLogic("Colors", colors)
        colors.AddDefaultColorNodes()
        self.applicationLogic.GetColorLogic().SetMRMLScene(self.scene)

    def _addRemoteFiles(self) -> None:
        """Storage nodes ask the scene's cache manager, even for local files."""
        import slicer

        self._remote = slicer.vtkMRMLRemoteIOLogic()
        self._remote.SetMRMLScene(self.scene)
        cache = Path(self._folder.name, "cache")
        cache.mkdir()
        self._remote.GetCacheManager().SetRemoteCacheDirectory(str(cache))
        self._data = slicer.vtkDataIOManagerLogic()
        self._data.SetMRMLScene(self.scene)
        self._data.SetMRMLApplicationLogic(self.applicationLogic)
        self._data.SetAndObserveDataIOManager(self._remote.GetDataIOManager())
        self._remote.AddDataIOToScene()

    def _addLogic(self, name: str, logic) -> None:
        logic.SetMRMLApplicationLogic(self.applicationLogic)
        if name == "Terminologies":
            logic.SetModuleShareDirectory(self._folder.name)
            logic.GlobalWarningDisplayOff()  # slicer-core has no terminology files
        logic.SetMRMLScene(self.scene)
        logic.GlobalWarningDisplayOn()
        self.applicationLogic.SetModuleLogic(name, logic)
        self._logics[name] = logic
