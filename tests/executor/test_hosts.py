"""Owns the tests of the executor's side of the host: what passes through, what waits for the log, what a death means."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from meson_executor.logs import LogReader, lines, run_folder
from tests.executor.client import ExecutorAt, Peer, alive, ended, key, order, program, wait_for


def host(*actions: Any, **fields: Any) -> dict[str, Any]:
    """A template of a step that does this in the host."""
    work = {"w": "host", "kind": "test", "options": {"do": list(actions)}, "distribution": "tests"}
    return {"step": "step", "resources": {}, "outputs": {}, "grace_s": 5.0, "work": work, **fields}


WAIT, SUCCEED = ["wait"], ["succeed"]


def test_a_step_and_its_outputs(peer: Peer) -> None:
    peer.order({"step": host(SUCCEED)}, order(inputs={"x": "ü"}, remembered="job-1", job_first=False))

    outputs = peer.end(key())["outputs"]

    assert outputs["order"]["inputs"] == {"x": "ü"}
    assert (outputs["order"]["remembered"], outputs["order"]["job"]) == ("job-1", "run/1/1")


def test_all_steps_share_one_host(peer: Peer) -> None:
    peer.order({"step": host(SUCCEED)}, *(order(node=node) for node in range(50)))

    assert len({peer.end(key(node))["outputs"]["pid"] for node in range(50)}) == 1


@pytest.mark.slow
def test_thousands_wait_at_the_same_time(peer: Peer) -> None:
    count = 2000
    peer.order({"step": host(WAIT, SUCCEED)}, *(order(node=node) for node in range(count)))
    peer.fact("started", key(count - 1))
    assert peer.ask("status")["attempts"]["running"] == count
    for node in range(count):
        peer.send(t="send", key=key(node), name="go", value=node)
    peer.until(lambda: sum(fact["f"] == "succeeded" for _, fact in peer.facts) == count)


@pytest.mark.slow
def test_what_passes_through(executor: ExecutorAt, peer: Peer) -> None:
    template = host(["progress", None, "queued"], ["progress", 0.5, None], ["log", "a line"], ["tell"], WAIT, SUCCEED)
    peer.order({"step": template}, order())

    peer.until(lambda: [key(), 0.5, "queued"] in peer.samples)
    assert peer.fact("emitted", key())["value"] == [1]
    assert peer.fact("link", key())["url"] == "http://localhost"
    peer.send(t="send", key=key(), name="rate", value={"a": 1})
    assert peer.end(key())["outputs"]["heard"] == [["rate", {"a": 1}]]
    assert [fact["f"] for fact in peer.of(key())] == ["started", "emitted", "link", "succeeded"]
    reader = LogReader(run_folder(str(executor.folder / "logs"), "run"))
    assert [(line.stream, line.text) for line in lines(reader.of((1,)))] == [("l", "a line")]


def test_a_submission_waits_for_the_log(executor: ExecutorAt) -> None:
    """Not for the socket, not for the disk: only what the orchestrator has committed lets the step go on."""
    peer = executor.peer(acknowledge=False)
    template = host(["submitting"], WAIT, ["remember"], WAIT, SUCCEED)
    peer.order({"step": template}, order())
    fact = peer.fact("submitting", key())

    assert (fact["job"], fact["recoverable"]) == ("run/1/1", True)
    peer.ask("status")
    assert [fact["f"] for fact in peer.of(key())][-1] == "submitting"
    peer.send(t="ack", seq=peer.facts[-1][0])
    assert peer.fact("remembered", key())["id"] == "job-7"
    peer.close()

    second = executor.peer(acknowledge=False, acked=0)
    assert second.fact("remembered", key())["id"] == "job-7"
    second.send(t="ack", seq=second.facts[-1][0])
    assert second.end(key())["f"] == "succeeded"


@pytest.mark.parametrize(
    ("end", "fact"),
    [
        (
            {"f": "failed", "cause": "user", "failure": {"reason": "exception", "message": "no"}, "final": True},
            {"f": "failed", "cause": "user", "failure": {"reason": "exception", "message": "no"}, "final": True},
        ),
        (
            {"f": "failed", "cause": "platform", "failure": {"reason": "exception", "message": "503"}},
            {"f": "failed", "cause": "platform", "failure": {"reason": "exception", "message": "503"}},
        ),
        (
            {"f": "failed", "cause": "platform", "failure": {"reason": "exception", "message": "429"}, "after_s": 30.5},
            {"f": "failed", "cause": "platform", "failure": {"reason": "exception", "message": "429"}, "after_s": 30.5},
        ),
        ({"f": "succeeded", "outputs": {"rows": 3}}, {"f": "succeeded", "outputs": {"rows": 3}}),
        (
            {"f": "succeeded", "outputs": {"rows": "3"}},
            {
                "f": "failed",
                "cause": "user",
                "failure": {"reason": "outputs", "message": "output rows: expected int, got str '3'"},
            },
        ),
    ],
)
def test_how_a_step_ends(peer: Peer, end: dict[str, Any], fact: dict[str, Any]) -> None:
    peer.order({"step": host(["end", end], outputs={"rows": "int"})}, order())

    told = peer.end(key())

    assert {name: told[name] for name in fact} == fact


def test_secrets(make_executor: Any) -> None:
    peer = make_executor(environment={"MESON_SECRET_token": "s3cret"}).start().peer()
    peer.order({"step": host(["secret", "token"], WAIT, ["secret", "other"], WAIT, SUCCEED)}, order())

    heard = peer.end(key())["outputs"]["heard"]

    assert heard[0] == "s3cret"
    assert heard[1].startswith("the secret 'other' is not on this machine")


def test_a_kill(peer: Peer) -> None:
    peer.order({"step": host(WAIT)}, order(node=1), order(node=2))
    peer.fact("started", key(2))
    peer.send(t="kill", epoch=1, keys=[[key(1), 5]])

    assert peer.end(key(1))["f"] == "killed"
    assert peer.ask("status")["attempts"]["running"] == 1


def test_a_timeout(peer: Peer) -> None:
    peer.order({"step": host(WAIT, limits={"timeout_s": 0.05})}, order())

    assert peer.end(key())["cause"] == "timeout"


def test_a_step_that_does_not_stop_takes_nobody_along(peer: Peer) -> None:
    """Its host gets nothing more, and is ended when the others in it have ended."""
    peer.order({"stubborn": host(["stubborn"]), "step": host(WAIT, SUCCEED)}, order("stubborn", 1), order("step", 2))
    peer.fact("started", key(2))
    peer.send(t="kill", epoch=1, keys=[[key(1), 0]])
    # What comes before its grace is over may still get the old host.
    wait_for(lambda: "it does not stop" in str(peer.ask("tail", key=key(1), offset=0)))
    peer.order({}, order("step", 3))
    peer.fact("started", key(3))
    for node in (2, 3):
        peer.send(t="send", key=key(node), name="go", value=None)

    pids = [peer.end(key(node))["outputs"]["pid"] for node in (2, 3)]

    assert pids[0] != pids[1]
    assert peer.end(key(1))["f"] == "killed"
    ended(pids[0])
    assert alive(pids[1])


def _host_pid(peer: Peer) -> int:
    peer.order({"pid": host(SUCCEED)}, order("pid", 99))
    pid: int = peer.end(key(99))["outputs"]["pid"]
    return pid


def test_a_dead_host(peer: Peer) -> None:
    """What may have to do with an outside job keeps its job key; the others begin anew; the next order has a new host."""
    peer.order(
        {"plain": host(WAIT), "submitted": host(["submitting"], WAIT, WAIT), "doomed": host(WAIT)},
        order("plain", 1),
        order("submitted", 2),
        order("plain", 3, job_first=False),
        order("plain", 4, remembered="job-7"),
        order("doomed", 5),
    )
    peer.fact("submitting", key(2))
    peer.fact("started", key(5))
    pid = _host_pid(peer)
    os.kill(pid, signal.SIGKILL)

    plain = peer.end(key(1))
    assert (plain["f"], plain["cause"]) == ("failed", "platform")
    assert plain["failure"] == {"reason": "host died", "message": "the host that it waited in ended by SIGKILL"}
    for node in (2, 3, 4):
        fact = peer.end(key(node))
        assert (fact["f"], fact["reason"]) == ("fenced", "the host that it waited in ended by SIGKILL")
    peer.order({"again": host(SUCCEED)}, order("again", 6))
    assert peer.end(key(6))["outputs"]["pid"] != pid


@pytest.mark.parametrize(("action", "how"), [(["die", 3], "with exit code 3"), (["abort"], "by SIGABRT")])
def test_a_host_that_ends_itself(executor: ExecutorAt, peer: Peer, action: list[Any], how: str) -> None:
    peer.order({"step": host(["say", "last words"], action)}, order())

    assert peer.end(key())["failure"]["message"] == f"the host that it waited in ended {how}"
    assert f"host 1 ended {how} with 1 attempts in it" in executor.said()
    assert "host 1: last words" in executor.said()


def test_a_host_that_cannot_start(make_executor: Any) -> None:
    peer = make_executor(environment={"HOST_FOR_TESTS_BROKEN": "1"}).start().peer()
    peer.order({"step": host(WAIT)}, order())

    end = peer.end(key())

    assert (end["cause"], end["failure"]["reason"]) == ("platform", "launch")
    assert end["failure"]["message"] == "the host ended with exit code 1 before it was ready: nothing works here"


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "{}",
        '{"t": "end", "n": 1}',
        '{"t": "fact", "n": 1, "fact": {"f": "succeeded"}}',
        '{"t": "ready", "v": 9}',
    ],
)
def test_a_host_that_breaks_the_protocol_is_ended(peer: Peer, text: str) -> None:
    peer.order({"step": host(["raw", text], WAIT)}, order())

    assert peer.end(key())["failure"]["reason"] == "host died"
    peer.order({"ok": host(SUCCEED), "p": program("/bin/true")}, order("ok", 2), order("p", 3))
    assert [peer.end(key(node))["f"] for node in (2, 3)] == ["succeeded"] * 2


def test_words_about_an_attempt_that_has_ended_are_dropped(peer: Peer) -> None:
    late = '{"t": "progress", "n": 1, "fraction": 1, "message": null}'
    peer.order(
        {"step": host(["end", {"f": "succeeded", "outputs": {}}], ["raw", late]), "next": host(SUCCEED)},
        order(),
        order("next", 2),
    )

    assert peer.end(key())["f"] == "succeeded"
    assert peer.end(key(2))["f"] == "succeeded"


def test_the_host_is_gone_with_the_executor(executor: ExecutorAt, peer: Peer) -> None:
    pid = _host_pid(peer)
    peer.send(t="stop")
    peer.gone()
    ended(pid)


def test_a_hanging_host_is_fenced_by_the_successor(executor: ExecutorAt, peer: Peer) -> None:
    pid = _host_pid(peer)
    peer.order({"step": host(["hang"])}, order())
    peer.fact("started", key())
    executor.kill()
    wait_for(lambda: alive(pid))
    executor.start()
    executor.peer()

    assert not alive(pid)
