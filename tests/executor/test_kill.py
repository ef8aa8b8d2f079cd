"""Owns the tests of being stopped: by a kill, a timeout, a memory limit; queued, at work, stubborn, escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.executor.client import ExecutorAt, Peer, alive, ended, key, order, program, python, shell

#: Says that it is there, and stays until it is ended.
STAY = "echo $$ > $MESON_INPUT_told; exec sleep 1000"


def _kill(peer: Peer, *keys: Any, grace_s: float = 10.0) -> None:
    peer.send(t="kill", epoch=1, keys=[[one, grace_s] for one in keys])


def test_a_running_program(peer: Peer, gate: Any) -> None:
    told = gate("told")
    peer.order({"step": shell(STAY)}, order(inputs={"told": str(told.path)}))
    pid = int(told.line())
    _kill(peer, key())

    end = peer.end(key())

    assert (end["f"], end["began"] is None) == ("killed", False)
    assert not alive(pid)
    assert peer.ask("status")["free"]["cpus"] == 4


def test_a_program_may_clean_up(executor: ExecutorAt, peer: Peer, gate: Any) -> None:
    """TERM comes first; what it does with it is not cut short by the kill, and makes no success of it."""
    told = gate("told")
    script = (
        "trap 'echo bye > $MESON_INPUT_told; exit 0' TERM; echo $$ > $MESON_INPUT_told; while :; do sleep 0.01; done"
    )
    peer.order({"step": shell(script)}, order(inputs={"told": str(told.path)}))
    told.line()
    _kill(peer, key())

    assert peer.end(key())["f"] == "killed"
    assert told.line() == "bye"


def test_a_program_that_ignores_the_request(peer: Peer, gate: Any) -> None:
    told = gate("told")
    script = "trap '' TERM; echo $$ > $MESON_INPUT_told; while :; do sleep 0.01; done"
    peer.order({"step": shell(script)}, order(inputs={"told": str(told.path)}))
    pid = int(told.line())
    _kill(peer, key(), grace_s=0.05)

    assert peer.end(key())["f"] == "killed"
    assert not alive(pid)


def test_a_second_kill_may_shorten_the_grace(peer: Peer, gate: Any) -> None:
    told = gate("told")
    script = "trap '' TERM; echo $$ > $MESON_INPUT_told; while :; do sleep 0.01; done"
    peer.order({"step": shell(script)}, order(inputs={"told": str(told.path)}))
    told.line()
    _kill(peer, key(), grace_s=1000)
    _kill(peer, key(), grace_s=0)

    assert peer.end(key())["f"] == "killed"


def test_descendants_that_escaped(peer: Peer, gate: Any) -> None:
    """A session of its own, a cleared environment: one of the two still tells whose it is."""
    told = gate("told")
    script = """
        setsid sh -c 'trap "" TERM; echo $$ > $MESON_INPUT_told; while :; do sleep 0.01; done' &
        env -i T=$MESON_INPUT_told sh -c 'trap "" TERM; echo $$ > $T; while :; do sleep 0.01; done' &
        (setsid sh -c 'setsid sleep 1000 & echo $! > $MESON_INPUT_told' &)
        wait
    """
    peer.order({"step": shell(script)}, order(inputs={"told": str(told.path)}))
    pids = [int(told.line()) for _ in range(3)]
    _kill(peer, key(), grace_s=0.05)

    assert peer.end(key())["f"] == "killed"
    assert [alive(pid) for pid in pids] == [False, False, False]


def test_a_failed_attempt_leaves_nothing_that_escaped(peer: Peer, gate: Any) -> None:
    """Its next attempt must not meet the last one."""
    told = gate("told")
    script = "setsid sh -c 'echo $$ > $MESON_INPUT_told; exec sleep 1000' & read x < $MESON_INPUT_gate; exit 1"
    wait = gate("wait")
    peer.order({"step": shell(script)}, order(inputs={"told": str(told.path), "gate": str(wait.path)}))
    pid = int(told.line())
    wait.open()

    assert peer.end(key())["f"] == "failed"
    assert not alive(pid)


def test_a_queued_attempt_ends_at_once(peer: Peer, gate: Any) -> None:
    told = gate("told")
    peer.order(
        {"all": shell(STAY, resources={"cpus": 4}), "step": program("/bin/true")},
        order("all", 1, inputs={"told": str(told.path)}),
        order("step", 2),
        order("step", 3),
    )
    told.line()
    _kill(peer, key(2))

    end = peer.end(key(2))
    assert (end["f"], end["began"]) == ("killed", None)
    _kill(peer, key(1))
    assert peer.end(key(3))["f"] == "succeeded"


def test_kills_that_come_too_late_or_for_nobody(peer: Peer) -> None:
    peer.order({"step": program("/bin/true")}, order())
    peer.end(key())
    _kill(peer, key(), key(99))
    peer.ask("status")

    assert [fact["f"] for _, fact in peer.facts] == ["succeeded"]


def test_many_at_once(peer: Peer, gate: Any) -> None:
    """A run with hundreds of attempts is cancelled with one look at the process table, not with hundreds."""
    told = gate("told")
    count = 60
    peer.order(
        {"step": shell(STAY, resources={})},
        *(order("step", node, inputs={"told": str(told.path)}) for node in range(count)),
    )
    for _ in range(count):
        told.line()
    _kill(peer, *(key(node) for node in range(count)), grace_s=5)

    assert {peer.end(key(node))["f"] for node in range(count)} == {"killed"}


def test_a_python_step_may_clean_up(peer: Peer, project: Path, gate: Any) -> None:
    told = gate("told")
    source = """
import signal
from meson_runtime import ctx
def f(told):
    try:
        print("here", file=open(told, "w"))
        while True: signal.pause()
    except Exception:
        return "an Exception would be caught by those who catch everything"
    finally:
        print("bye", ctx.cancelled, file=open(told, "w"))
"""
    (project / "steps.py").write_text(source)
    peer.order({"step": python(project, "f")}, order(inputs={"told": str(told.path)}))
    told.line()
    _kill(peer, key())

    assert peer.end(key())["f"] == "killed"
    assert told.line() == "bye True"


@pytest.mark.parametrize("way", ["signal.signal(signal.SIGTERM, signal.SIG_IGN)", "STUBBORN = True"])
def test_a_python_step_that_does_not_stop(peer: Peer, project: Path, gate: Any, way: str) -> None:
    told = gate("told")
    source = f"""
import os, signal
def f(told):
    {way}
    print(os.getpid(), file=open(told, "w"))
    while True:
        try: signal.pause()
        except BaseException: pass
"""
    (project / "steps.py").write_text(source)
    peer.order({"step": python(project, "f")}, order(inputs={"told": str(told.path)}))
    pid = int(told.line())
    _kill(peer, key(), grace_s=0.05)

    assert peer.end(key())["f"] == "killed"
    ended(pid)


def test_what_a_python_step_started_ends_with_it(peer: Peer, project: Path, gate: Any) -> None:
    told = gate("told")
    source = """
import subprocess
def f(told):
    for own_session in (False, True):
        print(subprocess.Popen(["sleep", "1000"], start_new_session=own_session).pid, file=open(told, "w"))
    subprocess.run(["sleep", "1000"])
"""
    (project / "steps.py").write_text(source)
    peer.order({"step": python(project, "f")}, order(inputs={"told": str(told.path)}))
    pids = [int(told.line()), int(told.line())]
    _kill(peer, key())

    assert peer.end(key())["f"] == "killed"
    assert [alive(pid) for pid in pids] == [False, False]


@pytest.mark.parametrize("kind", ["program", "python"])
def test_a_timeout(peer: Peer, project: Path, kind: str) -> None:
    (project / "steps.py").write_text("import signal\ndef f(): signal.pause()\n")
    limits: dict[str, Any] = {"limits": {"timeout_s": 0.1}}
    template = shell("exec sleep 1000", **limits) if kind == "program" else python(project, "f", **limits)
    peer.order({"step": template}, order())

    end = peer.end(key())

    assert (end["f"], end["cause"]) == ("failed", "timeout")
    assert end["failure"] == {"reason": "timeout", "message": "it did not end within 0.1 s"}


def test_a_success_that_comes_while_stopping_counts(peer: Peer, project: Path, gate: Any) -> None:
    """A function that returns in spite of the request has its outputs."""
    told = gate("told")
    source = """
import signal
def f(told):
    try:
        print("here", file=open(told, "w"))
        signal.pause()
    except BaseException:
        return 7
"""
    (project / "steps.py").write_text(source)
    peer.order({"step": python(project, "f", outputs={"result": "int"})}, order(inputs={"told": str(told.path)}))
    told.line()
    _kill(peer, key())

    end = peer.end(key())
    assert (end["f"], end["outputs"]) == ("succeeded", {"result": 7})


GROW = "import os\ndef f():\n    held = []\n    while True: held.append(bytearray(os.urandom(1) * 4_000_000))\n"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["program", "python"])
@pytest.mark.parametrize("group", [True, False])
def test_a_memory_limit(make_executor: Any, project: Path, kind: str, group: bool) -> None:
    """By a control group where the system has them, by a watch where it does not; the same is told."""
    executor = make_executor(*([] if group else ["--no-cgroups"])).start()
    peer = executor.peer()
    (project / "steps.py").write_text(GROW)
    limits: dict[str, Any] = {"limits": {"memory": 64_000_000}}
    if kind == "program":
        template = program("python3", "-c", GROW + "f()\n", **limits)
    else:
        template = python(project, "f", **limits)
    peer.order({"step": template, "small": python(project, "len", module="builtins", **limits)}, order())

    end = peer.end(key())

    assert (end["f"], end["cause"]) == ("failed", "user"), end
    assert end["failure"] == {"reason": "out of memory", "message": "it used more than its 64 MB of memory"}


def test_within_its_memory_an_attempt_is_left_alone(peer: Peer, project: Path) -> None:
    (project / "steps.py").write_text("import os\ndef f(): return os.getpid()\n")
    template = python(project, "f", outputs={"result": "int"}, limits={"memory": 500_000_000})
    peer.order(
        {"step": template, "sh": shell("echo $0 $@; exit 4", limits={"memory": 100_000_000})}, order(), order("sh", 2)
    )

    assert peer.end(key())["f"] == "succeeded"
    assert peer.end(key(2))["failure"]["exit_code"] == 4


def test_a_program_under_a_memory_limit_that_is_not_there(peer: Peer) -> None:
    """The shell that enters the group must not answer in its place."""
    peer.order({"step": program("/no/such", limits={"memory": 100_000_000})}, order())

    end = peer.end(key())

    assert (end["cause"], end["failure"]["reason"]) == ("user", "launch")
    assert end["failure"]["message"] == "it could not be started: /no/such is not there, or is no program"


def test_forgetting(peer: Peer, gate: Any) -> None:
    """What has not begun comes back; what has, stays."""
    told = gate("told")
    peer.order(
        {"all": shell(STAY, resources={"cpus": 4}), "step": program("/bin/true")},
        order("all", 1, inputs={"told": str(told.path)}),
        order("step", 2),
    )
    told.line()
    peer.send(t="forget", keys=[key(1), key(2), key(99)])

    assert peer.end(key(2))["reason"] == "withdrawn"
    assert peer.ask("status")["attempts"] == {"queued": 0, "running": 1, "ended": 0}


def test_a_stop_ends_everything(executor: ExecutorAt, peer: Peer, project: Path, gate: Any) -> None:
    told = gate("told")
    (project / "steps.py").write_text(
        "import os, signal\ndef f(told):\n    print(os.getpid(), file=open(told, 'w'))\n    signal.pause()\n"
    )
    peer.order(
        {
            "p": shell(STAY, resources={"cpus": 2}),
            "f": python(project, "f", resources={"cpus": 2}),
            "q": program("/bin/true"),
        },
        *(order(step, node, inputs={"told": str(told.path)}) for node, step in enumerate("pfq")),
    )
    pids = [int(told.line()), int(told.line())]
    peer.send(t="stop")

    assert [peer.end(key(node))["f"] for node in range(3)] == ["killed"] * 3
    assert peer.message("bye")["reason"] == "stopped"
    peer.gone()
    assert executor.process is not None
    assert executor.process.wait(10) == 0
    for pid in pids:
        ended(pid)


def test_a_drain_finishes_what_runs(executor: ExecutorAt, peer: Peer, gate: Any) -> None:
    wait, told = gate("wait"), gate("told")
    peer.order(
        {
            "all": shell("echo x > $MESON_INPUT_told; read x < $MESON_INPUT_wait", resources={"cpus": 4}),
            "q": program("true"),
        },
        order("all", 1, inputs={"wait": str(wait.path), "told": str(told.path)}),
        order("q", 2),
    )
    told.line()
    peer.send(t="drain")

    assert peer.end(key(2)) | {"at": 0} == {"f": "returned", "reason": "the executor drains", "k": key(2), "at": 0}
    peer.send(t="launch", epoch=1, orders=[order("q", 3)])
    assert peer.end(key(3))["f"] == "returned"
    wait.open()
    assert peer.end(key(1))["f"] == "succeeded"
    assert peer.message("bye")["reason"] == "drained"
    peer.gone()
    assert not (executor.directory / "socket").exists()


@pytest.mark.slow
def test_control_groups_do_not_pile_up(executor: ExecutorAt, project: Path, gate: Any) -> None:
    """Neither of attempts that end, nor of an executor that is killed with attempts in them."""
    told = gate("told")
    (project / "steps.py").write_text("def f(): return 1\n")
    peer = executor.peer()
    limits: dict[str, Any] = {"limits": {"memory": 200_000_000}}
    peer.order(
        {"f": python(project, "f", outputs={"result": "int"}, **limits)}, *(order("f", node) for node in range(3))
    )
    for node in range(3):
        assert peer.end(key(node))["f"] == "succeeded"
    peer.order({"stay": shell(STAY, **limits)}, order("stay", 9, inputs={"told": str(told.path)}))
    pid = int(told.line())
    memory = Path(f"/proc/{pid}/cgroup").read_text()
    executor.kill()
    executor.start()
    executor.peer()
    groups = [line.rpartition(":")[2] for line in memory.splitlines() if "/meson-tested" in line]

    places = [
        mount
        for mount in Path("/sys/fs/cgroup").glob("*")
        if groups and (mount / groups[0].lstrip("/")).parent.exists()
    ]
    left = [found.name for mount in places for found in (mount / groups[0].lstrip("/")).parent.glob("meson-tested*")]
    assert [name for name in left if name.rpartition("-")[0] == Path(groups[0]).name.rpartition("-")[0]] == []
