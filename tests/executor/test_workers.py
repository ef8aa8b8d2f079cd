"""Owns the tests of warm workers: what is shared, what is handed over ahead, and what a worker's death costs."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.executor.client import ExecutorAt, Peer, ended, key, order, python, wait_for

if TYPE_CHECKING:
    from pathlib import Path

PID = "import os\ndef f(): return os.getpid()\n"


def _pids(peer: Peer, nodes: range) -> list[int]:
    return [peer.end(key(node))["outputs"]["result"] for node in nodes]


def test_attempts_share_a_warm_worker(peer: Peer, project: Path) -> None:
    (project / "steps.py").write_text(PID)
    template = python(project, "f", outputs={"result": "int"}, resources={"cpus": 4})
    peer.order({"f": template}, *(order("f", node) for node in range(20)))

    assert len(set(_pids(peer, range(20)))) == 1


def test_as_many_workers_as_there_are_resources(peer: Peer, project: Path, gate: Any) -> None:
    told, wait = gate("told"), gate("wait")
    (project / "steps.py").write_text(
        "import os\ndef f(told, wait):\n    print('x', file=open(told, 'w'))\n    open(wait, 'rb', 0).read(3)\n    return os.getpid()\n"
    )
    inputs = {"told": str(told.path), "wait": str(wait.path)}
    template = python(project, "f", outputs={"result": "int"}, resources={"cpus": 2})
    peer.order({"f": template}, *(order("f", node, inputs=inputs) for node in range(3)))
    told.line()
    told.line()
    peer.fact("started", key(1))

    assert peer.ask("status")["attempts"] == {"queued": 1, "running": 2, "ended": 0}
    for _ in range(3):
        wait.open()
    assert len(set(_pids(peer, range(3)))) == 2


def test_another_bundle_is_another_worker(peer: Peer, project: Path) -> None:
    """Code that has been imported stays in a process: another version of it needs another one."""
    (project / "steps.py").write_text(PID)
    one = python(project, "f", outputs={"result": "int"}, code="one")
    peer.order({"one": one, "two": {**one, "code": "two"}}, order("one", 1))
    first = peer.end(key(1))["outputs"]["result"]
    peer.order({}, order("two", 2), order("one", 3))

    assert peer.end(key(2))["outputs"]["result"] != first
    assert peer.end(key(3))["outputs"]["result"] == first


def test_a_template_of_the_same_name_and_another_meaning(peer: Peer, project: Path) -> None:
    (project / "steps.py").write_text("def f(): return 1\ndef g(): return 2\n")
    peer.order({"s": python(project, "f", outputs={"result": "int"})}, order("s", 1))
    assert peer.end(key(1))["outputs"] == {"result": 1}
    peer.order({"s": python(project, "g", outputs={"result": "int"})}, order("s", 2))

    assert peer.end(key(2))["outputs"] == {"result": 2}


def test_short_attempts_are_handed_over_ahead_and_in_order(peer: Peer, project: Path) -> None:
    (project / "steps.py").write_text("count = 0\ndef f():\n    global count\n    count += 1\n    return count\n")
    template = python(project, "f", outputs={"result": "int"}, resources={"cpus": 4})
    peer.order({"f": template}, *(order("f", node) for node in range(300)))

    assert [peer.end(key(node))["outputs"]["result"] for node in range(300)] == list(range(1, 301))
    assert [fact["f"] for _, fact in peer.facts if fact["k"] != key(0)] == ["succeeded"] * 299


def _line(peer: Peer, project: Path, gate: Any, what: str) -> tuple[Any, Any]:
    """Many short attempts and, in their midst, number 50, which does something else; it is at work on return."""
    told, wait = gate("told"), gate("wait")
    (project / "steps.py").write_text(
        f"""
import os, signal
def f(told, wait, node):
    if node == 50:
        print(os.getpid(), file=open(told, "w"), flush=True)
        {what}
    return os.getpid()
"""
    )
    inputs = {"told": str(told.path), "wait": str(wait.path)}
    template = python(project, "f", outputs={"result": "int"}, resources={"cpus": 2})
    peer.order({"f": template}, *(order("f", node, inputs={**inputs, "node": node}) for node in range(100)))
    return told, wait


def test_nothing_waits_behind_an_attempt_that_turns_out_long(peer: Peer, project: Path, gate: Any) -> None:
    told, wait = _line(peer, project, gate, "open(wait, 'rb', 0).read(3)")
    told.line()

    others = [peer.end(key(node))["f"] for node in range(100) if node != 50]

    assert set(others) == {"succeeded"}
    assert [fact["f"] for fact in peer.of(key(50))] == ["started"]
    wait.open()
    assert peer.end(key(50))["f"] == "succeeded"


def test_a_workers_death_costs_one_attempt(peer: Peer, project: Path, gate: Any) -> None:
    """What it had finished is told, what it held ahead goes to another one."""
    told, _ = _line(peer, project, gate, "signal.pause()")
    os.kill(int(told.line()), signal.SIGKILL)

    ends = {node: peer.end(key(node)) for node in range(100)}

    assert [node for node, end in ends.items() if end["f"] != "succeeded"] == [50]
    assert (ends[50]["f"], ends[50]["cause"]) == ("failed", "platform")
    assert peer.ask("status")["free"]["cpus"] == 4


def test_a_kill_costs_one_attempt(peer: Peer, project: Path, gate: Any) -> None:
    told, _ = _line(peer, project, gate, "signal.pause()")
    pid = int(told.line())
    peer.send(t="kill", epoch=1, keys=[[key(50), 5]])

    ends = {node: peer.end(key(node))["f"] for node in range(100)}

    assert {node: end for node, end in ends.items() if end != "succeeded"} == {50: "killed"}
    ended(pid)


def test_kills_in_a_crowd_hit_whom_they_mean(peer: Peer, project: Path) -> None:
    """Queued, handed over, at work, just ended: whichever it is, no other attempt pays for it."""
    (project / "steps.py").write_text("def f(): return 1\n")
    template = python(project, "f", outputs={"result": "int"}, resources={"cpus": 2})
    count = 400
    peer.order({"f": template}, *(order("f", node) for node in range(count)))
    doomed = set(range(0, count, 7))
    for node in sorted(doomed):
        peer.send(t="kill", epoch=1, keys=[[key(node), 5]])

    ends = {node: peer.end(key(node))["f"] for node in range(count)}

    assert {ends[node] for node in range(count) if node not in doomed} == {"succeeded"}
    assert {ends[node] for node in doomed} <= {"succeeded", "killed"}
    assert len(peer.facts) == len({number for number, _ in peer.facts})
    assert sum(fact["f"] in ("succeeded", "killed") for _, fact in peer.facts) == count


def test_workers_die_with_the_executor(executor: ExecutorAt, peer: Peer, project: Path, gate: Any) -> None:
    """Also one that is deep in somebody's code and looks at nothing."""
    told, _ = _line(peer, project, gate, "\n        while True: pass")
    pid = int(told.line())
    executor.kill()

    ended(pid)


def test_a_worker_that_cannot_start(make_executor: Any, project: Path, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such thing as python here >&2\nexit 2\n")
    broken.chmod(0o755)
    peer = make_executor("--python", str(broken)).start().peer()
    peer.order({"f": python(project, "f")}, order("f", 1))

    end = peer.end(key(1))

    assert (end["f"], end["cause"], end["failure"]["reason"]) == ("failed", "platform", "launch")
    assert end["failure"]["message"] == "the worker ended before it was ready: no such thing as python here"


def test_an_interpreter_that_is_not_there(make_executor: Any, project: Path) -> None:
    peer = make_executor("--python", "/no/python").start().peer()
    peer.order({"f": python(project, "f")}, order("f", 1))

    end = peer.end(key(1))

    assert (end["cause"], end["failure"]["reason"]) == ("platform", "launch")
    assert "/no/python" in end["failure"]["message"]
    assert peer.ask("status")["free"]["cpus"] == 4


def test_a_missing_bundle(peer: Peer, tmp_path: Path) -> None:
    peer.order({"f": python(tmp_path / "gone", "f")}, order("f", 1))

    end = peer.end(key(1))

    assert (end["cause"], end["failure"]["reason"]) == ("platform", "launch")
    assert "the code that the run is pinned to is not there" in end["failure"]["message"]


@pytest.mark.slow
def test_a_step_that_spoils_its_own_sockets(peer: Peer, project: Path) -> None:
    """Closing all descriptors, as careless daemons do, ends the attempt and not the executor."""
    (project / "steps.py").write_text(
        "import os, signal\ndef f():\n    os.closerange(3, 100)\n    signal.pause()\ndef g(): return 1\n"
    )
    template = python(project, "g", outputs={"result": "int"})
    peer.order({"f": python(project, "f"), "g": template}, order("f", 1), order("g", 2))

    assert peer.end(key(1))["cause"] == "platform"
    assert peer.end(key(2))["f"] == "succeeded"


def test_a_step_that_writes_into_the_workers_socket(executor: ExecutorAt, peer: Peer, project: Path) -> None:
    (project / "steps.py").write_text(
        """
import os, signal, stat
def f():
    for fd in range(3, 20):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode): os.write(fd, b'+ 1 x "}]\\n')
        except OSError: pass
    signal.pause()
def g(): return 1
"""
    )
    template = python(project, "g", outputs={"result": "int"})
    peer.order({"f": python(project, "f"), "g": template}, order("f", 1), order("g", 2))

    assert peer.end(key(1))["cause"] == "platform"
    assert peer.end(key(2))["f"] == "succeeded"


@pytest.mark.slow
def test_idle_workers_are_not_kept_without_end(make_executor: Any, tmp_path: Path) -> None:
    """A hundred versions of the code in a day must not leave a hundred processes."""
    peer = make_executor("--cpus", "2").start().peer()
    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "steps.py").write_text(PID)
        template = python(folder, "f", code=str(number), outputs={"result": "int"})
        peer.order({str(number): template}, order(str(number), number))
        peer.end(key(number))

    wait_for(lambda: peer.ask("status")["workers"] <= 4)


@pytest.mark.slow
def test_attempts_without_resources_do_not_get_a_process_each(peer: Peer, project: Path) -> None:
    (project / "steps.py").write_text(PID)
    template = python(project, "f", outputs={"result": "int"}, resources={})
    peer.order({"f": template}, *(order("f", node) for node in range(100)))

    assert len(set(_pids(peer, range(100)))) <= 64


def test_a_kill_that_meets_a_dying_worker(peer: Peer, project: Path, gate: Any) -> None:
    """What was to be stopped and had not begun is not begun anew by another worker."""
    told, _ = _line(peer, project, gate, "signal.pause()")
    pid = int(told.line())
    os.kill(pid, signal.SIGSTOP)
    peer.send(t="kill", epoch=1, keys=[[key(node), 0.1] for node in range(50, 100)])
    os.kill(pid, signal.SIGCONT)

    ends = {node: peer.end(key(node))["f"] for node in range(100)}

    assert {ends[node] for node in range(50)} == {"succeeded"}
    assert {ends[node] for node in range(50, 100)} <= {"killed", "succeeded"}
    assert ends[50] == "killed"
