"""PySide6 made to behave like PythonQt, the Qt binding inside Slicer, where the two differ:

- Qt properties are attributes: ``button.text = "x"``, ``button.enabled``; calling one raises TypeError.
- Assigning an attribute that a Qt object does not have raises AttributeError (Python subclasses are free to).
- ``obj.connect("clicked(bool)", slot)``: signals by full signature. A slot gets as many arguments as it can take.
- ``obj.name`` is objectName; ``findChild("QLabel", "title")`` takes class names.
- Modal dialogs would block a test: ``exec_`` is handed to `modalHandler`, which raises unless a test set an answer.

One thing is stricter than the original: PythonQt prints an error when a signal does not exist, this raises.
Exceptions in slots go to ``sys.excepthook``, as in PythonQt, and never reach the code that emitted the signal.
"""

from __future__ import annotations

import sys
import types

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

QT_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)
_qtProperty = QtCore.QObject.property
_setQtProperty = QtCore.QObject.setProperty
_qtConnect = QtCore.QObject.connect
_qtDisconnect = QtCore.QObject.disconnect
_findChild = QtCore.QObject.findChild
_findChildren = QtCore.QObject.findChildren
_setPythonAttribute = QtCore.QObject.__base__.__setattr__
_codeFlagVarArgs = 0x04

# Set by the host: called with a dialog instead of showing it modally; returns the dialog's result.
modalHandler = None


class _PropertyAttribute(property):
    """A Qt property on an instance; on the class what PySide has there, for example the static QTimer.singleShot."""

    def __init__(self, getter, setter, classAttribute):
        super().__init__(getter, setter)
        self.classAttribute = classAttribute

    def __get__(self, instance, owner=None):
        if instance is None and self.classAttribute is not None:
            return self.classAttribute.__get__(None, owner)
        return super().__get__(instance, owner)


def _propertyAttribute(qtClass, name: str) -> _PropertyAttribute:
    own = qtClass.__dict__.get(name)
    method = own if callable(own) else None
    setter = getattr(qtClass, "set" + name[0].upper() + name[1:], None)

    def read(self):
        if method is not None:
            try:
                return method(self)
            except TypeError:  # a static function of the same name
                pass
        return _qtProperty(self, name)

    def write(self, value):
        if isinstance(setter, types.BuiltinFunctionType):  # a static function, such as setApplicationName
            setter(value)
        elif setter is not None:
            setter(self, value)
        elif not _setQtProperty(self, name, value):
            raise AttributeError(f"Property '{name}' of {type(self).__name__} cannot be set to {value!r}.")

    return _PropertyAttribute(read, write, own)


def _turnPropertiesIntoAttributes(qtClass) -> None:
    meta = qtClass.staticMetaObject
    signals = {
        bytes(meta.method(i).name()).decode()
        for i in range(meta.methodCount())
        if meta.method(i).methodType() == QtCore.QMetaMethod.MethodType.Signal
    }
    for i in range(meta.propertyCount()):
        name = meta.property(i).name()
        # Inherited properties come from the base class, unless this class hides them behind a method of its own.
        if name not in signals and (i >= meta.propertyOffset() or callable(qtClass.__dict__.get(name))):
            setattr(qtClass, name, _propertyAttribute(qtClass, name))


def isQtType(cls) -> bool:
    """True for Qt's own classes and for the host's stand-ins for Slicer's C++ widgets (`slicerWidget`)."""
    return cls.__module__.startswith("PySide6.") or "_isSlicerWidget" in cls.__dict__


def slicerWidget(*signatures: str):
    """Class decorator for the host's stand-ins of C++ widgets: as strict as Qt's own classes.

    signatures: the C++ signatures of its signals with MRML arguments, such as "currentNodeChanged(vtkMRMLNode*)".
    """

    def mark(cls):
        cls._isSlicerWidget = True
        cls._signatures = getattr(cls, "_signatures", frozenset()) | frozenset(signatures)
        return cls

    return mark


def _setAttribute(self, name, value):
    cls = type(self)
    attribute = next((c.__dict__[name] for c in cls.__mro__ if name in c.__dict__), None)
    # PySide itself stores signals on first use.
    if isQtType(cls) and not isinstance(value, QtCore.SignalInstance):
        isPrivate = name.startswith("_") and "_isSlicerWidget" in cls.__dict__
        if name in self.dynamicPropertyNames():
            _setQtProperty(self, name, value)
            return
        if not isPrivate and not isinstance(attribute, (property, QtCore.Property)):
            reason = "is not a property" if attribute is not None else "does not exist"
            raise AttributeError(f"Attribute '{name}' of {cls.__name__} {reason}; new attributes are not allowed.")
    if isinstance(attribute, QtCore.Property):
        attribute.fset(self, value)
        return
    _setPythonAttribute(self, name, value)


def argumentsFor(slot, arguments: tuple) -> tuple:
    """The arguments PythonQt passes: functions and methods get no more than they declare, defaults included.

    Other callables (functools.partial, classes, built-in functions) get them all.
    """
    function, bound = (slot.__func__, 1) if isinstance(slot, types.MethodType) else (slot, 0)
    if not isinstance(function, types.FunctionType) or function.__code__.co_flags & _codeFlagVarArgs:
        return arguments
    return arguments[: function.__code__.co_argcount - bound]


def callSlot(slot, arguments: tuple) -> None:
    try:
        slot(*argumentsFor(slot, arguments))
    except Exception:
        sys.excepthook(*sys.exc_info())


def _normalized(signature: str) -> str:
    return bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()


def _signalOf(sender, signature: str):
    """The bound PySide signal and the number of arguments of a signature such as "toggled(bool)"."""
    normalized = _normalized(signature)
    name, _, arguments = normalized.partition("(")
    declared = getattr(type(sender), "_signatures", frozenset())
    known = normalized in declared or sender.metaObject().indexOfSignal(normalized) >= 0
    if "(" not in signature or not known:
        raise RuntimeError(f"QObject::connect() signal '{signature}' does not exist on {type(sender).__name__}")
    return getattr(sender, name), len([a for a in arguments.rstrip(")").split(",") if a])


def _isPySideCall(signature) -> bool:
    """PySide's own ``signal.connect(slot)`` comes through connect() too, with a sender or a coded signature."""
    return not isinstance(signature, str) or signature[:1].isdigit()


def _connect(self, signature, receiver, slotSignature=None, *more):
    if _isPySideCall(signature):
        return _qtConnect(*[a for a in (signature, receiver, slotSignature, *more) if a is not None])
    signal, count = _signalOf(self, signature)
    slot = receiver if slotSignature is None else getattr(receiver, slotSignature.partition("(")[0])
    if not callable(slot):
        raise TypeError(f"A slot must be callable, not {slot!r}.")

    # PySide chooses between clicked() and clicked(bool) by the number of arguments of the slot.
    forward = {
        0: lambda: callSlot(slot, ()),
        1: lambda first: callSlot(slot, (first,)),
        2: lambda first, second: callSlot(slot, (first, second)),
    }[count]
    signal.connect(forward)
    connections = self.__dict__.setdefault("_connections", [])
    connections.append((_normalized(signature), slot, forward))
    return True


def _disconnect(self, signature=None, receiver=None, slotSignature=None, *more):
    if _isPySideCall(signature):
        return _qtDisconnect(*[a for a in (signature, receiver, slotSignature, *more) if a is not None])
    signal, _ = _signalOf(self, signature)
    slot = receiver if slotSignature is None else getattr(receiver, slotSignature.partition("(")[0])
    connections = self.__dict__.get("_connections", [])
    for entry in connections:
        if entry[0] == _normalized(signature) and (slot is None or entry[1] == slot):
            connections.remove(entry)
            signal.disconnect(entry[2])
            return True
    return False


def _makeGetAttribute(original):
    # PySide answers "connect" and "disconnect" of an instance itself, before looking at the class.
    def getAttribute(self, name):
        if name == "connect":
            return types.MethodType(_connect, self)
        if name == "disconnect":
            return types.MethodType(_disconnect, self)
        return original(self, name)

    return getAttribute


def _classNamed(name):
    if not isinstance(name, str):
        return name
    return next((getattr(m, name) for m in QT_MODULES if hasattr(m, name)), None)


def _childByName(self, kind=QtCore.QObject, name=None, *options):
    cls = _classNamed(kind)
    if cls is not None:
        return _findChild(self, cls, name, *options)
    return next(iter(_childrenByName(self, kind, name)), None)


def _childrenByName(self, kind=QtCore.QObject, name=None, *options):
    cls = _classNamed(kind)
    if cls is not None:
        return _findChildren(self, cls, name, *options)
    children = _findChildren(self, QtCore.QObject, name, *options)
    return [child for child in children if any(c.__name__ == kind for c in type(child).__mro__)]


def _execModal(self, *_):
    if modalHandler is None:
        raise RuntimeError(f"{type(self).__name__} would wait for the user.")
    return modalHandler(self)


def install() -> None:
    """Gives all PySide6 classes PythonQt's behaviour, once and for the whole process."""
    found = {name: getattr(module, name) for module in QT_MODULES for name in dir(module) if name.startswith("Q")}
    classes = [c for c in found.values() if isinstance(c, type) and issubclass(c, QtCore.QObject)]
    originals = {c: c.__getattribute__ for c in classes}
    for cls in sorted(classes, key=lambda c: len(c.__mro__)):
        _turnPropertiesIntoAttributes(cls)
    for cls in classes:
        cls.__getattribute__ = _makeGetAttribute(originals[cls])
        cls.__setattr__ = _setAttribute
    root = QtCore.QObject
    root.name = property(lambda self: self.objectName, lambda self, value: root.setObjectName(self, value))
    root.className = lambda self: self.metaObject().className()
    root.delete = root.deleteLater
    root.findChild = _childByName
    root.findChildren = _childrenByName
    QtWidgets.QDialog.exec = QtWidgets.QDialog.exec_ = _execModal
    QtWidgets.QMessageBox.exec = QtWidgets.QMessageBox.exec_ = _execModal


def buildQtModule(loaderClass, timerClass) -> types.ModuleType:
    """The flat module ``qt``: every Q class of Qt, with the host's QUiLoader and QTimer."""
    module = types.ModuleType("qt", "Qt classes as Slicer offers them (test host)")
    for source in QT_MODULES:
        for name in dir(source):
            if name.startswith("Q"):
                setattr(module, name, getattr(source, name))
    module.QUiLoader = loaderClass
    if timerClass is not None:
        module.QTimer = timerClass
    return module
