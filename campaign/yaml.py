"""Strict YAML: the 1.2 core schema without its traps, and the line of every key.

PyYAML reads YAML 1.1, in which `No` is false, `12:30` is 750, `1e-3` is text, and the last of two equal keys wins in
silence. Here plain words are typed by the YAML 1.2 core schema, equal keys are an error, and what a spec never needs
(aliases, anchors, tags, several documents, infinities) is refused. PyYAML does the scanning and parsing; values are
built from its events, so that no object is ever constructed from a tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from campaign.words import shown
from db.errors import InvalidInput, Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 50_000
MAX_PROBLEMS = 200
"""Reading stops at so many; they have one cause."""

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the document: `("objectives", 0, "unit")`."""

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN")
_ESCAPED_BREAKS = {0x85: "\\N", 0x2028: "\\L", 0x2029: "\\P"}
"""Line breaks of YAML 1.1 that PyYAML writes as they are, and folds into blanks when it reads them."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Document:
    """A document's plain values, and where each was written."""

    name: str
    """What to call the document in messages: `plate.yaml`."""
    value: Any
    """dict (keys are text, as written), list, str, int, float, bool or None."""
    marks: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    """Key path -> (line, column), both from 1; empty when the values did not come from text."""

    def where(self, path: Path) -> str:
        """`plate.yaml, line 7, space.divisions`; the line is that of the nearest key that was written."""
        at = next((self.marks[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.marks), None)
        return ", ".join(filter(None, [self.name, f"line {at[0]}" if at else "", dotted(path)]))


def dotted(path: Path) -> str:
    """`objectives[0].unit`."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


def load(text: str | bytes, name: str = "document") -> Document:
    """Read one YAML document.

    Args:
        text: the document; bytes are taken as UTF-8.
        name: what to call it in messages.

    Raises:
        InvalidInput: it is larger than 1 MiB, nests deeper than 32, has more than 50,000 values, is not YAML, or uses
            what is refused; all problems up to the first that stops the reading.
    """
    builder = _Builder(name)
    try:
        value = builder.document(_decoded(text, name))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = "; ".join(filter(None, [error.context, error.problem]))
        builder.problems.append(Problem(name + line, f"not YAML: {what}", _syntax_fix(what)))
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two: escapes with impossible numbers
        what = str(error).splitlines()[0]
        builder.problems.append(Problem(name, f"not YAML: {what}", "remove the unusual characters"))
    except _TooBigError:
        pass  # the builder has noted what is too big, and it is raised below
    if builder.problems:
        raise InvalidInput(builder.problems)
    return Document(name, value, builder.marks)


def dump(value: Any) -> str:
    """Plain values as YAML that `load` reads back to the same values."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text.translate(_ESCAPED_BREAKS)


def plain(text: str) -> Any:
    """The value of an unquoted word in the YAML 1.2 core schema (section 10.3.2).

    Raises:
        ValueError: an infinity, not-a-number, or a number that no float or 64-bit integer holds.
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text) or _BASED.fullmatch(text):
        number = int(text, 0 if _BASED.fullmatch(text) else 10) if len(text) < 70 else 2**63
        if abs(number) >= 2**63:
            raise ValueError(f"{shown(text)} is too large for a whole number")
        return number
    if _NOT_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and float(text) in (float("inf"), float("-inf"))):
        raise ValueError(f"{shown(text)} is not a finite number")
    return float(text) if _FLOAT.fullmatch(text) else text


class _TooBigError(Exception):
    """Reading stops here; the problems are already noted."""


@dataclass
class _Builder:
    """Turns parser events into values, marks and problems."""

    name: str
    problems: list[Problem] = field(default_factory=list)
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    nodes: int = 0

    def document(self, text: str) -> Any:
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        value = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, (), "a second document starts here", "keep one document and remove the ---")
                    break
                value = self._node(next(events), events, ())
        return value

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], path: Path) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            limit = f"{MAX_NODES:,} values" if self.nodes > MAX_NODES else f"{MAX_DEPTH} levels"
            self._refuse(event, (), f"the document has more than {limit}", "move long lists to a table file")
            raise _TooBigError
        if path not in self.marks:
            self.marks[path] = _position(event)
        if isinstance(event, yaml.AliasEvent):
            return self._refuse(event, path, f"'*{event.anchor}' is an alias", "write the value out")
        if anchor := getattr(event, "anchor", None):
            self._refuse(event, path, f"'&{anchor}' is an anchor", "remove it")
        if tag := getattr(event, "tag", None):
            self._refuse(event, path, f"{shown(tag)} is a tag", "remove it; write text in quotes")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        return self._scalar(event, path) if isinstance(event, yaml.ScalarEvent) else None

    def _mapping(self, events: Iterator[yaml.Event], path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse(event, path, "a key is not a plain word", "use a word followed by a colon")
                self._node(event, events, (*path, "?"))
                self._node(next(events), events, (*path, "?"))
                continue
            key = event.value
            inner = (*path, key)
            if key in result:
                first = self.marks[inner][0]
                what = f"the key {shown(key)} appears twice, first on line {first}"
                self._refuse(event, inner, what, "keep one of the two")
            if event.anchor or event.tag:
                self._refuse(event, inner, "a key has an anchor or a tag", "remove it")
            self.marks.setdefault(inner, _position(event))
            result[key] = self._node(next(events), events, inner)
        return result

    def _sequence(self, events: Iterator[yaml.Event], path: Path) -> list[Any]:
        result: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            result.append(self._node(event, events, (*path, len(result))))
        return result

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> Any:
        if _SURROGATE.search(event.value):
            return self._refuse(event, path, "half of a character (a lone surrogate)", "type the character itself")
        if event.style is not None:  # quoted or block text is text
            return event.value
        try:
            return plain(event.value)
        except ValueError as error:
            return self._refuse(event, path, str(error), "write a finite number, or text in quotes")

    def _refuse(self, event: yaml.Event, path: Path, what: str, fix: str) -> None:
        where = Document(self.name, None, {path: _position(event)}).where(path)
        self.problems.append(Problem(where, what, fix))
        if len(self.problems) >= MAX_PROBLEMS:
            raise _TooBigError


class _Dumper(yaml.SafeDumper):
    """Quotes what `plain` would not read as text; PyYAML already quotes what YAML 1.1 would not."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    try:
        style = None if plain(text) == text == text.translate(_ESCAPED_BREAKS) else '"'
    except ValueError:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_short_list(dumper: _Dumper, items: Sequence[Any]) -> yaml.SequenceNode:
    flat = all(not isinstance(i, dict | list | tuple) for i in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flat)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_short_list)


def _decoded(text: str | bytes, name: str) -> str:
    if len(text) > MAX_BYTES:
        raise InvalidInput(Problem(name, "the document is larger than 1 MiB", "move long lists to a table file"))
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fix = "save the file as UTF-8 (in a spreadsheet or editor: Save as, encoding UTF-8)"
        raise InvalidInput(Problem(name, f"byte {error.start + 1} is not UTF-8 text", fix)) from None


def _position(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _syntax_fix(what: str) -> str:
    if "'\\t'" in what:
        return "indent with spaces, never with tabs"
    if "mapping values are not allowed" in what:
        return "put text that holds a colon in quotes, and check the indentation"
    if "%" in what or "@" in what or "`" in what:
        return "put text that starts with a symbol in quotes"
    return "check the indentation, quotes and brackets near here"
