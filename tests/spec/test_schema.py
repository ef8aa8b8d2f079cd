"""Owns the tests of the JSON Schema."""

from __future__ import annotations

import json

from pydantic import BaseModel

from meson_core.spec import BrokenKind, KindFacts, Kinds, json_schema


class Volume(BaseModel):
    path: str


class DockerOptions(BaseModel):
    """A container."""

    image: str
    volumes: list[Volume] = []


KINDS: Kinds = {
    "docker": KindFacts.of("docker", DockerOptions),
    "free": KindFacts("free"),
    "broken": BrokenKind("broken", "ImportError"),
}


def test_the_options_of_installed_kinds_are_in_it() -> None:
    """An editor that knows the kind of a step knows its options."""
    schema = json_schema(KINDS)
    step = schema["$defs"]["Step"]

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert step["properties"]["kind"]["enum"] == ["docker", "free"]
    assert step["allOf"] == [
        {
            "if": {"properties": {"kind": {"const": "docker"}}},
            "then": {"properties": {"options": {"$ref": "#/$defs/options.docker"}}},
        },
        {
            "if": {"properties": {"kind": {"const": "free"}}},
            "then": {"properties": {"options": {"$ref": "#/$defs/options.free"}}},
        },
    ]
    docker = schema["$defs"]["options.docker"]
    assert docker["properties"]["volumes"]["items"] == {"$ref": "#/$defs/options.docker.Volume"}
    assert schema["$defs"]["options.docker.Volume"]["required"] == ["path"]
    assert schema["$defs"]["options.free"] == {"type": "object"}


def test_without_kinds_any_kind_goes() -> None:
    step = json_schema()["$defs"]["Step"]

    assert "enum" not in step["properties"]["kind"]
    assert "allOf" not in step


def test_every_reference_leads_somewhere() -> None:
    schema = json_schema(KINDS)
    names = {f"#/$defs/{name}" for name in schema["$defs"]}
    text = json.dumps(schema)
    found = {part.partition('"')[0] for part in text.split('"$ref": "')[1:]}

    assert found
    assert found <= names


def test_the_schemas_of_kinds_are_not_changed() -> None:
    before = json.dumps(DockerOptions.model_json_schema())
    json_schema(KINDS)

    assert json.dumps(KINDS["docker"].schema) == before  # type: ignore[union-attr]


def test_fields_are_described() -> None:
    """What an attribute docstring says is what an editor shows."""
    schema = json_schema()

    assert schema["$defs"]["Step"]["properties"]["timeout_s"]["description"] == "Seconds that one attempt may take."
