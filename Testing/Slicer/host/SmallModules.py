"""Small Python modules that Slicer has and slicer-core lacks: slicer.i18n, slicer.packaging, SampleData."""

from __future__ import annotations

import types
from dataclasses import dataclass, field


def buildTranslation() -> types.ModuleType:
    """slicer.i18n: the untranslated text comes back. As in Slicer, the application is asked every time, which only the
    main thread may do."""
    module = types.ModuleType("slicer.i18n")

    def translate(context: str, text: str) -> str:
        import slicer

        return slicer.app.translate(context, text)

    module.tr = lambda text: translate("", text)
    module.translate = translate
    module.getContext = lambda path: path
    return module


def buildPackaging() -> types.ModuleType:
    """slicer.packaging that installs nothing: `requested` lists (function name, requirements) of every call."""
    module = types.ModuleType("slicer.packaging")
    module.requested = []

    def recording(name):
        return lambda requirements, *_arguments, **_options: module.requested.append((name, requirements))

    for name in ("pip_ensure", "pip_install", "pip_uninstall"):
        setattr(module, name, recording(name))
    module.pip_check = lambda requirements: False
    return module


@dataclass
class SampleDataSource:
    """What a module registers. customDownloader is called with this object and returns nodes or names."""

    sampleName: str = ""
    uris: object = None
    fileNames: object = None
    nodeNames: object = None
    customDownloader: object = None
    thumbnailFileName: str | None = None
    loadFileType: object = None
    loadFiles: bool | None = None
    checksums: object = None
    loadFileProperties: dict = field(default_factory=dict)


class SampleDataLogic:
    """Only sources with a customDownloader can be loaded here: the host never goes to the network."""

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **description) -> None:
        import slicer

        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        source = SampleDataSource(**description)
        sources[:] = [other for other in sources if other.sampleName != source.sampleName] + [source]

    @staticmethod
    def sampleDataSourcesByCategory(category: str | None = None):
        """The sources of a category; without one, all categories with their sources."""
        import slicer

        sources = slicer.modules.sampleDataSources
        return sources if category is None else sources.get(category, [])

    def sourceForSampleName(self, name: str):
        everything = [source for sources in self.sampleDataSourcesByCategory().values() for source in sources]
        return next((source for source in everything if source.sampleName == name), None)

    def downloadFromSource(self, source, *_options, **_keywords):
        return source.customDownloader(source)

    def downloadSamples(self, name: str):
        source = self.sourceForSampleName(name)
        if source is None:
            raise ValueError(f"There is no sample data named {name}.")
        result = self.downloadFromSource(source)
        return result if isinstance(result, list) else [result]

    def downloadSample(self, name: str):
        return self.downloadSamples(name)[0]


def buildSampleData() -> types.ModuleType:
    module = types.ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    module.SampleDataSource = SampleDataSource
    module.downloadSample = lambda name: SampleDataLogic().downloadSample(name)
    module.downloadSamples = lambda name: SampleDataLogic().downloadSamples(name)
    return module
