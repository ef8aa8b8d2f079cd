"""Owns the tests of the session: who is let in, what happens to facts that nobody takes, what is idempotent."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from meson_executor import protocol, transport
from tests.executor.client import (
    INTERPRETER,
    INTERPRETER_PATH,
    ExecutorAt,
    GoneError,
    Peer,
    alive,
    key,
    order,
    program,
    shell,
    wait_for,
)


def test_the_welcome(executor: ExecutorAt) -> None:
    peer = executor.peer(hello=False)
    welcome = peer.hello()

    assert welcome["totals"].pop("memory") > 0
    assert executor.process is not None
    assert welcome == {
        "t": "welcome",
        "v": 1,
        "executor": "tested",
        "incarnation": 1,
        "machine": "bench",
        "pid": executor.process.pid,
        "totals": {"cpus": 4.0},
        "seq": 0,
        "notes": [],
        "attempts": [],
    }


def test_only_the_owner_may_connect(executor: ExecutorAt) -> None:
    executor.listens()

    assert stat.S_IMODE(executor.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((executor.directory / protocol.SOCKET).stat().st_mode) == 0o600


def test_a_directory_too_deep_for_a_socket(make_executor: Any, tmp_path: Path) -> None:
    name = "/".join(["a folder with a long name"] * 8)
    peer = make_executor(name=name).start().peer()
    peer.order({"step": program("/bin/true")}, order())

    assert peer.end(key())["f"] == "succeeded"


@pytest.mark.slow
def test_heartbeats_come_also_when_there_is_no_news(peer: Peer) -> None:
    peer.until(lambda: len(peer.beats) >= 2)

    assert peer.samples == []
    assert peer.beats[1] - peer.beats[0] < 3 * protocol.HEARTBEAT_S


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ({"t": "launch", "orders": []}, "the first message must be a hello, got 'launch'"),
        ({"t": "hello", "v": 2, "cell": "here", "epoch": 1, "acked": 0}, "the hello is of protocol version 2; this executor"),
        ({"t": "hello", "v": 1, "cell": "here", "epoch": "1", "acked": 0}, "this line cannot be read: a hello needs cell, epoch"),
        ({"t": "hello", "v": 1, "epoch": 1, "acked": 0}, "this line cannot be read: a hello needs cell, epoch and acked"),
        ({"x": 1}, "this line cannot be read: not a message"),
    ],
)  # fmt: skip
def test_who_is_not_let_in(executor: ExecutorAt, first: dict[str, Any], reason: str) -> None:
    peer = executor.peer(hello=False)
    peer.socket.sendall(protocol.encode(first))

    assert peer.message("refused")["reason"].startswith(reason)
    peer.gone()
    assert executor.peer().ask("status")["attempts"]["running"] == 0


def test_noise_is_refused_and_hurts_nobody(executor: ExecutorAt, peer: Peer) -> None:
    stranger = executor.peer(hello=False)
    stranger.socket.sendall(b"GET / HTTP/1.1\r\n\xff\xfe\r\n")

    assert stranger.message("refused")["reason"].startswith("this line cannot be read: not JSON")
    peer.order({"step": program("/bin/true")}, order())
    assert peer.end(key())["f"] == "succeeded"


@pytest.mark.parametrize(
    "message",
    [
        {"t": "launch", "epoch": 1, "orders": [{"key": "x", "step": "step"}]},
        {"t": "launch", "epoch": 1, "orders": [{"key": ["r", [{}], 1], "step": "step"}]},
        {"t": "launch", "epoch": 1, "orders": [{"step": "step"}]},
        {"t": "launch", "epoch": 1, "orders": ["x"]},
        {"t": "launch", "epoch": 1},
        {"t": "steps", "steps": {"x": {"work": {"w": "magic"}}}},
        {"t": "steps", "steps": {"x": {}}},
        {"t": "steps", "steps": {"x": 3}},
        {"t": "kill", "epoch": 1, "keys": [[["r", [1]], 0]]},
        {"t": "ack", "seq": "many"},
        {"t": "whatever"},
    ],
)
def test_a_message_that_makes_no_sense_ends_the_session_only(executor: ExecutorAt, message: dict[str, Any]) -> None:
    peer = executor.peer()
    peer.socket.sendall(protocol.encode(message))

    assert peer.message("refused")["reason"].startswith("this line cannot be read: ")
    peer.gone()
    again = executor.peer()
    again.order({"step": program("/bin/true")}, order())
    assert again.end(key())["f"] == "succeeded"


def test_an_older_epoch_is_refused(executor: ExecutorAt) -> None:
    """After a takeover the former orchestrator must not be obeyed, whatever it believes."""
    old = executor.peer(epoch=3)
    new = executor.peer(epoch=4)

    assert old.message("refused")["reason"] == "a newer session has taken over"
    old.gone()
    again = executor.peer(hello=False)
    assert again.hello(epoch=3)["reason"] == "the hello is of epoch 3; this executor works for epoch 4"
    assert new.ask("status")["attempts"]["running"] == 0
    new.send(t="launch", epoch=3, orders=[order()])
    assert new.message("refused")["reason"] == "the order is of epoch 3; this executor works for epoch 4"


def test_the_epoch_survives_the_executor(executor: ExecutorAt) -> None:
    executor.peer(epoch=7).close()
    executor.kill()
    executor.start()
    executor.listens()

    assert "epoch 7" in executor.peer(hello=False).hello(epoch=6)["reason"]


def test_another_cell_is_refused(executor: ExecutorAt) -> None:
    executor.peer()

    answer = executor.peer(hello=False).hello(cell="elsewhere", epoch=99)

    assert answer["reason"] == "this executor works for the cell 'here', not for 'elsewhere'"


def test_the_same_epoch_may_come_back(executor: ExecutorAt) -> None:
    first = executor.peer()
    second = executor.peer()

    first.gone()
    second.order({"step": program("/bin/true")}, order())
    assert second.end(key())["f"] == "succeeded"


def test_a_connection_that_says_nothing_disturbs_nobody(executor: ExecutorAt, peer: Peer) -> None:
    executor.peer(hello=False)
    peer.order({"step": program("/bin/true")}, order())

    assert peer.end(key())["f"] == "succeeded"


def test_an_order_that_is_known_is_not_started_again(executor: ExecutorAt, gate: Any) -> None:
    """Queued, at work, ended and not in the log: in each of these a repeated order means the same attempt."""
    told, wait = gate("told"), gate("wait")
    peer = executor.peer(acknowledge=False)
    inputs = {"told": str(told.path), "wait": str(wait.path)}
    steps = {"all": shell("echo x > $MESON_INPUT_told; read x < $MESON_INPUT_wait", resources={"cpus": 4})}
    orders = [order("all", node, inputs=inputs) for node in (1, 2)]
    peer.order(steps, *orders)
    told.line()
    peer.order(steps, *orders)
    assert peer.ask("status")["attempts"] == {"queued": 1, "running": 1, "ended": 0}
    wait.open()
    peer.end(key(1))
    peer.order(steps, *orders)
    wait.open()
    peer.end(key(2))

    assert peer.ask("status")["attempts"] == {"queued": 0, "running": 0, "ended": 2}
    assert [fact["f"] for _, fact in peer.facts if fact["f"] != "started"] == ["succeeded", "succeeded"]
    peer.send(t="ack", seq=peer.facts[-1][0])
    assert peer.ask("status")["attempts"]["ended"] == 0


def test_facts_wait_for_the_next_session(executor: ExecutorAt, gate: Any) -> None:
    """An orchestrator that dies misses nothing: what it had not logged comes again, in order, and only that."""
    wait, told = gate("wait"), gate("told")
    first = executor.peer(acknowledge=False)
    inputs = {"wait": str(wait.path), "told": str(told.path)}
    first.order(
        {"quick": program("/bin/true"), "slow": shell("echo x > $MESON_INPUT_told; read x < $MESON_INPUT_wait")},
        order("quick", 1),
        order("quick", 2),
        order("slow", 3, inputs=inputs),
    )
    first.end(key(1))
    first.end(key(2))
    first.fact("started", key(3))
    first.close()
    told.line()
    wait.open()

    second = executor.peer(hello=False, acknowledge=False)
    welcome = second.hello(acked=1)
    second.end(key(3))

    known = len(first.facts) - 1
    assert second.facts[:known] == first.facts[1:]
    assert [number for number, _ in second.facts] == list(range(2, len(second.facts) + 2))
    standing = {tuple(map(str, found)): state for found, state in welcome["attempts"]}
    assert len(standing) == 2
    assert set(standing.values()) <= {"running", "ended"}


def test_an_acknowledgement_is_cumulative_and_may_repeat(executor: ExecutorAt) -> None:
    peer = executor.peer(acknowledge=False)
    peer.order({"step": program("/bin/true")}, *(order(node=node) for node in range(10)))
    for node in range(10):
        peer.end(key(node))
    last = peer.facts[-1][0]
    for seq in (3, 3, 1, last, last, last + 99):
        peer.send(t="ack", seq=seq)

    status = peer.ask("status")
    assert (status["unacknowledged"], status["attempts"]["ended"]) == (0, 0)
    peer.order({"step": program("/bin/true")}, order(node=11))
    peer.end(key(11))
    assert next(number for number, fact in peer.facts if fact["k"] == key(11)) == last + 1


@pytest.mark.slow
def test_a_listener_that_is_slow_gets_everything(executor: ExecutorAt) -> None:
    """Facts that do not fit into the socket wait; they are neither lost nor sent twice, and heartbeats are left out."""
    peer = executor.peer(acknowledge=False)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    count = 120
    script = """head -c 60000 /dev/zero | tr '\\0' x | sed 's/.*/{"x": "&"}/' > $MESON_OUTPUTS"""
    peer.order({"step": shell(script)}, *(order(node=node) for node in range(count)))
    stranger = executor.peer(hello=False)
    assert executor.process is not None

    def done() -> bool:
        work = executor.directory / "spool"
        return work.exists() and work.stat().st_size > count * 60000

    wait_for(done)
    stranger.close()
    for node in range(count):
        peer.end(key(node))

    ends = [number for number, fact in peer.facts if fact["f"] == "succeeded"]
    assert len(ends) == count
    assert [number for number, _ in peer.facts] == list(range(1, len(peer.facts) + 1))


def test_questions(executor: ExecutorAt, peer: Peer) -> None:
    peer.order({"step": shell("echo one; echo two >&2")}, order())
    peer.end(key())

    assert sorted(peer.ask("tail", key=key(), offset=0)["text"].split()) == ["one", "two"]
    assert peer.ask("tail", key=key(), offset=4)["offset"] == 8
    assert peer.ask("tail", key=key(9))["text"] == ""
    assert peer.ask("meaning")["error"] == "there is no question 'meaning'; there are status and tail"
    assert peer.ask("status")["incarnation"] == 1


def test_there_is_one_executor_in_a_directory(executor: ExecutorAt) -> None:
    executor.listens()

    second = subprocess.run(
        [sys.executable, "-m", "meson_executor", "--dir", str(executor.directory), "--executor", "tested"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert second.returncode == 3
    assert second.stderr == f"an executor is at work in {executor.directory} already\n"
    assert executor.peer().ask("status")["incarnation"] == 1


def test_it_becomes_a_daemon(tmp_path: Path) -> None:
    """The command returns once the executor can be connected to, and the executor is nobody's child."""
    directory = tmp_path / "executor"
    command = [
        INTERPRETER,
        "-m",
        "meson_executor",
        "--dir",
        str(directory),
        "--executor",
        "tested",
        "--idle-exit-s",
        "30",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **INTERPRETER_PATH})

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    peer = Peer(directory)
    pid = peer.hello()["pid"]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[1]) != os.getpid()
    assert int(fields[3]) != os.getsid(0)
    assert Path(f"/proc/{pid}/fd/2").readlink() == directory / "executor.log"
    peer.send(t="stop")
    peer.gone()
    peer.close()
    assert "left: stopped" in wait_for(lambda: "left" in (text := (directory / "executor.log").read_text()) and text)


def test_a_start_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "executor").mkdir()
    (tmp_path / "executor" / "state.json").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "meson_executor", "--dir", str(tmp_path / "executor"), "--executor", "tested"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.endswith(": Is a directory\n")


@pytest.mark.slow
def test_it_leaves_when_nobody_needs_it(make_executor: Any) -> None:
    executor = make_executor("--idle-exit-s", "0.1").start()
    peer = executor.peer()
    peer.order({"step": program("/bin/true")}, order())
    peer.end(key())
    peer.close()

    assert executor.process is not None
    assert executor.process.wait(10) == 0
    assert "left: nothing to do, and nobody there" in executor.said()


@pytest.mark.slow
def test_it_kills_itself_when_nobody_is_heard(make_executor: Any, gate: Any) -> None:
    """Whoever counts on that deadline may start the attempts elsewhere."""
    told = gate("told")
    executor = make_executor("--self-kill-s", "0.2").start()
    peer = executor.peer(acknowledge=False)
    steps = {"step": shell("echo $$ > $MESON_INPUT_told; exec sleep 1000", resources={"cpus": 4}), "q": program("true")}
    peer.order(steps, order(inputs={"told": str(told.path)}), order("q", 2))
    told.line()
    peer.close()
    assert executor.process is not None
    executor.process.wait(10)

    after = executor.start("--self-kill-s", "0").peer()
    assert after.end(key())["f"] == "fenced"
    assert after.end(key(2))["f"] == "returned"


def test_the_socket_is_gone_with_the_executor(executor: ExecutorAt) -> None:
    peer = executor.peer()
    peer.send(t="stop")
    peer.gone()
    assert executor.process is not None
    executor.process.wait(10)

    with pytest.raises(OSError, match="No such file"):
        transport.connect(str(executor.directory))
    with pytest.raises(GoneError):
        peer.read(time.monotonic() + 5)


def test_a_machine_that_goes_down(executor: ExecutorAt, gate: Any) -> None:
    """TERM to the executor: what runs is ended and fenced, what waits comes back, and nothing is left behind."""
    told = gate("told")
    peer = executor.peer()
    steps = {"step": shell("echo $$ > $MESON_INPUT_told; exec sleep 1000", resources={"cpus": 4}), "q": program("true")}
    peer.order(steps, order(inputs={"told": str(told.path)}), order("q", 2))
    pid = int(told.line())
    assert executor.process is not None
    executor.process.terminate()

    assert peer.end(key())["reason"] == "the executor had to end, and killed it"
    assert peer.end(key(2))["reason"] == "the executor ends"
    assert peer.message("bye")["reason"] == "ended by SIGTERM"
    assert executor.process.wait(10) == 0
    assert not alive(pid)
