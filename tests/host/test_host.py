"""Owns the promises of the host, told by a real host process to a test that plays the executor."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.host.peer import DEADLINE_S, Peer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Peer]:
    with Peer.running(tmp_path) as peer:
        assert peer.next("ready") == {"t": "ready", "v": 1}
        yield peer


# --- results ------------------------------------------------------------------------------------------------------


def test_a_step_returns_its_outputs(host: Peer) -> None:
    number = host.order("returns", value={"x": [1, None, "ü"]}, outputs={"x": "list[any]"})

    assert host.end(number) == {"f": "succeeded", "outputs": {"x": [1, None, "ü"]}}


def test_a_step_reads_an_artifact_that_came_as_an_input(host: Peer, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    value = host.end(host.order("keeps", path=str(tmp_path / "model.bin")))["outputs"]["file"]

    assert host.end(host.order("reads", inputs={"x": value}))["outputs"] == {"text": "weights"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"$artifact": "sha256:" + "0" * 64, "name": "model.bin"}, "the artifact sha256:00"),
        ({"$artifact": "no digest"}, "'no digest' is not a digest"),
        ("model.bin", "'model.bin' is not an artifact value"),
    ],
)
def test_an_artifact_that_is_not_there_is_named(host: Peer, value: Any, message: str) -> None:
    assert host.failure(host.order("reads", inputs={"x": value}))["failure"]["message"].startswith(message)


def test_nothing_is_no_outputs(host: Peer) -> None:
    assert host.end(host.order("returns")) == {"f": "succeeded", "outputs": {}}


def test_a_step_sees_who_it_is(host: Peer) -> None:
    number = host.order("sees", inputs={"alpha": 0.5}, remembered="job-7", job="key")

    assert host.end(number)["outputs"] == {
        "run_id": "run1",
        "step": "sub.train",
        "indexes": [number, 7],
        "attempt": 2,
        "inputs": {"alpha": 0.5},
        "job_key": "key",
        "remembered": "job-7",
        "scratch": "file:///scratch/run1",
    }


WRONG_OUTPUTS = [
    (5, {}, "it returned int, expected a mapping of outputs by name"),
    ({"x": 1}, {"y": "int"}, "it ended without the declared output y"),
    ({"x": 1, "y": 1}, {"y": "int"}, "it returned the output x, which is not declared"),
    ({"y": "1"}, {"y": "int"}, "output y: expected int, got str '1'"),
    ({"y": "x" * 70_000}, {}, "the outputs are 70008 bytes of JSON, and 65536 are the limit"),
]


@pytest.mark.parametrize(("value", "declared", "message"), WRONG_OUTPUTS)
def test_outputs_are_checked(host: Peer, value: Any, declared: dict[str, str], message: str) -> None:
    end = host.failure(host.order("returns", value=value, outputs=declared))

    assert (end["cause"], end["final"], end["failure"]["reason"]) == ("user", False, "outputs")
    assert end["failure"]["message"].startswith(message)


def test_what_is_not_json_is_told_by_name(host: Peer) -> None:
    end = host.failure(host.order("returns_nonsense"))

    assert end["failure"]["message"].startswith("output x: object is not JSON")


# --- failures -----------------------------------------------------------------------------------------------------


def test_an_exception_arrives_with_the_authors_frames_only(host: Peer) -> None:
    end = host.failure(host.order("fails", value="no such cohort"))

    assert (end["cause"], end["final"], end["failure"]["reason"]) == ("user", False, "exception")
    assert end["failure"]["message"] == "ValueError: no such cohort"
    files = [
        line.split('"')[1].rpartition("/")[2] for line in end["failure"]["traceback"].splitlines() if "File" in line
    ]
    assert files == ["meson_samples.py", "meson_samples.py", "meson_samples.py"]
    assert "await ctx.call(blocking)" in end["failure"]["traceback"]


@pytest.mark.parametrize(
    ("options", "cause", "final", "after_s", "message"),
    [
        ({"value": "overloaded", "retryable": True}, "platform", False, None, "overloaded"),
        ({"value": "busy", "retryable": True, "after_s": 30}, "platform", False, 30, "busy (it asks to wait 30 s)"),
        ({"value": "no such table", "retryable": False}, "user", True, None, "no such table"),
    ],
)
def test_a_service_that_says_no_says_whether_a_retry_helps(
    host: Peer, options: dict[str, Any], cause: str, final: bool, after_s: float | None, message: str
) -> None:
    end = host.failure(host.order("backend", **options))

    assert (end["cause"], end["final"], end.get("after_s")) == (cause, final, after_s)
    assert end["failure"] == {"reason": "exception", "message": message}


def test_an_error_of_our_tree_is_the_steps_own_word_and_needs_no_traceback(host: Peer) -> None:
    end = host.failure(host.order("says_no", value="the query found nothing"))

    assert (end["cause"], end["final"]) == ("user", False)
    assert end["failure"] == {"reason": "exception", "message": "the query found nothing"}


def test_a_step_that_leaves_takes_nobody_along(host: Peer) -> None:
    other = host.order("listens")
    end = host.failure(host.order("leaves"))
    host.send("message", n=other, name="stop", value=None)

    assert end["failure"]["message"] == "SystemExit: 3"
    assert host.end(other)["f"] == "succeeded"


def test_a_step_that_cancels_itself_has_failed(host: Peer) -> None:
    assert host.failure(host.order("cancels_itself"))["failure"]["message"] == "asyncio.exceptions.CancelledError"


CANNOT_BEGIN = [
    ({"kind": "spin"}, "there is no step kind 'spin'\n  hint: there are: asks, backend, "),
    ({"kind": "retuns"}, "there is no step kind 'retuns'\n  hint: did you mean 'returns'?"),
    (
        {"kind": "printer"},
        "step kind 'printer' of meson-samples describes programs here, and does not run in the host",
    ),
    (
        {"kind": "returns", "distribution": "meson-elsewhere"},
        "the distribution 'meson-elsewhere' is not installed in the environment of this step\n  hint: install it where",
    ),
    (
        {"kind": "broken", "distribution": "meson-broken"},
        (
            "step kind 'broken': the plugin 'broken' of meson-broken 1.0 is broken: importing meson_broken failed: "
            "ModuleNotFoundError: No module named 'surely_not_installed' (meson_broken.py:5)\n  hint: see"
        ),
    ),
    (
        {"kind": "returns", "path": 5, "colour": "red"},
        (
            "step kind 'returns' of meson-samples refuses the options: path: Input should be a valid string; "
            "colour: Extra inputs are not permitted\n  hint: the environment of the step"
        ),
    ),
]


@pytest.mark.parametrize(("order", "message"), CANNOT_BEGIN)
def test_what_cannot_begin_says_why_and_is_not_tried_again(host: Peer, order: dict[str, Any], message: str) -> None:
    end = host.failure(host.order(**order))

    assert (end["cause"], end["final"], end["failure"]["reason"]) == ("user", True, "launch")
    assert end["failure"]["message"].startswith(message)


# --- being stopped ------------------------------------------------------------------------------------------------


def kill(host: Peer, kind: str, grace_s: float = DEADLINE_S, **order: Any) -> tuple[int, dict[str, Any]]:
    number = host.order(kind, **order)
    host.next("log", n=number)
    host.send("kill", n=number, grace_s=grace_s)
    return number, host.end(number)


def test_a_step_is_stopped(host: Peer) -> None:
    _, end = kill(host, "waits")

    assert end == {"f": "killed"}


def test_a_step_cleans_up(host: Peer) -> None:
    number, end = kill(host, "cleans_up")

    assert end == {"f": "killed"}
    assert host.lines(number) == ["waiting", "cleaning up"]


def test_a_clean_up_that_does_not_end_is_stopped_within_the_grace(host: Peer) -> None:
    number, end = kill(host, "cleans_up_for_ever", grace_s=0.3)

    assert end == {"f": "killed"}
    assert host.lines(number) == ["waiting", "waiting"]


def test_a_clean_up_that_fails_is_told_in_the_log(host: Peer) -> None:
    number, end = kill(host, "fails_while_it_is_stopped")

    assert end == {"f": "killed"}
    assert host.lines(number)[-1] == "while it was stopped: OSError: no clean-up today"


def test_a_success_that_comes_while_it_is_stopped_counts(host: Peer) -> None:
    _, end = kill(host, "succeeds_all_the_same")

    assert end == {"f": "succeeded", "outputs": {"x": 1}}


def test_killing_twice_or_what_is_not_there_is_fine(host: Peer) -> None:
    number = host.order("cleans_up")
    host.next("log", n=number)
    for _ in range(2):
        host.send("kill", n=number, grace_s=DEADLINE_S)
    host.send("kill", n=99, grace_s=1)

    assert host.end(number) == {"f": "killed"}


def test_it_is_stopped_even_before_it_began(host: Peer) -> None:
    """Its plugin is still being imported then."""
    number = host.order("waits")
    host.send("kill", n=number, grace_s=DEADLINE_S)

    assert host.end(number) == {"f": "killed"}


# --- what it says -------------------------------------------------------------------------------------------------


def test_everything_that_a_step_says_is_in_its_log(host: Peer) -> None:
    number = host.order("talks")
    host.end(number)

    assert host.lines(number) == [
        "logged",
        "printed, and",
        "not ended, but now",
        "and more",
        "an error",
        "WARNING client: a warning of a client",
        "from a thread",
        "logged from a thread",
        "last",
    ]


def test_each_attempt_has_its_own_log(host: Peer) -> None:
    numbers = [host.order("says_its_name", value=f"I am {n}") for n in range(5)]
    for number in numbers:
        host.end(number)

    assert [host.lines(number) for number in numbers] == [[f"I am {n}"] * 40 for n in range(5)]


def test_what_plugins_print_while_they_are_imported_is_the_hosts_own(host: Peer) -> None:
    number = host.order("returns")
    host.end(number)
    host.send("leave")
    host.process.wait(DEADLINE_S)

    assert host.output == "the plugin is loaded\n"
    assert host.lines(number) == []


def test_progress_is_cheap_and_the_latest_counts(host: Peer) -> None:
    number = host.order("progresses")
    host.end(number)
    told = [message for message in host.seen if message["t"] == "progress"]

    assert [(message["fraction"], message["message"]) for message in told] == [(0.5, "almost")]


def test_facts_are_told(host: Peer) -> None:
    number = host.order("tells")

    assert host.next("fact", n=number)["fact"] == {"f": "emitted", "name": "loss", "value": {"value": 0.25}}
    assert host.next("fact", n=number)["fact"] == {"f": "link", "name": "page", "url": "http://localhost/1"}
    assert host.end(number)["f"] == "succeeded"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "ValueError: emit('x', …): the value is not JSON: Out of range float values are not JSON compliant"),
        (70_000, "ValueError: emit('x', …): the value is 70002 characters of JSON, and 65536 are the limit; store it"),
    ],
)
def test_what_cannot_be_a_fact_is_refused(host: Peer, value: Any, message: str) -> None:
    assert host.failure(host.order("emits", value=value))["failure"]["message"].startswith(message)


# --- outside jobs -------------------------------------------------------------------------------------------------


def test_a_step_goes_on_only_when_its_intent_is_in_the_log(host: Peer) -> None:
    number = host.order("submits", job="key-1")

    intent = host.next("fact", n=number)
    assert intent["fact"] == {"f": "submitting", "job": "key-1", "recoverable": True}
    assert host.lines(number) == []
    host.send("acked", id=intent["id"])
    memory = host.next("fact", n=number)
    assert memory["fact"] == {"f": "remembered", "id": "job-9"}
    assert host.lines(number) == ["submitted"]
    host.send("acked", id=memory["id"])
    host.send("acked", id=memory["id"])
    assert host.end(number)["outputs"] == {"id": "job-9"}


def test_a_host_that_is_left_alone_leaves_the_outside_jobs_alone(host: Peer) -> None:
    """The next attempt is to find them again; cancelling the steps would kill them."""
    number = host.order("cleans_up")
    host.next("log", n=number)
    host.sock.close()
    host.process.wait(DEADLINE_S)

    assert host.process.returncode == 1
    assert host.output == "the plugin is loaded\nthe executor has gone\n"


def test_it_leaves_even_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    """An executor that is killed takes the other end of the host's output along."""
    reader, writer = os.pipe()
    with Peer.running(tmp_path, output=writer) as host:
        os.close(writer)
        number = host.order("cleans_up")
        host.next("log", n=number)
        os.close(reader)
        host.sock.close()
        host.process.wait(DEADLINE_S)

        assert host.process.returncode == 1


# --- what it gets -------------------------------------------------------------------------------------------------


def test_messages_arrive_in_order_even_those_that_come_early(host: Peer) -> None:
    number = host.order("listens")
    for value in range(3):
        host.send("message", n=number, name="note", value=value)
    host.send("message", n=number, name="stop", value={"why": "enough"})
    host.send("message", n=99, name="stop", value=None)

    assert host.end(number)["outputs"]["heard"] == [["note", 0], ["note", 1], ["note", 2], ["stop", {"why": "enough"}]]


def test_a_file_becomes_an_artifact(host: Peer, tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()

    assert host.end(host.order("keeps", path=str(file), outputs={"file": "artifact"}))["outputs"]["file"] == {
        "$artifact": f"sha256:{digest}",
        "size": 7,
        "name": "model.bin",
        "media": "text/x-test",
    }
    assert (tmp_path / "artifacts" / "sha256" / digest[:2] / digest[2:]).read_bytes() == b"weights"


def test_a_secret_is_asked_for_and_not_kept(host: Peer) -> None:
    number = host.order("asks", value="token")
    question = host.next("secret")
    assert question["name"] == "token"
    host.send("secret", id=question["id"], value="hunter2")

    assert host.end(number)["outputs"] == {"length": 7}
    number = host.order("asks", value="other")
    question = host.next("secret")
    host.send("secret", id=question["id"], error="this machine has no secret 'other'")
    assert host.failure(number)["failure"]["message"].endswith("this machine has no secret 'other'")
    assert "hunter2" not in str(host.seen)


# --- the process --------------------------------------------------------------------------------------------------


def test_thousands_wait(host: Peer) -> None:
    numbers = [host.order("listens") for _ in range(2000)]
    for number in numbers:
        host.send("message", n=number, name="stop", value=number)

    assert all(host.end(number)["outputs"]["heard"] == [["stop", number]] for number in numbers)


def test_blocked_threads_stop_nobody_who_does_not_need_one(host: Peer) -> None:
    blocked = [host.order("blocks") for _ in range(40)]
    for number in blocked:
        host.next("log", n=number)

    assert host.end(host.order("returns"))["f"] == "succeeded"
    host.send("kill", n=blocked[0], grace_s=DEADLINE_S)
    assert host.end(blocked[0]) == {"f": "killed"}


def test_it_leaves_when_nothing_is_under_way(host: Peer) -> None:
    number = host.order("listens")
    blocked = host.order("blocks")
    host.next("log", n=blocked)
    host.send("leave")
    host.send("message", n=number, name="stop", value=None)
    assert host.end(number)["f"] == "succeeded"
    assert host.process.poll() is None
    host.send("kill", n=blocked, grace_s=DEADLINE_S)
    assert host.end(blocked) == {"f": "killed"}
    host.process.wait(DEADLINE_S)

    assert host.process.returncode == 0


def test_a_terminals_interrupt_is_not_for_it(host: Peer) -> None:
    os.kill(host.process.pid, signal.SIGINT)

    assert host.end(host.order("returns"))["f"] == "succeeded"


def test_what_is_no_message_ends_it(host: Peer) -> None:
    host.sock.sendall(b'{"t": "dance"}\n')
    host.process.wait(DEADLINE_S)

    assert host.process.returncode == 1
    assert host.output == "the executor sent what its protocol does not have: KeyError('dance')\n"


def test_it_is_not_for_people() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MESON_HOST_FD"}
    done = subprocess.run(
        [sys.executable, "-m", "meson_core.host"], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("this is a part of Meson's executor")
