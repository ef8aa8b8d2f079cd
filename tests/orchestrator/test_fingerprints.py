"""Owns the tests of keys: what makes two results of a step the same, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from meson_core.orchestrator.fingerprints import Keys, StepFacts, step_facts, told
from meson_core.ports import Program
from meson_core.spec.model import Step

NOWHERE = Path("/nowhere")
DIGEST = f"sha256:{'0' * 64}"


def facts(**changed: Any) -> StepFacts:
    """The facts of one step; keyword arguments change it."""
    given: dict[str, Any] = {"options": {"script": "x", "n": 1}, "plugin": "meson-core 1.0", "kind": "shell", **changed}
    spec = Step(name="a", kind=given.pop("kind"), outputs=given.pop("outputs", {"x": "int"}), **given.pop("spec", {}))
    spec = spec.model_copy(update={"cache": given.pop("cache", "inputs")})
    return step_facts(spec, given.pop("options"), given.pop("plugin"), None, code="", folder=NOWHERE)


def key(inputs: dict[str, Any] | None = None, **changed: Any) -> str:
    return Keys().key(facts(**changed), None, {"v": 1} if inputs is None else inputs)[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"options": {"script": "y", "n": 1}},
        {"options": {"script": "x", "n": 1.5}},
        {"options": {"script": "x"}},
        {"plugin": "meson-core 1.1"},
        {"kind": "python"},
        {"outputs": {"x": "float"}},
        {"inputs": {"v": 2}},
        {"inputs": {"w": 1}},
        {"inputs": {"v": "1"}},
        {"inputs": {"v": [1]}},
        {"inputs": {}},
    ],
    ids=str,
)
def test_what_counts(changed: dict[str, Any]) -> None:
    assert key(**changed) != key()


@pytest.mark.parametrize("spec", [{"priority": 3}, {"timeout_s": 5}, {"isolate": True}, {"doc": "other"}], ids=str)
def test_what_does_not_count(spec: dict[str, Any]) -> None:
    assert key(spec=spec) == key()


def test_values_that_instances_have_in_common_count_as_others_do() -> None:
    keys = Keys()
    raw = msgspec.Raw(b'{"b":[1,2],"a":null}')
    step = facts()

    found = [keys.key(step, None, {"v": value})[0] for value in (raw, {"a": None, "b": [1, 2]}, raw, msgspec.Raw(b"1"))]

    assert found[0] == found[1] == found[2] != found[3]


def test_an_artifact_counts_by_its_content_wherever_it_is() -> None:
    one, same = ({"$artifact": DIGEST, "name": name, "size": 1, "media": "text/plain"} for name in ("a", "b"))
    other = {**one, "$artifact": f"sha256:{'1' * 64}"}

    assert told(one) == told(same) == DIGEST
    assert told({"models": [one]}) == told({"models": [same]}) != told({"models": [other]})


def test_what_is_long_is_kept_as_a_digest() -> None:
    assert told("short") == '"short"'
    assert told("x" * 200).startswith("sha256:")
    assert told("x" * 200) != told("x" * 201)


def test_a_name_alone_is_no_digest_and_a_name_with_one_is_neither() -> None:
    keys, plain, cached = Keys(), facts(cache=False), facts()
    fingerprint = keys.key(cached, None, {})[0]

    found = {
        keys.key(plain, "x", {})[0],
        keys.key(plain, fingerprint, {})[0],
        keys.key(plain, f"{fingerprint} artifact x", {})[0],
        keys.key(cached, "x", {})[0],
        fingerprint,
    }

    assert len(found) == 5


def test_code_that_cannot_be_read_is_no_code() -> None:
    spec = Step(name="a", kind="shell", cache=True)

    without = step_facts(spec, {}, "p 1", Program(("true",)), code="", folder=NOWHERE)
    host = step_facts(spec, {}, "p 1", None, code="", folder=NOWHERE)

    assert without.refusal == "the run has no code bundle that could be compared"
    assert host.refusal == ""
