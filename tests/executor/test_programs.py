"""Owns the tests of program attempts: what a process gets, what becomes of what it says, and how its end is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meson_executor.logs import LogReader, lines, run_folder
from tests.executor.client import ExecutorAt, Peer, key, order, program, python, shell


def _log(executor: ExecutorAt, node: int = 1) -> list[str]:
    reader = LogReader(run_folder(str(executor.folder / "logs"), "run"))
    return [line.text for line in lines(reader.of((node,)))]


def test_a_program_that_says_nothing_leaves_nothing(executor: ExecutorAt, peer: Peer) -> None:
    """A thousand such attempts must not cost a thousand folders or log files."""
    peer.order({"step": program("/bin/true")}, order())

    end = peer.end(key())

    assert (end["f"], end["outputs"]) == ("succeeded", {})
    assert end["began"] <= end["at"]
    assert not (executor.folder / "logs").exists()
    assert sorted(path.name for path in (executor.directory / "work").iterdir()) == ["1", "nothing.json"]


def test_outputs_are_read_from_the_file(peer: Peer) -> None:
    script = """echo '{"rows": 7, "names": ["ä", "b"]}' > $MESON_OUTPUTS"""
    peer.order({"step": shell(script, outputs={"rows": "int", "names": "list[str]"})}, order())

    assert peer.end(key())["outputs"] == {"rows": 7, "names": ["ä", "b"]}


@pytest.mark.parametrize(
    ("script", "declared", "message"),
    [
        ("true", {"rows": "int"}, "it ended without the declared output rows"),
        ('echo "{}" > $MESON_OUTPUTS', {"a": "int", "b": "str"}, "it ended without the declared outputs a, b"),
        ("""echo '{"rows": "7"}' > $MESON_OUTPUTS""", {"rows": "int"}, "output rows: expected int, got str '7'"),
        ("""echo '{"rows": true}' > $MESON_OUTPUTS""", {"rows": "int"}, "output rows: expected int, got bool True"),
        ("""echo '{"x": [1, null]}' > $MESON_OUTPUTS""", {"x": "list[float]"}, "output x[1]: expected float, got null"),
        (
            """echo '{"x": 1, "y": 2}' > $MESON_OUTPUTS""",
            {"x": "int"},
            "it returned the output y, which is not declared",
        ),
        ("echo '{' > $MESON_OUTPUTS", {}, "$MESON_OUTPUTS is not JSON: "),
        ("echo '[1]' > $MESON_OUTPUTS", {}, "$MESON_OUTPUTS should be a JSON object by output name, got [1]"),
        ("""echo '{"x": NaN}' > $MESON_OUTPUTS""", {}, "output x: nan is not a JSON number"),
        ("head -c 70000 /dev/zero | tr '\\0' x > $MESON_OUTPUTS", {}, "$MESON_OUTPUTS has more than 65536 bytes"),
        (
            "python3 -c 'print(\"[\" * 30000)' > $MESON_OUTPUTS",
            {},
            "$MESON_OUTPUTS is not JSON: maximum recursion depth exceeded",
        ),
        ("mkdir $MESON_OUTPUTS", {}, "$MESON_OUTPUTS cannot be read: "),
        ('printf "\\377" > $MESON_OUTPUTS', {}, "$MESON_OUTPUTS is not JSON: "),
    ],
)
def test_outputs_that_cannot_be_recorded(peer: Peer, script: str, declared: dict[str, str], message: str) -> None:
    peer.order({"step": shell(script, outputs=declared)}, order())

    end = peer.end(key())

    assert (end["f"], end["cause"], end["failure"]["reason"]) == ("failed", "user", "outputs")
    assert end["failure"]["message"].startswith(message)


@pytest.mark.parametrize(
    ("script", "cause", "failure"),
    [
        ("exit 3", "user", {"reason": "exit", "message": "exit code 3", "exit_code": 3}),
        ("kill -SEGV $$", "user", {"reason": "signal", "message": "ended by SIGSEGV", "signal": "SIGSEGV"}),
        ("kill -ABRT $$", "user", {"reason": "signal", "message": "ended by SIGABRT", "signal": "SIGABRT"}),
        ("kill -KILL $$", "platform", {"reason": "signal", "message": "ended by SIGKILL", "signal": "SIGKILL"}),
        ("kill -TERM $$", "platform", {"reason": "signal", "message": "ended by SIGTERM", "signal": "SIGTERM"}),
    ],
)
def test_how_a_program_ended(peer: Peer, script: str, cause: str, failure: dict[str, Any]) -> None:
    peer.order({"step": shell(script)}, order())

    end = peer.end(key())

    assert (end["f"], end["cause"], end["failure"]) == ("failed", cause, failure)


def telling(line: str, then: str = "exit 1") -> str:
    return f"echo '{line}' >> $MESON_PROGRESS; {then}"


@pytest.mark.parametrize(
    ("script", "cause", "failure"),
    [
        (
            telling('{"failure": "Error in fit(): ä", "traceback": "1: fit()"}'),
            "user",
            {"reason": "exception", "message": "Error in fit(): ä", "exit_code": 1, "traceback": "1: fit()"},
        ),
        (
            telling('{"failure": "no room", "reason": "out of memory"}', "exit 7"),
            "user",
            {"reason": "out of memory", "message": "no room", "exit_code": 7},
        ),
        (
            telling('{"failure": "there is no R here", "reason": "launch"}'),
            "platform",
            {"reason": "launch", "message": "there is no R here", "exit_code": 1},
        ),
        (
            telling('{"failure": ["odd"], "reason": {}, "traceback": 7}'),
            "user",
            {"reason": "exception", "message": "['odd']", "exit_code": 1, "traceback": "7"},
        ),
        (
            telling('{"failure": "half: \\ud800"}'),
            "user",
            {"reason": "exception", "message": "half: ?", "exit_code": 1},
        ),
        (
            telling('{"failure": "first"}', "") + telling('{"failure": "last"}'),
            "user",
            {"reason": "exception", "message": "last", "exit_code": 1},
        ),
        (
            telling('{"failure": "told"}', "kill -SEGV $$"),
            "user",
            {"reason": "signal", "message": "ended by SIGSEGV", "signal": "SIGSEGV"},
        ),
    ],
)
def test_a_program_tells_its_failure_in_its_own_words(
    peer: Peer, script: str, cause: str, failure: dict[str, Any]
) -> None:
    """An error of R or Scala is told as one of Python is, not as the number of an exit code."""
    peer.order({"step": shell(script)}, order())

    end = peer.end(key())

    assert (end["f"], end["cause"], end["failure"]) == ("failed", cause, failure)


def test_a_failure_that_did_not_happen_is_forgotten(peer: Peer) -> None:
    """Neither the attempt that told it and went on, nor the next in its folder, has failed by it."""
    peer.order({"step": shell(telling('{"failure": "not so bad"}', "exit 0"))}, order(node=1))
    assert peer.end(key(1))["f"] == "succeeded"

    peer.order({"step": shell("exit 3")}, order(node=2))

    assert peer.end(key(2))["failure"]["message"] == "exit code 3"


def test_nothing_that_was_told_is_lost_behind_a_lot(peer: Peer) -> None:
    """A megabyte of progress between two looks hides neither facts nor the failure."""
    lines = "yes 'a message that is rather long and says nothing' | head -n 60000 >> $MESON_PROGRESS"
    script = telling('{"emit": "first", "value": 1}', lines) + "; " + telling('{"failure": "at the end"}')
    peer.order({"step": shell(script)}, order())

    assert peer.end(key())["failure"]["message"] == "at the end"
    assert peer.fact("emitted", key(), name="first")["value"] == 1


def test_a_program_knows_what_it_should_return(executor: ExecutorAt, peer: Peer) -> None:
    """A language whose only numbers are vectors has to know whether one of them is a list."""
    declared = {"losses": "list[float]", "größe": "int"}
    script = """echo "$MESON_OUTPUT_TYPES"; echo '{"losses": [1], "größe": 1}' > $MESON_OUTPUTS"""
    peer.order({"step": shell(script, outputs=declared)}, order(node=1))
    peer.end(key(1))
    peer.order({"step": shell('echo "${MESON_OUTPUT_TYPES-unset}"')}, order(node=2))
    peer.end(key(2))

    assert json.loads(_log(executor, 1)[0]) == declared
    assert _log(executor, 2) == ["unset"]


def test_a_program_of_python_ends_quietly_when_its_reader_does(peer: Peer) -> None:
    """Python ignores SIGPIPE; what it starts must not."""
    peer.order({"step": shell("yes | head -n 1 > /dev/null; trap '' 0; kill -PIPE $$")}, order())

    assert peer.end(key())["failure"]["signal"] == "SIGPIPE"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (program("no-such-program"), "it could not be started: there is no program 'no-such-program' on this machine"),
        (program("/no/such/file"), "it could not be started: [Errno 2] No such file or directory: '/no/such/file'"),
        (program("/etc/passwd"), "it could not be started: [Errno 13] Permission denied: '/etc/passwd'"),
        (program("/bin/echo", "a\0b"), "it could not be started: embedded null byte"),
        (program("/bin/echo", {"$input": "x"}), "it could not be started: argument 1 names the input 'x', and the step"),
        (program("/bin/echo", {"$path": "moon"}), "it could not be started: there is no path 'moon' here"),
        (program("/bin/echo", {"$secret": "token"}), "it could not be started: argument 1 names the secret 'token'; a secret"),
        (program("/bin/echo", 7), "it could not be started: argument 1 is 7, which is neither text nor a placeholder"),
        (program("/bin/true", env={"T": {"$secret": "no"}}), "it could not be started: the secret 'no' is not on this machine"),
        (program("/bin/true", files={"../x": "y"}), "it could not be started: the file '../x' would lie outside"),
        (program("/bin/echo", "x" * 200_000), "it could not be started: [Errno 7] Argument list too long"),
    ],
)  # fmt: skip
def test_nothing_to_start(peer: Peer, template: dict[str, Any], message: str) -> None:
    """The author's mistakes are told as such, and the resources of the attempt come back."""
    peer.order({"step": template}, order())

    end = peer.end(key())

    assert (end["f"], end["cause"], end["failure"]["reason"]) == ("failed", "user", "launch")
    assert end["failure"]["message"].startswith(message)
    assert end["began"] is None
    assert peer.ask("status")["free"]["cpus"] == 4


def test_a_missing_project_is_the_platforms_fault(peer: Peer, tmp_path: Path) -> None:
    peer.order({"step": program("/bin/true", cwd="project", project=str(tmp_path / "gone"))}, order())

    assert peer.end(key())["cause"] == "platform"


def test_a_program_sees_its_inputs(executor: ExecutorAt, peer: Peer) -> None:
    inputs = {"name": "Zoë", "rate": 0.5, "flag": True, "none": None, "rows": [1, 2], "long": "x" * 70_000}
    script = """
        echo "$MESON_INPUT_name $MESON_INPUT_rate $MESON_INPUT_flag [$MESON_INPUT_none]"
        echo "${MESON_INPUT_rows-unset} ${MESON_INPUT_long-unset}"
        cat $MESON_INPUTS
    """
    peer.order({"step": shell(script)}, order(inputs=inputs))
    assert peer.end(key())["f"] == "succeeded"

    said = _log(executor)

    assert said[:2] == ["Zoë 0.5 true []", "unset unset"]
    assert json.loads("".join(said[2:])) == inputs


def test_without_inputs_the_file_is_an_empty_object(executor: ExecutorAt, peer: Peer) -> None:
    peer.order({"step": shell("cat $MESON_INPUTS")}, order())
    peer.end(key())

    assert _log(executor) == ["{}"]


def test_placeholders_are_filled(make_executor: Any, tmp_path: Path) -> None:
    """In arguments, environment and files; secrets in the latter two only."""
    secrets = tmp_path / "secrets"
    secrets.write_text("token=s3cret\n")
    executor = make_executor("--secrets", str(secrets), environment={"MESON_SECRET_key": "k3y"}).start()
    peer = executor.peer()
    template = program(
        "/bin/sh", "-c", 'echo "$1 $2"; echo "$TOKEN $KEY"; cat note.txt; env | grep -c ^MESON_SECRET', "sh",
        {"$input": "name"}, {"$input": "rows"},
        env={"TOKEN": {"$secret": "token"}, "KEY": {"$secret": "key"}},
        files={"note.txt": "a note\n"},
    )  # fmt: skip
    peer.order({"step": template}, order(inputs={"name": "a b", "rows": [1, "ü"]}))
    peer.end(key())

    assert _log(executor) == ['a b [1, "ü"]', "s3cret k3y", "a note", "0"]


def test_where_a_program_runs(executor: ExecutorAt, peer: Peer, project: Path, tmp_path: Path) -> None:
    (project / "data.txt").write_text("from the bundle\n")
    scratch = tmp_path / "scratch"
    peer.order(
        {
            "work": shell("pwd; echo $MESON_WORK", project=str(project)),
            "project": shell("cat data.txt; echo $MESON_PROJECT", project=str(project), cwd="project"),
            "scratch": shell("touch $MESON_SCRATCH/here"),
        },
        order("work", 1),
        order("project", 2),
        order("scratch", 3, scratch=scratch.as_uri()),
    )
    for node in (1, 2, 3):
        assert peer.end(key(node))["f"] == "succeeded"

    first, second = _log(executor, 1)
    assert first == second
    assert Path(first).parent == executor.directory / "work"
    assert _log(executor, 2) == ["from the bundle", str(project)]
    assert (scratch / "here").exists()


def test_a_used_work_folder_is_not_used_again(executor: ExecutorAt, peer: Peer) -> None:
    peer.order({"step": shell("ls; touch left; mkdir -p deep/er")}, order(node=1))
    peer.end(key(1))
    peer.order({"step": shell("ls; pwd")}, order(node=2))
    peer.end(key(2))

    assert _log(executor, 1) == []
    assert len(_log(executor, 2)) == 1


def test_what_a_failed_attempt_wrote_is_not_the_next_ones(peer: Peer) -> None:
    """They may share a folder, one after the other."""
    every = 'echo \'{"x": 1}\' > $MESON_OUTPUTS; echo \'{"emit": "n", "value": 1}\' > $MESON_PROGRESS;'
    whole = {"resources": {"cpus": 4}}
    peer.order(
        {
            "bad": shell(every + "exit 1", **whole),
            "dead": shell(every + "kill -9 $$", **whole),
            "ok": program("true", **whole),
        },
        *(order(step, node) for node, step in enumerate(("bad", "ok", "dead", "ok"))),
    )

    assert [peer.end(key(node))["f"] for node in range(4)] == ["failed", "succeeded"] * 2
    assert [peer.end(key(node))["outputs"] for node in (1, 3)] == [{}, {}]
    assert [fact["k"][1][0] for _, fact in peer.facts if fact["f"] == "emitted"] == [0, 2]


def test_artifacts_go_in_as_paths_and_come_out_by_content(executor: ExecutorAt, peer: Peer) -> None:
    declared = {"model": "artifact", "parts": "list[artifact]"}
    script = """
        echo weights > model.bin; echo one > one; cp one two
        echo '{"model": "model.bin", "parts": ["one", "two"]}' > $MESON_OUTPUTS
    """
    peer.order({"make": shell(script, outputs=declared)}, order("make", 1))
    outputs = peer.end(key(1))["outputs"]

    assert outputs["model"]["name"] == "model.bin"
    assert outputs["model"]["size"] == 8
    assert outputs["parts"][0]["$artifact"] == outputs["parts"][1]["$artifact"]

    peer.order(
        {
            "use": shell('cat "$MESON_INPUT_model"; cat "$1"; cat $MESON_INPUTS'),
            "copy": program("/bin/cat", {"$input": "model"}),
        },
        order("use", 2, inputs=outputs),
        order("copy", 3, inputs=outputs),
    )
    peer.end(key(2))
    assert peer.end(key(3))["f"] == "succeeded"
    said = _log(executor, 2)
    assert said[0] == "weights"
    paths = json.loads(said[-1])
    assert Path(paths["parts"][0]).read_text() == "one\n"
    assert Path(paths["model"]).stat().st_mode & 0o777 == 0o444
    assert _log(executor, 3) == ["weights"]


def test_folders_are_handed_on(executor: ExecutorAt, peer: Peer) -> None:
    make = """mkdir -p out/deep && echo one > out/deep/a.txt && echo '{"model": "out"}' > $MESON_OUTPUTS"""
    peer.order({"make": shell(make, outputs={"model": "artifact"})}, order("make", 1))
    outputs = peer.end(key(1))["outputs"]
    assert (outputs["model"]["name"], outputs["model"]["media"]) == ("out", "application/vnd.meson.directory")

    peer.order({"use": shell('cat "$MESON_INPUT_model/deep/a.txt"')}, order("use", 2, inputs=outputs))
    assert peer.end(key(2))["f"] == "succeeded"
    assert _log(executor, 2) == ["one"]


@pytest.mark.parametrize("path", ["nowhere.bin", "nowhere/model.bin"])
def test_an_artifact_that_is_no_file(peer: Peer, path: str) -> None:
    peer.order(
        {"step": shell(f"""echo '{{"model": "{path}"}}' > $MESON_OUTPUTS""", outputs={"model": "artifact"})}, order()
    )

    end = peer.end(key())

    assert (end["cause"], end["failure"]["reason"]) == ("user", "outputs")
    assert f"output model is declared as artifact and names '{path}'" in end["failure"]["message"]


def test_an_artifact_that_is_gone_is_the_platforms_fault(peer: Peer) -> None:
    gone = {"$artifact": "sha256:" + "0" * 64, "size": 1, "name": "x", "media": "text/plain"}
    peer.order({"step": program("/bin/true")}, order(inputs={"model": gone}))

    end = peer.end(key())

    assert (end["cause"], end["failure"]["reason"]) == ("platform", "launch")
    assert "sha256:0000" in end["failure"]["message"]


@pytest.mark.slow
def test_what_a_program_reports_on_its_way(peer: Peer, gate: Any) -> None:
    wait = gate("wait")
    script = """
        echo '0.25 reading' >> $MESON_PROGRESS
        echo '{"emit": "loss", "value": [0.5, 0.25]}' >> $MESON_PROGRESS
        echo '{"link": "page", "url": "http://localhost:4040"}' >> $MESON_PROGRESS
        read line < $MESON_INPUT_gate
        printf '{"emit": "last", "value": 1}' >> $MESON_PROGRESS
    """
    peer.order({"step": shell(script)}, order(inputs={"gate": str(wait.path)}))

    assert peer.until(lambda: peer.samples) == [[key(), 0.25, "reading"]]
    assert peer.fact("emitted", key(), name="loss")["value"] == [0.5, 0.25]
    assert peer.fact("link", key())["url"] == "http://localhost:4040"
    wait.open()
    peer.end(key())
    assert [fact["f"] for fact in peer.of(key())] == ["started", "emitted", "link", "emitted", "succeeded"]


def test_a_program_gets_messages(executor: ExecutorAt, peer: Peer, gate: Any) -> None:
    ready, wait = gate("ready"), gate("wait")
    script = "echo here > $MESON_INPUT_ready; read line < $MESON_INPUT_wait; cat $MESON_MESSAGES"
    peer.order({"step": shell(script)}, order(inputs={"ready": str(ready.path), "wait": str(wait.path)}))
    ready.line()
    peer.send(t="send", key=key(), name="rate", value={"alpha": 0.1})
    peer.ask("status")  # the message was taken before the answer
    wait.open()
    peer.end(key())

    assert json.loads(_log(executor)[0]) == {"name": "rate", "value": {"alpha": 0.1}}


def test_what_a_program_leaves_in_the_background_ends_with_it(peer: Peer, gate: Any) -> None:
    """An attempt that has ended must not go on writing."""
    from tests.executor.client import ended

    told = gate("told")
    peer.order({"step": shell("sleep 1000 & echo $! > $MESON_INPUT_told")}, order(inputs={"told": str(told.path)}))

    assert peer.end(key())["f"] == "succeeded"
    ended(int(told.line()))


def test_the_environment_says_whose_a_process_is(executor: ExecutorAt, peer: Peer) -> None:
    peer.order({"step": shell("env | grep ^MESON | sort")}, order(indexes=(3, 4)))
    peer.end(key(indexes=(3, 4)))
    reader = LogReader(run_folder(str(executor.folder / "logs"), "run"))
    env = dict(line.text.split("=", 1) for line in lines(reader.of((1, 3, 4))))

    assert env["MESON_ATTEMPT"] == "run/1.3.4/1"
    assert env["MESON_EXECUTOR"].startswith("tested@")
    assert env["MESON_EXECUTOR"].endswith(".1")
    assert (env["MESON_RUN"], env["MESON_STEP"], env["MESON_JOB_KEY"]) == ("run", "step", "run/1/1")


def test_a_template_that_was_never_sent(peer: Peer) -> None:
    peer.order({}, order("unheard"))

    end = peer.end(key())

    assert end["cause"] == "platform"
    assert end["failure"]["message"] == "the order names the template 'unheard', which was not sent"


def test_more_than_the_machine_has_is_refused_at_once(peer: Peer) -> None:
    """It would wait for ever otherwise, and everything behind it."""
    template = program("/bin/true", resources={"cpus": 5, "gpus": 1})
    peer.order({"step": template, "other": program("/bin/true")}, order(), order("other", 2))

    assert "cpus = 5, and this machine has 4" in peer.end(key())["failure"]["message"]
    assert peer.end(key(2))["f"] == "succeeded"


def test_what_does_not_fit_waits_its_turn(peer: Peer, gate: Any) -> None:
    wait = gate("wait")
    big = shell("read line < $MESON_INPUT_wait", resources={"cpus": 3})
    peer.order(
        {"big": big, "small": program("/bin/true", resources={"cpus": 2})},
        order("big", 1, inputs={"wait": str(wait.path)}),
        order("small", 2),
    )
    peer.fact("started", key(1))

    assert peer.ask("status")["attempts"] == {"queued": 1, "running": 1, "ended": 0}
    wait.open()
    peer.end(key(1))
    peer.end(key(2))
    assert [fact["k"] for _, fact in peer.facts if fact["f"] == "succeeded"] == [key(1), key(2)]


def test_python_and_programs_share_the_resources(peer: Peer, project: Path, gate: Any) -> None:
    wait = gate("wait")
    (project / "steps.py").write_text("def hold(path):\n    open(path).readline()\n")
    peer.order(
        {"hold": python(project, "hold", resources={"cpus": 4}), "step": program("/bin/true")},
        order("hold", 1, inputs={"path": str(wait.path)}),
        order("step", 2),
    )
    peer.fact("started", key(1))

    assert peer.ask("status")["attempts"]["queued"] == 1
    wait.open()
    peer.end(key(2))
