"""Owns the tests of what an executor's death leaves: processes are fenced, facts come back, numbers go on."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.executor.client import ExecutorAt, Peer, alive, key, order, program, python, shell, wait_for

if TYPE_CHECKING:
    from pathlib import Path

STAY = "echo $$ > $MESON_INPUT_told; exec sleep 1000"


def _spool(executor: ExecutorAt) -> Path:
    return executor.directory / "spool"


def test_numbers_and_incarnations_go_on(executor: ExecutorAt) -> None:
    peer = executor.peer()
    peer.order({"step": program("/bin/true")}, order(node=1), order(node=2))
    peer.end(key(1))
    peer.end(key(2))
    peer.ask("status")
    last = peer.facts[-1][0]
    executor.kill()
    executor.start()
    again = executor.peer(hello=False)
    welcome = again.hello(acked=last)

    assert (welcome["incarnation"], welcome["attempts"]) == (2, [])
    again.order({"step": program("/bin/true")}, order(node=3))
    again.end(key(3))
    assert again.facts[-1][0] > last


def test_what_ran_is_gone_before_the_welcome(executor: ExecutorAt, project: Path, gate: Any) -> None:
    """Programs, what escaped from them, what wiped its environment, workers: a fenced attempt has nothing left."""
    told = gate("told")
    (project / "steps.py").write_text(
        """
import os, signal, subprocess
def f(told):
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    print(child.pid, file=open(told, "w"))
    print(os.getpid(), file=open(told, "w"))
    while True:
        try: signal.pause()
        except BaseException: pass
"""
    )
    script = f"""
        setsid sh -c 'trap "" TERM HUP; {STAY}' &
        env -i MESON_INPUT_told=$MESON_INPUT_told sh -c 'trap "" TERM HUP; {STAY}' &
        {STAY}
    """
    peer = executor.peer()
    inputs = {"told": str(told.path)}
    peer.order(
        {"p": shell(script), "f": python(project, "f")}, order("p", 1, inputs=inputs), order("f", 2, inputs=inputs)
    )
    pids = [int(told.line()) for _ in range(5)]
    assert all(alive(pid) for pid in pids)
    executor.kill()
    executor.start()
    welcome = executor.peer(hello=False).hello(acked=0)

    assert [alive(pid) for pid in pids] == [False] * 5
    assert [found for found, state in welcome["attempts"] if state != "ended"] == []


def test_only_what_is_its_own_is_killed(executor: ExecutorAt, make_executor: Any, gate: Any) -> None:
    """Two projects on one machine, each with an executor of the same id."""
    told = gate("told")
    other = make_executor(name="two").start()
    peer = other.peer()
    peer.order({"step": shell(STAY)}, order(inputs={"told": str(told.path)}))
    pid = int(told.line())
    executor.listens()
    executor.kill()
    executor.start()
    executor.peer()

    assert alive(pid)


def test_an_unmarked_process_with_a_used_number_is_spared(executor: ExecutorAt, gate: Any) -> None:
    """The journal names a process that has long ended; its number belongs to a stranger now."""
    executor.peer()
    executor.kill()
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
        try:
            with (executor.directory / "started").open("ab") as journal:
                journal.write(b"%d 1 2\n" % stranger.pid)
                journal.write(b"torn li")
            executor.start()
            executor.peer()
            assert alive(stranger.pid)
        finally:
            stranger.kill()


def test_a_moved_directory_is_still_fenced(executor: ExecutorAt, gate: Any) -> None:
    """Its processes carry the mark of the place where it lay before."""
    told = gate("told")
    peer = executor.peer()
    script = f"env -i sh -c 'exec sleep 1000' & setsid sh -c '{STAY}' & wait"
    peer.order({"step": shell(script)}, order(inputs={"told": str(told.path)}))
    pid = int(told.line())
    executor.kill()
    executor.directory.rename(executor.folder / "moved")
    executor.directory = executor.folder / "moved"
    executor.start()
    executor.peer()

    assert not alive(pid)


def test_a_finished_attempt_stays_finished(executor: ExecutorAt) -> None:
    """Its fact was not in the log when both orchestrator and executor died: it comes again, and is not run again."""
    peer = executor.peer(acknowledge=False)
    steps = {"step": shell("""echo '{"x": 7}' > $MESON_OUTPUTS""")}
    peer.order(steps, order())
    end = peer.end(key())
    executor.kill()
    executor.start()
    again = executor.peer(hello=False, acknowledge=False)
    welcome = again.hello(acked=0)

    assert welcome["attempts"] == [[key(), "ended"]]
    assert again.end(key()) == end
    again.order(steps, order())
    assert again.ask("status")["attempts"]["queued"] == 0
    again.send(t="ack", seq=again.facts[-1][0])
    again.close()
    executor.kill()
    executor.start()
    assert executor.peer(hello=False).hello(acked=again.facts[-1][0])["attempts"] == []


def test_what_ends_while_nobody_listens_survives_both(executor: ExecutorAt, gate: Any) -> None:
    wait, told = gate("wait"), gate("told")
    peer = executor.peer()
    inputs = {"wait": str(wait.path), "told": str(told.path)}
    peer.order({"step": shell("echo x > $MESON_INPUT_told; read x < $MESON_INPUT_wait")}, order(inputs=inputs))
    told.line()
    peer.fact("started", key())
    peer.close()
    wait.open()
    wait_for(lambda: b"succeeded" in _spool(executor).read_bytes())
    executor.kill()
    executor.start()

    again = executor.peer(acked=peer.facts[-1][0])
    assert again.end(key())["f"] == "succeeded"
    assert [fact["f"] for _, fact in again.facts] == ["succeeded"]


def _with_spool(executor: ExecutorAt, spoil: Any) -> tuple[Peer, dict[str, Any], list[int]]:
    """An executor with the ends of five attempts in its spool, restarted after `spoil` has changed its lines."""
    peer = executor.peer(acknowledge=False)
    for node in range(1, 6):
        peer.order({"step": program("/bin/true")}, order(node=node))
        peer.end(key(node))
    executor.kill()
    spool = _spool(executor)
    spool.write_bytes(b"".join(spoil(spool.read_bytes().splitlines(keepends=True))))
    executor.start()
    again = executor.peer(hello=False, acknowledge=False)
    welcome = again.hello(acked=0)
    again.ask("status")
    return again, welcome, [fact["k"][1][0] for _, fact in again.facts if fact["f"] == "succeeded"]


@pytest.mark.parametrize("cut", [1, 20, 80])
def test_a_torn_last_record_is_dropped(executor: ExecutorAt, cut: int) -> None:
    """A machine that went down in the middle of a write."""
    peer, welcome, nodes = _with_spool(executor, lambda lines: [*lines[:-1], lines[-1][:-cut]])

    assert nodes == [1, 2, 3, 4]
    assert welcome["notes"] == ["the spool's last record was torn by a crash and is dropped"]
    peer.order({"step": program("/bin/true")}, order(node=9))
    peer.end(key(9))
    numbers = [number for number, _ in peer.facts]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_damaged_record_in_the_middle_is_told(executor: ExecutorAt) -> None:
    second = b'"k":["run",[2],1]'
    peer, welcome, nodes = _with_spool(
        executor, lambda lines: [line.replace(b"succeeded", b"succeEded") if second in line else line for line in lines]
    )

    assert nodes == [1, 3, 4, 5]
    (note,) = welcome["notes"]
    told = r"the spool was damaged: 1 of \d+ records cannot be read and their facts are lost; a copy is kept in .*/spool.damaged"
    assert re.fullmatch(told, note)
    assert (executor.directory / "spool.damaged").exists()
    numbers = [number for number, _ in peer.facts]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > len(numbers)  # there is a gap, and the numbers after it are what they were


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 5000, b"not a spool\n", b"\xff\xfe" * 99, b'00000000 [1,[{"f":"succeeded"}]]\n']
)
def test_a_spool_of_rubbish(executor: ExecutorAt, content: bytes) -> None:
    executor.peer()
    executor.kill()
    _spool(executor).write_bytes(content)
    executor.start()
    peer = executor.peer(acked=40)
    peer.order({"step": program("/bin/true")}, order())
    peer.end(key())

    assert peer.facts[0][0] == 41  # what is in the log is not numbered again


@pytest.mark.parametrize("content", ["", "{", '{"incarnation": "x"}', "[]", '{"incarnation": 3}'])
def test_a_state_file_of_rubbish(executor: ExecutorAt, content: str, gate: Any) -> None:
    """Whatever it says, the next incarnation has a number that no process of an earlier one carries."""
    told = gate("told")
    peer = executor.peer()
    peer.order({"step": shell(STAY)}, order(inputs={"told": str(told.path)}))
    pid = int(told.line())
    executor.kill()
    (executor.directory / "state.json").write_text(content)
    executor.start()
    welcome = executor.peer(hello=False).hello()

    assert welcome["incarnation"] > 1_000_000_000
    assert "state.json cannot be read" in welcome["notes"][0]
    assert not alive(pid)


@pytest.mark.slow
def test_the_spool_does_not_grow_for_ever(executor: ExecutorAt) -> None:
    """What was acknowledged is cut off."""
    peer = executor.peer()
    script = """head -c 50000 /dev/zero | tr '\\0' x | sed 's/.*/{"x": "&"}/' > $MESON_OUTPUTS"""
    for start in range(0, 250, 50):
        peer.order({"step": shell(script)}, *(order(node=node) for node in range(start, start + 50)))
        for node in range(start, start + 50):
            assert peer.end(key(node))["f"] == "succeeded"
    peer.ask("status")

    assert _spool(executor).stat().st_size < 6_000_000
    executor.kill()
    executor.start()
    again = executor.peer(acked=peer.facts[-1][0])
    again.order({"step": program("/bin/true")}, order())
    again.end(key())
    assert again.facts[0][0] > peer.facts[-1][0]


@pytest.mark.slow
def test_what_is_not_acknowledged_survives_the_cutting(executor: ExecutorAt) -> None:
    peer = executor.peer(acknowledge=False)
    script = """head -c 50000 /dev/zero | tr '\\0' x | sed 's/.*/{"x": "&"}/' > $MESON_OUTPUTS"""
    peer.order({"step": shell(script, resources={"cpus": 4})}, *(order(node=node) for node in range(120)))
    for node in range(120):
        peer.end(key(node))
    numbers = [number for number, _ in peer.facts]
    peer.send(t="ack", seq=numbers[-30])
    peer.ask("status")
    assert _spool(executor).stat().st_size < 3_000_000
    executor.kill()
    executor.start()
    again = executor.peer(acked=numbers[-30], acknowledge=False)

    again.until(lambda: len(again.facts) >= 29)
    assert again.facts == peer.facts[-29:]


def test_a_killed_orchestrators_orders_run_on(executor: ExecutorAt, gate: Any) -> None:
    """The executor outlives it, with all that it was given."""
    wait = gate("wait")
    code = f"""
import sys
from pathlib import Path
from tests.executor.client import *
peer = Peer(Path({str(executor.directory)!r}))
peer.hello()
peer.order({{"step": shell("read x < $MESON_INPUT_wait", resources={{"cpus": 4}})}},
           *(order(node=node, inputs={{"wait": {str(wait.path)!r}}}) for node in (1, 2)))
peer.fact("started", key(1))
print("now", flush=True)
peer.gone()
"""
    executor.listens()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as orchestrator:
        assert orchestrator.stdout is not None
        assert orchestrator.stdout.readline() == b"now\n"
        orchestrator.send_signal(signal.SIGKILL)
    peer = executor.peer(hello=False)
    welcome = peer.hello()

    assert {json.dumps(found): state for found, state in welcome["attempts"]} == {
        json.dumps(key(1)): "running",
        json.dumps(key(2)): "queued",
    }
    wait.open()
    wait.open()
    assert [peer.end(key(node))["f"] for node in (1, 2)] == ["succeeded"] * 2


@pytest.mark.slow
def test_crash_and_crash_again(executor: ExecutorAt, project: Path) -> None:
    """Killed at a moment of nobody's choosing, over and over: no end is told twice, and none is contradicted."""
    (project / "steps.py").write_text("def f(n): return n\n")
    steps = {
        "f": python(project, "f", outputs={"result": "int"}),
        "p": shell('echo "{\\"result\\": $MESON_INPUT_n}" > $MESON_OUTPUTS', outputs={"result": "int"}),
    }
    ends: dict[int, Any] = {}
    acked = 0
    peer = executor.peer()
    for life in range(6):
        peer = executor.peer(hello=False, acknowledge=False)
        welcome = peer.hello(acked=acked)
        known = {json.dumps(found) for found, _ in welcome["attempts"]}
        assert known <= {json.dumps(key(node)) for node in range(60)}
        wanted = [node for node in range(60) if json.dumps(key(node)) not in known and node not in ends]
        peer.order(steps, *(order("fp"[node % 2], node, inputs={"n": node}) for node in wanted))
        for node in wanted[:8]:
            peer.end(key(node))
        for number, fact in peer.facts:
            if fact["f"] == "succeeded":
                node = fact["k"][1][0]
                assert ends.setdefault(node, fact) == fact
                assert fact["outputs"] == {"result": node}
            acked = number
        if life < 5:
            executor.kill()
            peer.close()
            executor.start()
    for node in set(range(60)) - set(ends):
        ends[node] = peer.end(key(node))

    assert all(ends[node]["outputs"] == {"result": node} for node in range(60))


def test_nothing_of_ours_is_left_after_a_stop(executor: ExecutorAt, project: Path) -> None:
    peer = executor.peer()
    (project / "steps.py").write_text("import os\ndef f(): return os.getpid()\n")
    peer.order({"f": python(project, "f", outputs={"result": "int"})}, order("f"))
    pid = peer.end(key())["outputs"]["result"]
    peer.send(t="stop")
    peer.gone()

    wait_for(lambda: not alive(pid))
    assert executor.process is not None
    assert executor.process.wait(10) == 0
    assert not (executor.directory / "socket").exists()


def test_what_lay_in_work_folders_is_removed(executor: ExecutorAt, gate: Any) -> None:
    told = gate("told")
    peer = executor.peer()
    peer.order({"step": shell("mkdir deep; touch deep/file; " + STAY)}, order(inputs={"told": str(told.path)}))
    told.line()
    executor.kill()
    executor.start()
    executor.peer()

    wait_for(lambda: [path.name for path in executor.directory.glob("old-*")] == [])
    assert [path.name for path in (executor.directory / "work").iterdir()] == ["nothing.json"]
