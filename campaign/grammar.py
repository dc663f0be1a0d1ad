"""What every part of a spec shares: frozen models, choices, and errors in the user's words with the line they are on.

A choice is a union of models told apart by their `type` (a filter's is its `rule`); `{type: UCB, beta: 2}` and the bare
name `UCB` both work.
Messages are made from the JSON Schema of the models, so a new field explains itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from campaign.words import listed, shown, suggestion
from campaign.yaml import Document, Path
from db.errors import Problem
from lab_io.words import count

Whole = Annotated[int, Strict()]
"""A whole number: not true, not "10", not 10.0."""
Number = Annotated[float, Strict()]
"""A finite number, whole or not."""
Flag = Annotated[bool, Strict()]
"""true or false, and nothing that merely looks like it."""


class Frozen(BaseModel):
    """A part of a spec: immutable, and every key is known. The text under a field is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Choice:
    """Marks a union of models as a choice: `Annotated[A | B, Field(discriminator="type"), Choice()]`.

    Args:
        tag: the key that tells them apart.
    """

    def __init__(self, tag: str = "type") -> None:
        self.tag = tag

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        self.names = [
            name for option in _options(source) for name in get_args(option.model_fields[self.tag].annotation)
        ]
        return core_schema.no_info_before_validator_function(self._spell, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"enum": self.names}, handler(schema)]}

    def _spell(self, value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value
        given = {self.tag: value} if isinstance(value, str) else value
        if not isinstance(given, Mapping) or self.tag not in given:
            what = f"{shown(value)} has no `{self.tag}`" if isinstance(given, Mapping) else f"found {shown(value)}"
            raise fault(what, f"write one of {', '.join(self.names)}, or `{{{self.tag}: {self.names[0]}, ...}}`")
        tag = given[self.tag]
        name = {name.casefold(): name for name in self.names}.get(str(tag).casefold())
        if name is None:
            raise fault(f"{shown(tag)} is none of {listed(self.names)}", suggestion(str(tag), self.names))
        return {**given, self.tag: name}


def _options(union: Any) -> tuple[type[BaseModel], ...]:
    return get_args(union) if get_origin(union) in (Union, UnionType) else (union,)


def fault(what: str, fix: str) -> PydanticCustomError:
    """The error for a validator to raise about its own value: what is wrong, and what to do about it."""
    return PydanticCustomError("fault", "{what}", {"what": what, "fix": fix})


def faults(found: Iterable[tuple[Path, str, str]]) -> None:
    """Raise one error for all of `found`, each (path below the value, what, fix); nothing when there is none."""
    details = [InitErrorDetails(type=fault(what, fix), loc=path, input=None) for path, what, fix in found]
    if details:
        raise ValidationError.from_exception_data("spec", details)


def problems(error: ValidationError, document: Document, schema: Mapping[str, Any]) -> list[Problem]:
    """All that a validation found, with line, key, value, expectation and what to write instead.

    Args:
        error: raised by validating `document.value`.
        document: values and the lines they were written on.
        schema: JSON Schema of the model.
    """
    found = (
        _problem(e["type"], e["loc"], e.get("ctx", {}), document, schema)
        for e in error.errors(include_url=False)
        if not (e["type"] == "too_short" and len(e["input"]) >= e["ctx"]["min_length"])  # pydantic: fewer are valid
    )
    return list(dict.fromkeys(found))  # a value that fits no member of a union is one problem, not one per member


def _problem(kind: str, loc: Path, ctx: Mapping[str, Any], document: Document, schema: Mapping[str, Any]) -> Problem:
    path, value = _written(document.value, loc)
    if kind == "missing" or (kind == "fault" and path[-1:] != loc[-1:] and not _is_tag(value, loc[-1])):
        path = (*path, loc[-1])
    where = document.where(path)
    if kind == "fault":
        return Problem(where, ctx["what"], ctx["fix"])
    nodes = _nodes(schema, loc)
    description = next((n["description"] for n in nodes if "description" in n), "")
    expected = listed(list(dict.fromkeys(_expectation(n) for n in nodes if n.get("type") != "null")), "or")
    if kind == "missing":
        return Problem(where, f"`{path[-1]}` is missing", f"add `{path[-1]}:` with {expected}. {description}".strip())
    if kind in ("extra_forbidden", "invalid_key"):
        known = [k for n in _nodes(schema, loc[:-1]) for k in n.get("properties", {})]
        return Problem(where, f"the key {shown(path[-1])} is unknown here", suggestion(str(path[-1]), known))
    if kind == "string_pattern_mismatch":
        return Problem(where, f"{shown(value)} cannot be used here", description)
    choices = [str(c) for n in nodes for c in n.get("enum", [])]
    fix = suggestion(value, choices) if choices and isinstance(value, str) else f"write {expected}"
    return Problem(where, f"{shown(value)} is not {expected}", fix)


def _written(value: Any, loc: Path) -> tuple[Path, Any]:
    """The part of `loc` that the user wrote, without the tags of choices, and the value there."""
    path: Path = ()
    for part in loc:
        in_list = isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)
        if in_list or (isinstance(value, Mapping) and part in value):
            path, value = (*path, part), value[part]
    return path, value


def _is_tag(value: Any, part: str | int) -> bool:
    """Whether `part` names the type of a choice, written bare or in a mapping."""
    tag = value.get("type", value.get("rule")) if isinstance(value, Mapping) else value
    return str(tag).casefold() == str(part).casefold()


def _nodes(schema: Mapping[str, Any], loc: Path) -> list[dict[str, Any]]:
    """The parts of a JSON Schema that describe what stands at `loc` (which may name the tags of choices)."""
    nodes = list(_leaves(schema, schema))
    for part in loc:
        tagged = [
            n
            for n in nodes
            if any(n.get("properties", {}).get(tag, {}).get("const") == part for tag in ("type", "rule"))
        ]
        below = [_child(n, part) for n in nodes]
        found = [leaf for child in below if child is not None for leaf in _leaves(schema, child)]
        nodes = tagged or found or nodes  # the last: pydantic names the member of a plain union
    return nodes


def _leaves(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """`node` with references followed and alternatives spread out."""
    if "$ref" in node:
        target = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        yield from _leaves(schema, {**target, **{k: v for k, v in node.items() if k != "$ref"}})
    elif alternatives := node.get("anyOf") or node.get("oneOf"):
        outer = {"description": node["description"]} if "description" in node else {}
        for alternative in alternatives:
            yield from _leaves(schema, {**alternative, **outer})
    else:
        yield dict(node)


def _child(node: Mapping[str, Any], part: str | int) -> Mapping[str, Any] | None:
    if isinstance(part, int):
        return node.get("items")
    child = node.get("properties", {}).get(part, node.get("additionalProperties"))
    return child if isinstance(child, Mapping) else None


def _expectation(node: Mapping[str, Any]) -> str:
    """`a whole number from 1 to 1000`."""
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        return ("one of " if len(node["enum"]) > 1 else "") + ", ".join(map(str, node["enum"]))
    kinds = node.get("type", [])
    names = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "true or false",
        "array": "a list",
        "object": "a mapping (keys and values)",
    }
    words = [names[k] for k in ([kinds] if isinstance(kinds, str) else kinds) if k in names]
    first, *others = words or ["a value"]
    return listed([first + _limits(node), *others], "or")


def _limits(node: Mapping[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    words = {
        "minimum": "of {} or more",
        "maximum": "of {} or less",
        "exclusiveMinimum": "above {}",
        "exclusiveMaximum": "below {}",
        "maxLength": "of at most {} characters",
    }
    limits = [text.format(node[key]) for key, text in words.items() if key in node]
    if "minItems" in node:
        limits.append(f"of at least {count(node['minItems'], 'item')}")
    return " " + listed(limits) if limits else ""
