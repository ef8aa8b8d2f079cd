"""Owns the JSON Schema of a workflow, with the options of the installed step kinds in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meson_core.spec.kinds import KindFacts
from meson_core.spec.model import Workflow

if TYPE_CHECKING:
    from meson_core.spec.kinds import Kinds

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DEFINITIONS = "#/$defs/"


def json_schema(kinds: Kinds | None = None) -> dict[str, Any]:
    """The JSON Schema of a definition.

    Args:
        kinds: the installed step kinds; `kind` is then one of them, and `options` has the form that it asks for.
    """
    schema = Workflow.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    facts = [kind for _, kind in sorted((kinds or {}).items()) if isinstance(kind, KindFacts)]
    if facts:
        step = definitions["Step"]
        step["properties"]["kind"] = {**step["properties"]["kind"], "enum": [kind.name for kind in facts]}
        step["allOf"] = [_options_of(kind, definitions) for kind in facts]
    return {"$schema": DIALECT, **schema}


def _options_of(kind: KindFacts, definitions: dict[str, Any]) -> dict[str, Any]:
    """The condition that ties a kind to its options; what their schema defines moves to ours under a name of its own."""
    prefix = f"options.{kind.name}"
    own = dict(kind.schema)
    for name, definition in own.pop("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = _moved(definition, prefix)
    definitions[prefix] = _moved(own, prefix)
    return {
        "if": {"properties": {"kind": {"const": kind.name}}},
        "then": {"properties": {"options": {"$ref": f"{_DEFINITIONS}{prefix}"}}},
    }


def _moved(value: Any, prefix: str) -> Any:
    if isinstance(value, dict):
        return {key: _moved(part, prefix) for key, part in value.items()}
    if isinstance(value, list):
        return [_moved(part, prefix) for part in value]
    if isinstance(value, str) and value.startswith(_DEFINITIONS):
        return f"{_DEFINITIONS}{prefix}.{value.removeprefix(_DEFINITIONS)}"
    return value
