"""Owns the tests of Python attempts: what a function gets and gives, and how its failures are told."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from meson_executor.logs import LogReader, lines, run_folder
from tests.executor.client import ExecutorAt, Fact, Peer, key, order, python

if TYPE_CHECKING:
    from pathlib import Path


def _log(executor: ExecutorAt, node: int = 1) -> list[tuple[str, str]]:
    reader = LogReader(run_folder(str(executor.folder / "logs"), "run"))
    return [(line.stream, line.text) for line in lines(reader.of((node,)))]


def _run(peer: Peer, project: Path, source: str, *, inputs: dict[str, Any] | None = None, **fields: Any) -> Fact:
    """Run the function `f` of a source as the one step."""
    (project / "steps.py").write_text(source)
    peer.order({"step": python(project, "f", **fields)}, order(inputs=inputs or {}))
    return peer.end(key())


def test_a_function_by_module_file_and_source(peer: Peer, project: Path) -> None:
    body = "import here\ndef f(x):\n    return {'y': here.twice(x), 'name': __name__}\n"
    (project / "here.py").write_text("def twice(x):\n    return 2 * x\n")
    (project / "steps.py").write_text(body)
    (project / "flows").mkdir()
    (project / "flows" / "train.py").write_text(body)
    (project / "json.py").write_text(body)  # a name that the standard library has
    outputs = {"y": "int", "name": "str"}
    peer.order(
        {
            "module": python(project, "f", outputs=outputs),
            "file": python(project, "f", file="flows/train.py", outputs=outputs),
            "shadow": python(project, "f", file="json.py", outputs=outputs),
            "source": python(project, "f", source=body, outputs=outputs),
        },
        *(order(step, node, inputs={"x": node}) for node, step in enumerate(("module", "file", "shadow", "source"))),
    )

    ends = [peer.end(key(node)) for node in range(4)]

    assert [end.get("outputs", end)["y"] for end in ends] == [0, 2, 4, 6]
    names = [end["outputs"]["name"] for end in ends]
    assert names[:2] == ["steps", "train"]
    assert names[2].startswith("meson_file_")
    assert names[3].startswith("meson_source_")


def test_a_decorated_function_and_one_in_a_class(peer: Peer, project: Path) -> None:
    source = """
from meson_runtime import step
@step(cpus=2)
def f(): return 1
class Steps:
    @staticmethod
    def g(): return 2
"""
    (project / "steps.py").write_text(source)
    outputs = {"result": "int"}
    peer.order(
        {"f": python(project, "f", outputs=outputs), "g": python(project, "Steps.g", outputs=outputs)},
        order("f", 1),
        order("g", 2),
    )

    assert [peer.end(key(node))["outputs"]["result"] for node in (1, 2)] == [1, 2]


@pytest.mark.parametrize(
    ("body", "declared", "outputs"),
    [
        ("return {'a': 1, 'b': [1.5]}", {"a": "int", "b": "list[float]"}, {"a": 1, "b": [1.5]}),
        ("return D(1, 'x')", {"a": "int", "b": "str"}, {"a": 1, "b": "x"}),
        ("return {'k': (1, 2)}", {"result": "dict[list[int]]"}, {"result": {"k": [1, 2]}}),
        ("return None", {"result": "any"}, {"result": None}),
        ("return None", {}, {}),
        ("return 'é\\U0001f600\\n'", {"result": "str"}, {"result": "é\U0001f600\n"}),
        ("return 1", {"result": "float"}, {"result": 1}),
        ("return N(7)", {"result": "int"}, {"result": 7}),
        ("return 'x' * 65000", {"result": "str"}, {"result": "x" * 65000}),
    ],
)
def test_what_a_function_returns(peer: Peer, project: Path, body: str, declared: dict[str, str], outputs: Any) -> None:
    source = f"""
from dataclasses import dataclass
@dataclass
class D:
    a: int
    b: str
class N:  # as scalars of numpy are
    dtype = 'int64'
    def __init__(self, n): self.n = n
    def tolist(self): return self.n
def f():
    {body}
"""
    assert _run(peer, project, source, outputs=declared)["outputs"] == outputs


@pytest.mark.parametrize(
    ("body", "declared", "message"),
    [
        ("return {'a': 1}", {"a": "int", "b": "int"}, "the step returned a dict without the declared output b"),
        ("return {'a': 1, 'c': 2}", {"a": "int"}, "the step returned a dict with c, "),
        ("return 7", {"a": "int"}, "the step returned a int, expected a mapping or a dataclass with the outputs a"),
        ("return 'x'", {"result": "int"}, "output result: expected int, got str 'x'"),
        ("return {'a': {'b': [1, 'x']}}", {"a": "dict[list[int]]"}, "output a.b[1]: expected int, got str 'x'"),
        ("return float('nan')", {"result": "float"}, "output result: nan is not a JSON number; store objects with ctx.put"),
        ("return [1, {'x': {1, 2}}]", {"result": "any"}, "output result[1].x: set is not JSON; store objects with ctx.put"),
        ("return object()", {"result": "any"}, "output result: object is not JSON; "),
        ("return 'x' * 70000", {"result": "str"}, "the outputs are 70013 bytes of JSON, and 65536 are the limit; store large"),
        ("return '\\ud800'", {"result": "str"}, "an output has half a character in it (a lone surrogate), which is not text"),
        ("x = []; x.append(x); return x", {"result": "any"}, "output result"),
        ("return '/no/file'", {"result": "artifact"}, "output result is declared as artifact and names '/no/file'"),
        ("return 7", {"result": "artifact"}, "output result: expected artifact, got int 7"),
    ],
)  # fmt: skip
def test_outputs_that_cannot_be_recorded(
    peer: Peer, project: Path, body: str, declared: dict[str, str], message: str
) -> None:
    end = _run(peer, project, f"def f():\n    {body}\n", outputs=declared)

    assert (end["f"], end["cause"], end["failure"]["reason"]) == ("failed", "user", "outputs")
    assert end["failure"]["message"].startswith(message)


def test_an_exception_arrives_with_the_users_frames_only(peer: Peer, project: Path) -> None:
    source = """
def deeper(x):
    return {}[x]

def f(x):
    try:
        deeper(x)
    except KeyError as error:
        raise ValueError("no such region") from error
"""
    failure = _run(peer, project, source, inputs={"x": "north"})["failure"]

    assert (failure["reason"], failure["message"]) == ("exception", "ValueError: no such region")
    path = re.escape(str(project / "steps.py"))
    told = re.sub(r"\n\s+[\^~]+(?=\n)", "", failure["traceback"])  # newer interpreters point at the place
    expected = rf"""Traceback \(most recent call last\):
  File "{path}", line 7, in f
    deeper\(x\)
  File "{path}", line 3, in deeper
    return {{}}\[x\]
KeyError: 'north'

The above exception was the direct cause of the following exception:

Traceback \(most recent call last\):
  File "{path}", line 9, in f
    raise ValueError\("no such region"\) from error
ValueError: no such region
"""
    assert re.fullmatch(expected, told)


def test_a_source_shows_its_lines(peer: Peer, project: Path) -> None:
    """What was written in a notebook is in no file."""
    peer.order({"step": python(project, "f", source="def f():\n    answer = 1 / 0  # here\n")}, order())

    failure = peer.end(key())["failure"]

    assert "in f\n    answer = 1 / 0  # here\n" in failure["traceback"]
    assert "meson_runtime" not in failure["traceback"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module_anywhere\n", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("def f(:\n", "SyntaxError: "),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_does_not_import(peer: Peer, project: Path, source: str, message: str) -> None:
    failure = _run(peer, project, source)["failure"]

    assert failure["message"].startswith(message)
    assert "importlib" not in failure["traceback"]
    assert "meson_runtime" not in failure["traceback"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"function": "g"}, "there is no function 'g' in module steps"),
        ({"function": "Steps.g"}, "there is no function 'Steps.g' in module steps"),
        ({"function": "x"}, "'x' in module steps is no function but 7"),
        ({"function": "f", "file": "gone.py"}, "there is no Python file "),
    ],
)
def test_a_function_that_is_not_there(peer: Peer, project: Path, fields: dict[str, str], message: str) -> None:
    (project / "steps.py").write_text("x = 7\ndef f(): pass\n")
    peer.order({"step": python(project, **fields)}, order())

    end = peer.end(key())

    assert (end["cause"], end["failure"]["reason"]) == ("user", "launch")
    assert end["failure"]["message"].startswith(message)


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (
            "raise SystemExit",
            {"reason": "exit", "message": "it called sys.exit() instead of returning", "exit_code": 0},
        ),
        ("sys.exit(4)", {"reason": "exit", "message": "it called sys.exit(4) instead of returning", "exit_code": 4}),
        ("sys.exit('bad')", {"reason": "exit", "message": "it called sys.exit(): SystemExit: bad", "exit_code": 1}),
        (
            "os._exit(5)",
            {"reason": "exit", "message": "it ended its process with exit code 5 instead of returning", "exit_code": 5},
        ),
        (
            "os._exit(0)",
            {"reason": "exit", "message": "it ended its process with exit code 0 instead of returning", "exit_code": 0},
        ),
        (
            "os.kill(os.getpid(), signal.SIGSEGV)",
            {"reason": "signal", "message": "its worker was ended by SIGSEGV", "signal": "SIGSEGV"},
        ),
        ("os.abort()", {"reason": "signal", "message": "its worker was ended by SIGABRT", "signal": "SIGABRT"}),
    ],
)
def test_a_function_that_ends_its_process(peer: Peer, project: Path, body: str, failure: dict[str, Any]) -> None:
    """It is told as its own doing, and the next attempt runs as if nothing had been."""
    source = f"import os, signal, sys\ndef f():\n    {body}\ndef g(): return 1\n"
    end = _run(peer, project, source)

    assert (end["f"], end["cause"], end["failure"]) == ("failed", "user", failure)
    peer.order({"g": python(project, "g", outputs={"result": "int"})}, order("g", 2))
    assert peer.end(key(2))["outputs"] == {"result": 1}


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_worker_that_somebody_else_ends(peer: Peer, project: Path, name: str) -> None:
    source = f"import os, signal\ndef f():\n    os.kill(os.getpid(), signal.{name})\n    signal.pause()\n"
    end = _run(peer, project, source)

    assert (end["f"], end["cause"]) == ("failed", "platform")
    assert end["failure"] == {"reason": "signal", "message": f"its worker was ended by {name}", "signal": name}


@pytest.mark.parametrize("error", ["KeyboardInterrupt()", "GeneratorExit()", "Odd()"])
def test_any_exception_ends_the_attempt_alone(peer: Peer, project: Path, error: str) -> None:
    source = f"""
class Odd(BaseException):
    def __str__(self): raise RuntimeError("no text")
def f(): raise {error}
"""
    end = _run(peer, project, source)

    assert (end["cause"], end["failure"]["reason"]) == ("user", "exception")
    assert error.strip("()") in end["failure"]["message"]
    assert peer.ask("status")["workers"] == 1


def test_an_endless_traceback_is_cut(peer: Peer, project: Path) -> None:
    failure = _run(peer, project, "def f():\n    raise ValueError('x' * 1_000_000)\n")["failure"]

    assert len(failure["message"]) == 2000
    assert len(failure["traceback"]) < 40_000


def test_the_context(executor: ExecutorAt, peer: Peer, project: Path, tmp_path: Path) -> None:
    source = """
from meson_runtime import ctx
def f(a, b):
    return {"told": [ctx.run_id, ctx.step, list(ctx.indexes), ctx.attempt, ctx.job_key, ctx.inputs, str(ctx.scratch)]}
"""
    (project / "steps.py").write_text(source)
    scratch = tmp_path / "scratch space"
    peer.order(
        {"step": python(project, "f", step="train", outputs={"told": "any"})},
        order(indexes=(7, 2), attempt=3, inputs={"a": 1, "b": None}, scratch=scratch.as_uri(), job="the-job"),
    )

    told = peer.end(key(attempt=3, indexes=(7, 2)))["outputs"]["told"]

    assert told == ["run", "train", [7, 2], 3, "the-job", {"a": 1, "b": None}, str(scratch)]
    assert scratch.is_dir()


@pytest.mark.slow
def test_progress_emit_and_link(peer: Peer, project: Path, gate: Any) -> None:
    ready, wait = gate("ready"), gate("wait")
    source = """
from meson_runtime import ctx
def f(ready, wait):
    ctx.emit("loss", {"epoch": 1, "value": 0.5})
    ctx.link("page", "http://localhost")
    ctx.progress(0.1, "reading")
    for step in range(10_000):
        ctx.progress(0.2 + step / 20_000)
    ctx.progress(7, "half\\nway")
    print("here", file=open(ready, "w"))
    open(wait).readline()
    ctx.progress(0.75)
"""
    (project / "steps.py").write_text(source)
    peer.order({"step": python(project, "f")}, order(inputs={"ready": str(ready.path), "wait": str(wait.path)}))
    ready.line()

    assert peer.fact("emitted", key())["value"] == {"epoch": 1, "value": 0.5}
    assert peer.fact("link", key())["url"] == "http://localhost"
    peer.until(lambda: [key(), 1.0, "half\nway"] in peer.samples)
    wait.open()
    peer.end(key())
    peer.until(lambda: [key(), 0.75, "half\nway"] in peer.samples)
    assert len(peer.samples) <= 4  # the latest value only, once a second
    assert [fact["f"] for fact in peer.of(key())] == ["started", "emitted", "link", "succeeded"]


def test_what_cannot_be_emitted_is_the_callers_mistake(peer: Peer, project: Path) -> None:
    source = """
from meson_runtime import ctx
def f():
    told = []
    for value in (object(), float("inf"), "x" * 70_000):
        try: ctx.emit("x", value)
        except ValueError as error: told.append(str(error)[:40])
    return {"told": told}
"""
    assert len(_run(peer, project, source, outputs={"told": "list[str]"})["outputs"]["told"]) == 3


def test_messages_reach_the_attempt_that_they_are_for(peer: Peer, project: Path, gate: Any) -> None:
    ready = gate("ready")
    source = """
from meson_runtime import ctx
def f(ready):
    if list(ctx.messages()): return {"got": "early"}
    print("here", file=open(ready, "w"))
    found = []
    while len(found) < 2:
        found.extend(ctx.messages(wait_s=10))
    return {"got": [[m.name, m.value] for m in found], "rest": list(ctx.messages())}
"""
    (project / "steps.py").write_text(source)
    peer.order(
        {"step": python(project, "f", outputs={"got": "any", "rest": "any"})}, order(inputs={"ready": str(ready.path)})
    )
    ready.line()
    peer.send(t="send", key=key(), name="a", value=1)
    peer.send(t="send", key=key(), name="b", value={"x": ["ü"]})
    peer.send(t="send", key=key(9), name="stray", value=None)

    assert peer.end(key())["outputs"] == {"got": [["a", 1], ["b", {"x": ["ü"]}]], "rest": []}


def test_an_artifact_keeps_its_name_and_type_on_the_way_out(peer: Peer, project: Path) -> None:
    """An artifact is a path as well, and a path that is declared as artifact is stored."""
    source = """
from meson_runtime import ctx

def make():
    return {"a": ctx.put({"rmse": 0.9}, name="metrics.json", type="json", meta={"split": "test"})}
"""
    (project / "steps.py").write_text(source)
    peer.order({"make": python(project, "make", outputs={"a": "artifact"})}, order("make", 1))
    made = peer.end(key(1))["outputs"]["a"]

    assert made | {"$artifact": ""} == {
        "$artifact": "",
        "size": 13,
        "name": "metrics.json",
        "media": "application/json",
        "type": "json",
        "meta": {"split": "test"},
    }


def test_artifacts_in_and_out(peer: Peer, project: Path) -> None:
    source = """
import pathlib
from meson_runtime import Artifact, ctx
def make():
    pathlib.Path(ctx.scratch / "m.txt").write_text("weights")
    return {"a": ctx.put(ctx.scratch / "m.txt"), "b": [ctx.put(b"bytes", name="b.json")], "c": str(ctx.scratch / "m.txt")}
def use(a, b):
    assert isinstance(a, Artifact) and isinstance(b[0], Artifact), (a, b)
    return {"a": a, "text": open(a).read() + b[0].open().read().decode(), "same": str(a.path) == open(a.path).name}
"""
    (project / "steps.py").write_text(source)
    made = {"a": "artifact", "b": "list[artifact]", "c": "artifact"}
    peer.order({"make": python(project, "make", outputs=made)}, order("make", 1))
    outputs = peer.end(key(1))["outputs"]

    assert outputs["a"]["$artifact"] == outputs["c"]["$artifact"]
    assert outputs["b"][0] | {"$artifact": ""} == {
        "$artifact": "",
        "size": 5,
        "name": "b.json",
        "media": "application/json",
    }
    peer.order(
        {"use": python(project, "use", outputs={"a": "artifact", "text": "str", "same": "bool"})},
        order("use", 2, inputs={"a": outputs["a"], "b": outputs["b"]}),
    )
    assert peer.end(key(2))["outputs"] == {"a": outputs["a"], "text": "weightsbytes", "same": True}


def test_secrets_come_into_memory_only(make_executor: Any, project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "token").write_text("s3cret\n")
    source = """
import os
from meson_runtime import ctx
def f():
    environ = open("/proc/self/environ").read()
    try: ctx.secret("other")
    except Exception as error: told = type(error).__name__ + ": " + str(error)
    return {"found": [ctx.secret("token"), ctx.secret("fromenv")], "hidden": "s3cret" not in environ and "fr0m" not in environ, "told": told}
"""
    executor = make_executor("--secrets", str(folder), environment={"MESON_SECRET_fromenv": "fr0m"}).start()
    end = _run(executor.peer(), project, source, outputs={"found": "any", "hidden": "bool", "told": "str"})

    assert end["outputs"]["found"] == ["s3cret", "fr0m"]
    assert end["outputs"]["hidden"]
    assert end["outputs"]["told"].startswith(
        "SecretError: the secret 'other' is not on this machine: there is no MESON_SECRET_other"
    )


def test_what_a_step_writes_is_its_log(executor: ExecutorAt, peer: Peer, project: Path) -> None:
    """Whoever writes it: Python, a program that it runs, C code, a thread, a forked child."""
    source = """
import os, subprocess, sys, threading
from meson_runtime import ctx
def f():
    print("one", 1)
    print("two", file=sys.stderr)
    ctx.log.info("from %s", "the logger")
    subprocess.run(["echo", "a program"])
    subprocess.run(["sh", "-c", "echo to our stdout"], stdout=sys.stdout)
    os.write(1, b"descriptor\\n")
    sys.stdout.buffer.write(b"bytes \\xff\\n")
    thread = threading.Thread(target=print, args=("a thread",)); thread.start(); thread.join()
    pid = os.fork()
    if not pid:
        print("a child", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    print("no newline", end="")
def g():
    print("another attempt")
"""
    assert _run(peer, project, source)["f"] == "succeeded"
    peer.order({"g": python(project, "g")}, order("g", 2))
    peer.end(key(2))

    said = _log(executor, 1)

    assert sorted(said) == sorted(
        [
            ("o", "one 1"),
            ("e", "two"),
            ("l", "INFO from the logger"),
            ("o", "a program"),
            ("o", "to our stdout"),
            ("o", "descriptor"),
            ("o", "bytes \ufffd"),
            ("o", "a thread"),
            ("o", "a child"),
            ("o", "no newline"),
        ]
    )
    assert _log(executor, 2) == [("o", "another attempt")]


def test_output_is_seen_while_the_step_runs(executor: ExecutorAt, peer: Peer, project: Path, gate: Any) -> None:
    """Also what was printed in a rush before a long silence."""
    ready, wait = gate("ready"), gate("wait")
    source = """
def f(ready, wait):
    for number in range(100): print(number)
    print("here", file=open(ready, "w"))
    open(wait).readline()
"""
    (project / "steps.py").write_text(source)
    peer.order({"step": python(project, "f")}, order(inputs={"ready": str(ready.path), "wait": str(wait.path)}))
    ready.line()

    from tests.executor.client import wait_for

    wait_for(lambda: [text for _, text in _log(executor)] == [str(number) for number in range(100)])
    wait.open()
    peer.end(key())


def test_a_step_leaves_no_trace_for_the_next(peer: Peer, project: Path) -> None:
    """The working folder comes back; the module and what it remembers stay, which is what makes it warm."""
    source = """
import os
count = 0
def f():
    global count
    count += 1
    here = os.getcwd()
    os.chdir("/")
    return {"here": here, "count": count}
"""
    (project / "steps.py").write_text(source)
    template = python(project, "f", outputs={"here": "str", "count": "int"}, resources={"cpus": 4})
    peer.order({"f": template}, order("f", 1), order("f", 2))

    assert [peer.end(key(node))["outputs"] for node in (1, 2)] == [
        {"here": str(project), "count": 1},
        {"here": str(project), "count": 2},
    ]


@pytest.mark.slow
def test_large_inputs(executor: ExecutorAt, peer: Peer, project: Path) -> None:
    """Larger than any socket takes at once."""
    inputs = {"rows": [{"text": "ü" * 100}] * 20_000}
    source = "def f(rows):\n    return {'count': len(rows), 'last': len(rows[-1]['text'])}\n"

    end = _run(peer, project, source, inputs=inputs, outputs={"count": "int", "last": "int"})

    assert end["outputs"] == {"count": 20_000, "last": 100}
    assert list((executor.directory / "orders").iterdir()) == []


def test_a_wrong_argument_is_told_like_any_exception(peer: Peer, project: Path) -> None:
    end = _run(peer, project, "def f(a): pass\n", inputs={"b": 1})

    assert end["failure"]["message"].startswith("TypeError: f() got an unexpected keyword argument 'b'")
    assert "meson_runtime" not in end["failure"]["traceback"]


def test_isolated_attempts_have_processes_of_their_own(peer: Peer, project: Path) -> None:
    (project / "steps.py").write_text("import os\ndef f(): return os.getpid()\n")
    template = python(project, "f", outputs={"result": "int"}, isolate=True)
    peer.order({"f": template}, *(order("f", node) for node in range(3)))

    assert len({peer.end(key(node))["outputs"]["result"] for node in range(3)}) == 3


def test_json_text_passes_unchanged(peer: Peer, project: Path) -> None:
    value = {"é": '\u2028\u0000\\"/', "n": 1e300, "i": 12345678901234567890, "deep": [[[[[]]]]]}

    end = _run(
        peer,
        project,
        f"import json\ndef f(): return json.loads({json.dumps(json.dumps(value))})\n",
        outputs={"result": "any"},
    )

    assert end["outputs"]["result"] == value
