"""slicer.parameterNodeWrapper: typed access to a real vtkMRMLScriptedModuleNode.

Types: str, int, float, bool, pathlib.Path, Enum, MRML nodes, `list` of any of them, and ``X | None``.
Annotations: Default, Choice, Minimum, Maximum, WithinRange, Decimals, SingleStep.

As in Slicer, the defaults are written when a wrapper is made, every change is a ModifiedEvent of the node, and
``connectGui`` returns nothing: only ``connectParametersToGui`` returns a tag that ``disconnectGui`` understands.
Stricter than Slicer: assigning an unknown parameter raises AttributeError.
"""

from __future__ import annotations

import enum
import pathlib
import types
import typing
import weakref

from . import GuiConnectors
from .ParameterTypes import Choice, Decimals, Default, Maximum, Minimum, SingleStep, Validator, WithinRange

PROPERTY_NAME = "SlicerParameterName"
_SIMPLE = (str, int, float, bool, pathlib.Path)
_EMPTY = {str: "", int: 0, float: 0.0, bool: False, pathlib.Path: pathlib.Path()}


class _Parameter:
    """One parameter: its type, its default, and how it is kept in the node."""

    def __init__(self, name: str, annotation, defaults: dict):
        self.name = name
        self.annotation = annotation
        self.annotations = getattr(annotation, "__metadata__", ())
        kind = typing.get_args(annotation)[0] if self.annotations else annotation
        options = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
        self.optional = type(None) in options
        self.isList = typing.get_origin(kind) is list
        self.kinds = typing.get_args(kind) if self.isList else tuple(o for o in options if o is not type(None))
        self.isNode = all(isinstance(k, type) and hasattr(k, "GetNodeTagName") for k in self.kinds)
        simple = len(self.kinds) == 1 and (self.kinds[0] in _SIMPLE or self.isEnum)
        if not (simple or self.isNode):
            raise Exception(f"Unable to create serializer for parameter {name} of type {annotation}")
        self.default = self._defaultValue(defaults)

    @property
    def isEnum(self) -> bool:
        return isinstance(self.kinds[0], type) and issubclass(self.kinds[0], enum.Enum)

    def _defaultValue(self, defaults: dict):
        annotated = next((a.value for a in self.annotations if isinstance(a, Default)), None)
        if self.name in defaults or annotated is not None:
            return defaults.get(self.name, annotated)
        choice = next((a for a in self.annotations if isinstance(a, Choice)), None)
        if self.isList:
            return []
        if self.isNode or self.optional:
            return None
        if choice is not None:
            return choice.choices[0]
        if self.isEnum:
            return next(iter(self.kinds[0]))
        return _EMPTY[self.kinds[0]]

    def isIn(self, node, name: str) -> bool:
        return node.HasParameter(name) if hasattr(node, "HasParameter") else node.GetParameter(name) != ""

    def check(self, value) -> None:
        """Raises ValueError for a value of the wrong type or outside the annotated range."""
        for item in value if self.isList else [value]:
            allowed = (*self.kinds, int) if self.kinds == (float,) else self.kinds
            mayBeNone = item is None and (self.optional or self.isNode)
            isBool = isinstance(item, bool) and bool not in allowed
            if not mayBeNone and (isBool or not isinstance(item, allowed)):
                raise ValueError(f"Parameter {self.name} cannot be {item!r}: it must be of type {self.annotation}.")
        for annotation in self.annotations:
            if isinstance(annotation, Validator) and value is not None:
                annotation.validate(value)

    def write(self, node, value) -> None:
        self.check(value)
        wasModifying = node.StartModify()
        if self.isList:
            for index in range(len(value), int(node.GetParameter(self.name) or 0)):
                self._writeItem(node, f"{self.name}.{index}", None)
            for index, item in enumerate(value):
                self._writeItem(node, f"{self.name}.{index}", item)
            node.SetParameter(self.name, str(len(value)))
        else:
            self._writeItem(node, self.name, value)
        node.EndModify(wasModifying)

    def read(self, node):
        if self.isList:
            count = int(node.GetParameter(self.name) or 0)
            return ObservedList([self._readItem(node, f"{self.name}.{i}") for i in range(count)], self, node)
        return self._readItem(node, self.name)

    def _writeItem(self, node, name: str, value) -> None:
        if self.isNode:
            node.SetNodeReferenceID(name, value.GetID() if value is not None else None)
            if not self.isList:
                node.SetParameter(name, "node")
        elif value is None:
            node.UnsetParameter(name)
        else:
            node.SetParameter(name, value.name if self.isEnum else str(value))

    def _readItem(self, node, name: str):
        if self.isNode:
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        kind = self.kinds[0]
        if self.optional and not self.isIn(node, name):
            return None
        if kind is bool:
            return text == "True"
        return kind[text] if self.isEnum else kind(text)


class ObservedList(list):
    """The value of a list parameter; changing it in place changes the parameter node."""

    def __init__(self, items, parameter: _Parameter, node):
        super().__init__(items)
        self._write = lambda: parameter.write(node, list(self))


def _writingThrough(name: str):
    original = getattr(list, name)

    def method(self, *arguments, **keywords):
        result = original(self, *arguments, **keywords)
        self._write()
        return result

    return method


for _name in ("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "__setitem__", "__delitem__"):
    setattr(ObservedList, _name, _writingThrough(_name))


class _Wrapper:
    """Methods that every decorated class gets."""

    def __init__(self, parameterNode, prefix: str | None = None):
        if prefix:
            raise ValueError("The test host has no prefixes of parameter names.")
        self.__dict__.update(parameterNode=parameterNode, _connections={}, _nextTag=0, _updatingGui=False)
        for name, parameter in self.allParameters.items():
            if not parameter.isIn(parameterNode, name) and not (parameter.optional and parameter.default is None):
                parameter.write(parameterNode, parameter.default)

    def __setattr__(self, name, value):
        if name not in self.allParameters:
            raise AttributeError(f"There is no parameter named {name}.")
        self.setValue(name, value)

    def _parameter(self, name: str) -> _Parameter:
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}")
        return self.allParameters[name]

    def getValue(self, name: str):
        return self._parameter(name).read(self.parameterNode)

    def setValue(self, name: str, value) -> None:
        self._parameter(name).write(self.parameterNode, value)

    def default(self, name: str):
        return Default(self._parameter(name).default)

    def isCached(self, name: str) -> bool:
        return False

    @classmethod
    def dataType(cls, name: str):
        return cls.allParameters[name].annotation

    def connectGui(self, gui) -> None:
        widgets = gui.findChildren("QWidget") if hasattr(gui, "findChildren") else gui.__dict__.values()
        named = {widget.property(PROPERTY_NAME): widget for widget in widgets}
        named.pop(None, None)
        self.connectParametersToGui(named)

    def connectParametersToGui(self, mapping: dict) -> int:
        connectors = {
            name: GuiConnectors.createConnector(widget, self._parameter(name)) for name, widget in mapping.items()
        }
        self.__dict__["_nextTag"] += 1
        tag = self._nextTag
        self._connections[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(self._changedInGui(name, connector))
        observer = weakref.WeakMethod(self._updateGui)  # see Observations
        self.AddObserver("ModifiedEvent", lambda *_: observer() and observer()())
        return tag

    def disconnectGui(self, tag) -> None:
        for connector in self._connections.pop(tag, {}).values():
            connector.onChanged(None)

    def _changedInGui(self, name, connector):
        def changed():
            if not self._updatingGui:
                self.setValue(name, connector.read())

        return changed

    def _updateGui(self) -> None:
        if self._updatingGui:
            return
        self.__dict__["_updatingGui"] = True
        try:
            for connectors in list(self._connections.values()):
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self.__dict__["_updatingGui"] = False

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, wasModifying):
        return self.parameterNode.EndModify(wasModifying)

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        return self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        return self.parameterNode.Modified()


def parameterNodeWrapper(classtype=None):
    """Class decorator; annotated members become parameters."""
    if classtype is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(classtype, include_extras=True)
    defaults = {name: getattr(classtype, name) for name in hints if hasattr(classtype, name)}
    parameters = {name: _Parameter(name, annotation, defaults) for name, annotation in hints.items()}
    for name, value in vars(_Wrapper).items():
        if callable(value) or isinstance(value, classmethod):
            if name in parameters:
                raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
            if name not in ("__init__", "__setattr__") and name in vars(classtype):
                continue
            setattr(classtype, name, value)
    for name, parameter in parameters.items():
        setattr(classtype, name, property(lambda self, p=parameter: p.read(self.parameterNode)))
    classtype.allParameters = parameters
    classtype._is_parameter_node_wrapper = True
    return classtype


def findChildWidgetForParameter(widget, name: str):
    return next((w for w in widget.findChildren("QWidget") if w.property(PROPERTY_NAME) == name), None)


def buildParameterNodeWrapper() -> types.ModuleType:
    module = types.ModuleType("slicer.parameterNodeWrapper")
    public = (
        parameterNodeWrapper, findChildWidgetForParameter, Choice, Decimals, Default, Maximum, Minimum, SingleStep,
        Validator, WithinRange,
    )  # fmt: skip
    for item in public:
        setattr(module, item.__name__, item)
    module.isParameterNodeWrapper = lambda item: getattr(item, "_is_parameter_node_wrapper", False)
    module.SlicerParameterNamePropertyName = PROPERTY_NAME
    module.__all__ = [item.__name__ for item in public] + ["isParameterNodeWrapper", "SlicerParameterNamePropertyName"]
    return module
