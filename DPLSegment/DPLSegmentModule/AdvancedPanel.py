"""Device, seed, variants and weights; what the last run really used."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from DPLSegmentModule.DPLSegmentParameters import DEFAULT_DEVICE, DEFAULT_SEED, DEFAULT_VARIANTS
from DPLSegmentModule.RunReports import readReports


class AdvancedPanel:
    """The advanced section of the panel."""

    def __init__(self, ui: Any, dependencies: Any) -> None:
        """
        Args:
            ui: the widgets of the panel.
            dependencies: knows the devices and PyTorch (``TorchDependency``).
        """
        self._devices = ui.deviceComboBox
        self._deviceUsed = ui.deviceUsedValueLabel
        self._torch = ui.torchValueLabel
        self._weights = ui.weightsPathLineEdit
        self._restoreButton = ui.restoreDefaultsButton
        self._dependencies = dependencies
        self._parameters = None
        self._updating = False
        self._devices.connect("currentIndexChanged(int)", self._onDeviceChosen)
        self._weights.connect("currentPathChanged(QString)", self._onWeightsChosen)
        self._restoreButton.connect("clicked(bool)", self.restoreDefaults)

    def setParameters(self, parameters: Any) -> None:
        """Show these parameters; None: the scene is closing."""
        self._parameters = parameters
        self.refreshDevices()

    def refreshDevices(self) -> None:
        """List what can be chosen now: more is known after the first run, when PyTorch is there."""
        self._torch.text = self._dependencies.describe()
        choices = self._dependencies.deviceChoices()
        # A scene from another computer may name a device that is not here; it stays visible and the run says so.
        chosen = self._parameters.device if self._parameters is not None else DEFAULT_DEVICE
        self._updating = True
        try:
            self._devices.clear()
            for choice in choices:
                self._devices.addItem(choice.label, choice.value)
            if chosen not in [choice.value for choice in choices]:
                self._devices.addItem(chosen, chosen)
        finally:
            self._updating = False
        self.update()

    def update(self) -> None:
        """Show what the parameters say."""
        if self._parameters is None:
            return
        self._updating = True
        try:
            index = self._devices.findData(self._parameters.device)
            if index < 0:
                self._devices.addItem(self._parameters.device, self._parameters.device)
                index = self._devices.count - 1
            self._devices.currentIndex = index
            if self._weights.currentPath != self._parameters.weightsPath:
                self._weights.currentPath = self._parameters.weightsPath
        finally:
            self._updating = False
        self._deviceUsed.text = self._describeLastRun()

    def restoreDefaults(self) -> None:
        """Put every choice of this section back."""
        if self._parameters is None:
            return
        self._parameters.device = DEFAULT_DEVICE
        self._parameters.seed = DEFAULT_SEED
        self._parameters.variants = DEFAULT_VARIANTS
        self._parameters.weightsPath = ""

    def cleanup(self) -> None:
        """Let go of the widgets."""
        self._devices.disconnect("currentIndexChanged(int)", self._onDeviceChosen)
        self._weights.disconnect("currentPathChanged(QString)", self._onWeightsChosen)
        self._restoreButton.disconnect("clicked(bool)", self.restoreDefaults)
        self._parameters = None

    def _describeLastRun(self) -> str:
        reports = readReports(self._parameters)
        if not reports:
            return _("There was no run yet.")
        report = reports[-1].report
        return _("{device}, PyTorch {version}, {seconds} s").format(
            device=report.get("device", "?"),
            version=report.get("torch", "?"),
            seconds=round(sum(entry.report.get("seconds", {}).get("total", 0.0) for entry in reports), 1),
        )

    def _onDeviceChosen(self, index: int) -> None:
        if not self._updating and self._parameters is not None and index >= 0:
            self._parameters.device = self._devices.itemData(index)

    def _onWeightsChosen(self, path: str) -> None:
        if not self._updating and self._parameters is not None:
            self._parameters.weightsPath = path.strip()
