"""Every sentence that the module can show, read from the sources (nothing is imported)."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "DPLSegment"
LIBRARY = ROOT / "DPLSegmentLib"
# Texts that describe rather than answer: help of the module and of its widgets.
_DESCRIPTIONS = re.compile(r"tool_?tip|help|acknowledgement|description|docstring", re.IGNORECASE)
_NOT_SHOWN = {"DPLSegmentTest.py"}


@dataclass(frozen=True)
class Message:
    """A sentence with gaps: ``parts`` are the fixed texts between the gaps."""

    parts: tuple[str, ...]
    source: str

    @property
    def text(self) -> str:
        """For people: gaps shown as three dots."""
        return "…".join(self.parts)

    def matches(self, entry: str) -> bool:
        """Whether ``entry`` is this sentence with something in each gap."""
        return re.fullmatch(".+?".join(re.escape(part) for part in self.parts), entry) is not None


def module_messages() -> list[Message]:
    """Whole sentences the module translates, ``_("...")``, tool tips and help left out."""
    messages = []
    for path in sorted(MODULE.rglob("*.py")):
        if path.name in _NOT_SHOWN:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        described = {id(node) for parent in ast.walk(tree) for node in _described(parent)}
        for call in _calls(tree, {"_", "translate"}):
            text = call.args[-1] if call.args else None
            if not isinstance(text, ast.Constant) or not isinstance(text.value, str) or id(call) in described:
                continue
            parts = _format_parts(text.value)
            if path.name == "Messages.py" or text.value.rstrip().endswith("."):
                messages.append(Message(parts, f"{path.name}:{call.lineno}"))
    return messages


def library_messages() -> list[Message]:
    """What ``InputError`` says in the parts of the library that a segmentation uses."""
    messages = []
    for path in sorted(_imported_by(LIBRARY / "segmenter.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in _calls(tree, {"InputError", "message"}):
            parts = _literal_parts(call.args[0]) if call.args else None
            if parts is not None:
                messages.append(Message(parts, f"{path.name}:{call.lineno}"))
    return messages


def module_texts() -> set[str]:
    """Every text the module translates, and every text of its panel."""
    texts = set()
    for path in MODULE.rglob("*.py"):
        for call in _calls(ast.parse(path.read_text(encoding="utf-8")), {"_", "translate"}):
            if call.args and isinstance(call.args[-1], ast.Constant):
                texts.add(str(call.args[-1].value))
    for path in (ROOT / "Resources" / "UI").glob("*.ui"):
        texts |= set(re.findall(r"<string>([^<]+)</string>", path.read_text(encoding="utf-8")))
    return texts


def _calls(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            if name in names:
                yield node


def _described(node: ast.AST) -> Iterator[ast.AST]:
    """Everything below an assignment, a keyword or a call whose name says that it describes something."""
    if isinstance(node, ast.Assign):
        names = [getattr(target, "attr", None) or getattr(target, "id", "") for target in node.targets]
        value = node.value
    elif isinstance(node, ast.keyword):
        names, value = [node.arg or ""], node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr != "format":
        names, value = [node.func.attr], node
    else:
        return
    if any(_DESCRIPTIONS.search(name) for name in names):
        yield from ast.walk(value)


def _format_parts(text: str) -> tuple[str, ...]:
    """The fixed texts of a template for ``str.format``."""
    parts = [""]
    for literal, field, _, _ in string.Formatter().parse(text):
        parts[-1] += literal
        if field is not None:
            parts.append("")
    return tuple(parts)


def _literal_parts(node: ast.expr) -> tuple[str, ...] | None:
    """The fixed texts of a string or an f-string; None for anything else (it is made elsewhere)."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return (node.value,)
    if not isinstance(node, ast.JoinedStr):
        return None
    parts = [""]
    for value in node.values:
        if isinstance(value, ast.Constant):
            parts[-1] += value.value
        else:
            parts.append("")
    return tuple(parts)


def _imported_by(start: Path) -> set[Path]:
    """A file of the library and all of the library that it imports, directly or not."""
    found, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                folder = path.parents[node.level - 1]
                names = [node.module] if node.module else [alias.name for alias in node.names]
                for name in names:
                    target = folder.joinpath(*name.split("."))
                    waiting += [file for file in (target.with_suffix(".py"), target / "__init__.py") if file.is_file()]
    return found
