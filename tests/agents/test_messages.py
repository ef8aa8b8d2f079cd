"""Owns the tests of decoding: every fact of the wire becomes a typed value, and a stranger is told apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meson_core import agents
from meson_core.agents.messages import Facts, decode
from meson_core.errors import ProtocolError
from meson_core.ports import AttemptKey
from meson_core.spec.states import Cause

K = ["run", [3, 17], 2]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ({"f": "started"}, agents.Started),
        ({"f": "succeeded", "began": 1.5, "outputs": {"loss": 0.5}}, agents.Succeeded),
        ({"f": "failed", "began": None, "cause": "user", "failure": {"reason": "exit", "message": "m"}}, agents.Failed),
        ({"f": "killed", "began": 1.0}, agents.Killed),
        ({"f": "killed", "began": None}, agents.Killed),
        ({"f": "fenced", "reason": "the host died"}, agents.Fenced),
        ({"f": "returned", "reason": "drains"}, agents.Returned),
        ({"f": "submitting", "job": "meson-1", "recoverable": True}, agents.Submitting),
        ({"f": "remembered", "id": "app-17"}, agents.Remembered),
        ({"f": "emitted", "name": "curve", "value": [1, 2]}, agents.Emitted),
        ({"f": "link", "name": "ui", "url": "http://localhost"}, agents.Link),
    ],
)
def test_every_fact_of_the_wire_is_known(raw: dict[str, Any], kind: type) -> None:
    """A fact that is not decoded would end the session, and with it all attempts of the machine."""
    line = json.dumps({"t": "facts", "seq": 4, "facts": [{**raw, "k": K, "at": 3.25}]}).encode()

    message = decode(line)

    assert isinstance(message, Facts)
    (fact,) = message.facts
    assert kind is type(fact)
    assert (AttemptKey("run", (3, 17), 2), 3.25) == (fact.k, fact.at)
    assert hash(AttemptKey("run", (3, 17), 2)) == hash(fact.k)


def test_a_failure_keeps_everything_that_is_told() -> None:
    """The traceback and the exit code are what a person looks for first."""
    failure = {"reason": "exit", "message": "exit code 3", "exit_code": 3, "signal": None, "traceback": "File …"}
    raw = {
        "f": "failed",
        "k": K,
        "at": 1.0,
        "began": 0.5,
        "cause": "timeout",
        "failure": failure,
        "final": True,
        "after_s": 9,
    }

    message = decode(json.dumps({"t": "facts", "seq": 1, "facts": [raw]}).encode())

    assert isinstance(message, Facts)
    (fact,) = message.facts
    assert isinstance(fact, agents.Failed)
    assert (Cause.timeout, True, 9, 3, "File …") == (
        fact.cause,
        fact.final,
        fact.after_s,
        fact.failure.exit_code,
        fact.failure.traceback,
    )


def test_outputs_stay_the_bytes_that_came() -> None:
    """Nobody between a step and the log parses them, and no number is rounded on the way."""
    line = b'{"t":"facts","seq":1,"facts":[{"f":"succeeded","k":["r",[0],1],"at":2,"began":1,"outputs":{"x": 1e400 }}]}'

    message = decode(line)

    assert isinstance(message, Facts)
    (fact,) = message.facts
    assert isinstance(fact, agents.Succeeded)
    assert b'{"x": 1e400 }' == bytes(fact.outputs)


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b'{"t":"sing"}', b'{"t":"facts","seq":"1","facts":[]}', b"\xff", b'{"t":"facts"']
)
def test_a_stranger_is_told_apart(line: bytes) -> None:
    """Whatever else speaks on that socket, nothing of it is taken for a fact."""
    with pytest.raises(ProtocolError) as error:
        decode(line)

    assert "protocol 1" in str(error.value)
    assert "same release" in str(error.value)
