"""Tests of wishes: what is wished arrives, the answer comes back, and who asks nobody is told so."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from meson_core.client.asking import new_run_id
from meson_core.errors import BackendError, ConflictError, MesonError, NotFoundError, ParameterError, UnknownNameError
from meson_core.events import Selection
from meson_core.spec.digest import digest
from meson_core.spec.model import Parameter, Workflow
from meson_core.spec.states import RunState
from meson_core.store.wishes import Plain, Retry, Send, Settle, Skip, Start, Step
from tests.store.building import Log, sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meson_core.client import Client
    from meson_core.store.store import Store
    from tests.client.conftest import Server

WISHES: list[tuple[str, Callable[[Client], None], Any]] = [
    ("cancel", lambda client: client.cancel("run"), Plain()),
    ("pause", lambda client: client.pause("last"), Plain()),
    ("resume", lambda client: client.resume("run1"), Plain()),
    ("hold", lambda client: client.hold("run1", "train"), Step(2)),
    ("release", lambda client: client.release("run1", "each"), Step(1)),
    ("skip", lambda client: client.skip("run1", steps=["prepare"]), Skip(Selection(nodes=(0,)))),
    ("retry", lambda client: client.retry("run1", failed=True), Retry(Selection(failed=True))),
    (
        "retry",
        lambda client: client.retry("run1", steps=["train"], instances=[(2, 7)], code="c1"),
        Retry(Selection(nodes=(2,), instances=((2, 7),)), "c1"),
    ),
    ("send", lambda client: client.send("run1", (2, 3), "stop", {"at": 3}), Send((2, 3), "stop", {"at": 3})),
    ("settle", lambda client: client.settle("run1", (0,), "failed"), Settle((0,), "failed", {})),
    (
        "settle",
        lambda client: client.settle("run1", (0,), "succeeded", {"rows": 3}),
        Settle((0,), "succeeded", {"rows": 3}),
    ),
]


@pytest.fixture
def served(client: Client, log: Log, serve: Callable[..., Server]) -> Server:
    """An orchestrator that grants everything; the run is there already."""
    log.lease.release()
    return serve()


@pytest.mark.parametrize(("what", "wish", "body"), WISHES, ids=[f"{row[0]}{at}" for at, row in enumerate(WISHES)])
def test_what_is_wished_arrives(
    client: Client, served: Server, what: str, wish: Callable[[Client], None], body: object
) -> None:
    wish(client)

    (found,) = served.wishes
    assert (found.what, found.run_id, found.by, found.body) == (what, "run1", "ada", body)


def test_a_refusal_is_told(client: Client, log: Log, serve: Callable[..., Server]) -> None:
    log.lease.release()
    serve(lambda wish: (f"run {wish.run_id} has ended", None))

    with pytest.raises(ConflictError) as caught:
        client.pause("run1")

    assert str(caught.value) == "run run1 has ended"


def test_nobody_is_there_to_ask(client: Client, log: Log) -> None:
    """The wish is not left behind: who comes later should not cancel what somebody wanted cancelled yesterday."""
    log.lease.release()
    hint = "\n  hint: start an orchestrator: `mesonctl serve`, or `mesonctl run` with a workflow"
    with pytest.raises(ConflictError) as caught:
        client.cancel("run1")
    assert str(caught.value) == "nobody drives cell 'local', so nobody can cancel run run1" + hint

    with pytest.raises(ConflictError) as caught:
        client.start(sweep())
    assert str(caught.value) == "nobody drives cell 'local', so no run can be started" + hint

    assert client.store.wishes() == []


def test_a_wish_may_be_left_for_whoever_comes(client: Client, log: Log) -> None:
    log.lease.release()
    run_id = client.start(sweep(), wait_s=None)
    client.cancel("run1", wait_s=None)

    assert [(wish.what, wish.run_id) for wish in client.store.wishes()] == [("start", run_id), ("cancel", "run1")]


def test_what_is_submitted_is_told_of(client: Client, log: Log) -> None:
    """A run that nobody has begun yet is no run; who asks for it must not be told that it does not exist."""
    run_id = client.start(sweep(), owner="team", wait_s=None)
    client.start(sweep(), wait_s=None)
    later, first = client.submitted()

    assert (first.run_id, first.workflow, first.owner, later.owner) == (run_id, "sweep", "team", "ada")
    with pytest.raises(ConflictError, match=f"run {run_id} is submitted, and nobody has begun it yet"):
        client.run(run_id[:5])
    assert client.run("last").run_id == "run1"


def test_code_of_a_retry(client: Client, served: Server, folder: Path) -> None:
    """The code that is pinned, the project's files as they are now, or another bundle."""
    (folder.parent / "flow.py").write_text("ALPHA = 2")
    for code in ("pinned", "current", "abc"):
        client.retry("run1", failed=True, code=code)
    codes = [wish.body.code for wish in served.wishes if isinstance(wish.body, Retry)]

    assert codes == [None, client.bundle().digest, "abc"]
    assert [path.name for path in client.bundle().folder.iterdir()] == ["flow.py"]


def test_no_answer_in_time(client: Client, log: Log) -> None:
    """Somebody drives the cell, and does not answer: he may be busy, or stopped."""
    with pytest.raises(BackendError) as caught:
        client.pause("run1", wait_s=0.05)

    assert caught.value.retryable
    message = str(caught.value)
    assert message.startswith("the orchestrator of cell 'local' has not answered within 0.05 s\n")
    assert "hint: the wish (number 1) stays in the inbox; it is driven by a test (process " in message


def test_who_is_asked_leaves(client: Client, log: Log) -> None:
    """The wish is taken back: the same command, given again, must not have it carried out twice."""
    asking = threading.Thread(target=lambda: refusals.append(_refusal(lambda: client.start(sweep()))))
    refusals: list[str] = []
    asking.start()
    _until(lambda: client.store.wishes() != [])
    log.lease.release()
    asking.join(timeout=20)

    hint = "\n  hint: nothing was changed; ask again once there is one"
    assert refusals == ["the orchestrator of cell 'local' has left without an answer" + hint]
    assert client.store.wishes() == []


def test_a_wish_that_a_successor_may_have_read_is_not_taken_back(client: Client, store: Store, log: Log) -> None:
    """It has the cell, and would answer a wish that is not there any more."""
    asked_in = store.epoch("local")
    run_id = client.start(sweep(), wait_s=None)
    (wish,) = store.wishes()
    log.lease.release()
    store.acquire("local", "its successor")

    assert not store.withdraw_wish(wish.wish_id, "local", asked_in)
    assert [left.run_id for left in store.wishes()] == [run_id]
    assert store.withdraw_wish(wish.wish_id, "local", asked_in + 1)
    assert not store.withdraw_wish(wish.wish_id, "local", asked_in + 1)


def _refusal(wish: Callable[[], object]) -> str:
    with pytest.raises(ConflictError) as caught:
        wish()
    return str(caught.value)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end


def test_a_run_is_started_with_all_its_parameters(client: Client, served: Server) -> None:
    workflow = sweep().model_copy(
        update={"params": {"alpha": Parameter(type="float"), "beta": Parameter(type="int", default=3, required=False)}}
    )
    run_id = client.start(workflow, {"alpha": 0.5}, texts={"beta": "7"}, code="c1", owner="team")

    (wish,) = served.wishes
    assert (wish.what, wish.run_id) == ("start", run_id)
    assert wish.body == Start(digest(workflow), "c1", {"alpha": 0.5, "beta": 7}, "team")
    stored = Workflow.model_validate_json(client.store.definition(digest(workflow)))
    assert digest(stored) == digest(workflow)
    assert client.start(workflow, {"alpha": 1.0}) != run_id
    assert served.wishes[1].body == Start(digest(workflow), "", {"alpha": 1.0, "beta": 3}, "ada")


MISTAKES: list[tuple[Callable[[Client], object], type[MesonError], str]] = [
    (lambda client: client.cancel("nobody"), NotFoundError, "there is no run 'nobody' in this store"),
    (lambda client: client.hold("run1", "trian"), UnknownNameError, "did you mean 'train'?"),
    (lambda client: client.retry("run1"), ConflictError, "nothing is selected"),
    (
        lambda client: client.skip("run1", instances=[(2,)]),
        NotFoundError,
        "an instance of 'train' has 1 indexes; [2] is none",
    ),
    (lambda client: client.retry("run1", instances=[(9, 1)]), NotFoundError, "[9, 1] does not name an instance"),
    (lambda client: client.send("run1", (0, 1), "x", 1), NotFoundError, "an instance of 'prepare' has 0 indexes"),
    (lambda client: client.settle("run1", (2,), "failed"), NotFoundError, "an instance of 'train' has 1 indexes"),
    (lambda client: client.start(sweep(), {"gamma": 1}), ParameterError, "there is no parameter 'gamma'"),
]


@pytest.mark.parametrize(("wish", "kind", "expected"), MISTAKES, ids=[row[2] for row in MISTAKES])
def test_mistakes_are_found_before_anything_is_wished(
    client: Client, served: Server, wish: Callable[[Client], object], kind: type[MesonError], expected: str
) -> None:
    with pytest.raises(kind, match=re.escape(expected)):
        wish(client)

    assert served.wishes == []
    assert client.store.wishes() == []


def test_ids_are_short_and_differ() -> None:
    ids = {new_run_id() for _ in range(2000)}

    assert len(ids) == 2000
    assert all(re.fullmatch("[a-z][0-9a-z]{9}", run_id) for run_id in ids)
    # What people type: the first six characters are enough among two thousand runs.
    assert len({run_id[:6] for run_id in ids}) > 1990


def test_a_run_belongs_to_its_cell(client: Client, store: Store, log: Log) -> None:
    """A wish about a run goes to the cell that drives it, whichever one new runs of this project are meant for."""
    client.cell = "gpu"
    client.pause("run1", wait_s=None)
    client.start(sweep(), wait_s=None)

    assert [wish.what for wish in store.wishes(cell="local")] == ["pause"]
    assert [wish.what for wish in store.wishes(cell="gpu")] == ["start"]
    assert client.run("run1").state is RunState.running
