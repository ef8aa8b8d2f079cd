"""Owns the exhaustiveness of the transition table: a machine is driven through every pair of state and stimulus.

For every state of a step instance, a composite and a run there is a story that leads there. Each stimulus is applied
to it in every variant that may matter. What happens is compared with the table: nothing else may happen, and over all
variants together nothing less.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from meson_core import events as ev
from meson_core.engine import attempts
from meson_core.engine.machine import HANDLERS
from meson_core.engine.table import COMPOSITE_TABLE, RUN_TABLE, STEP_TABLE, Cell, decided
from meson_core.errors import InvalidTransitionError
from meson_core.spec.states import ENDED, Join, RunState, State
from tests.engine.stories import Story, choose, for_each, repeat, step, subworkflow

if TYPE_CHECKING:
    from meson_core.spec.model import Node

Told = list[str]
Act = Callable[[Story], Told]


class Variant(NamedTuple):
    """One way to apply a stimulus.

    Args:
        act: what brings the stimulus about.
        first: what is done before; a variant in which that moves `a` does not count.
    """

    act: Act
    first: Act | None = None


# --- the table itself -----------------------------------------------------------------------------------------------


def test_every_pair_is_decided() -> None:
    assert all(set(row) == set(State) for table in (STEP_TABLE, COMPOSITE_TABLE) for row in table.values())
    assert all(set(row) == set(RunState) for row in RUN_TABLE.values())


def test_a_row_is_complete_and_decides_once() -> None:
    something = Cell("something")
    with pytest.raises(ValueError, match="not decided: paused, cancelling"):
        decided((tuple(s for s in RunState if s.name not in ("paused", "cancelling")), something), every=RunState)
    with pytest.raises(ValueError, match="running is decided twice"):
        decided((tuple(RunState), something), ((RunState.running,), something), every=RunState)


def test_every_event_has_a_handler_and_a_row() -> None:
    events = set(typing.get_args(ev.AnyEvent))
    assert set(HANDLERS) == events
    assert {event.__name__ for event in events} <= {*STEP_TABLE, *COMPOSITE_TABLE, *RUN_TABLE}


def test_the_actions_of_the_table_are_those_of_the_code() -> None:
    named = {cell.action for row in STEP_TABLE.values() for cell in row.values()}
    # What has no attempt under way is moved by its scope.
    assert named - set(attempts.ACTIONS) == {"arrive", "cancel", "imply", "late", "refuse", "reset"}
    assert set(attempts.ACTIONS) <= named


def test_what_has_ended_is_left_by_reopening_only() -> None:
    for table in (STEP_TABLE, COMPOSITE_TABLE):
        for stimulus, row in table.items():
            for state, cell in row.items():
                assert not (ENDED[state] and cell.to) or stimulus == "reopen"


# --- driving --------------------------------------------------------------------------------------------------------


def outcome(story: Story, variant: Variant, cell: Cell, state: State) -> State | None:
    """Apply a stimulus to `a`, which is in `state`: where it went at once, None when it stayed."""
    if variant.first is not None:
        variant.first(story)
    if story.state("a") != state.label:
        return None  # what was done first has moved it already
    before, mark = story.machine.snapshot(), len(story.changes)
    if cell.action == "refuse":
        with pytest.raises(InvalidTransitionError):
            variant.act(story)
        assert story.machine.snapshot() == before
        return None
    if cell.action == "late":
        # Nothing was ever placed, or it was long ago.
        try:
            told = variant.act(story)
        except InvalidTransitionError as error:
            told = [] if "was never made" in error.message else [error.message]
        assert told == []
        assert story.machine.snapshot() == before
        return None
    variant.act(story)
    changes = [change for change in story.changes[mark:] if change.instance == story.instance("a")]
    if cell.action == "ignore":
        assert not changes, [story.change(change) for change in changes]
    if not changes:
        return None
    assert changes[0].before == state
    return changes[0].after


def check(cell: Cell, outcomes: set[State | None], state: State) -> None:
    assert outcomes - {None} == set(cell.to), f"{state.name}: the table says {cell}"


def end_of_the_run(story: Story) -> Told:
    """Everything that runs is killed."""
    told = story.cancelled()
    for attempt in story.machine.live():
        told = story.tell(ev.AttemptKilled(story.now, attempt.instance, attempt.attempt, None))
    return told


def ended(how: str, name: str) -> Act:
    def act(story: Story) -> Told:
        return story.works(name) if how == "works" else story.fails(name)

    return act


def hold(story: Story) -> Told:
    return story.held("a")


# --- step instances ---------------------------------------------------------------------------------------------------


def waiting(**more: Any) -> Story:
    """`a` follows `gate` and `other`; `beside` goes on for ever."""
    story = Story(step("gate"), step("other"), step("beside"), step("a", "gate other", **more))
    story.created()
    story.placed("beside")
    return story


def activated(**more: Any) -> Story:
    story = waiting(**more)
    if more.get("join") is Join.any:
        story.fails("gate")
    else:
        story.works("gate")
    return story


def ready(**more: Any) -> Story:
    story = waiting(**more)
    story.works("gate")
    if more.get("join") is not Join.any:
        story.works("other")
    return story


def placed(**more: Any) -> Story:
    story = ready(**more)
    if more.get("cache"):
        story.absent("a")
    story.placed("a")
    return story


def then(way: Callable[..., Story], *acts: Act, **fixed: Any) -> Callable[..., Story]:
    def story(**more: Any) -> Story:
        told = way(**{**more, **fixed})
        for act in acts:
            act(told)
        return told

    return story


def paused(**more: Any) -> Story:
    story = ready(**more)
    story.held("a")
    return story


def not_chosen(**more: Any) -> Story:
    story = Story(step("gate"), step("other"), choose("fork", step("a", **more), otherwise=step("beside")))
    story.created()
    story.branch("fork", 1)
    return story


STEP_WAYS: dict[State, Callable[..., Story]] = {
    State.waiting: waiting,
    State.activated: activated,
    State.ready: ready,
    State.starting: placed,
    State.running: then(placed, lambda story: story.started("a")),
    State.retrying: then(placed, lambda story: story.failed("a"), retry={"user": 1}),
    State.lost: then(placed, lambda story: story.lost("a")),
    State.paused: paused,
    State.cancelling: then(placed, Story.cancelled),
    State.outcome_unknown: then(placed, lambda story: story.intended("a"), lambda story: story.fenced("a")),
    State.succeeded: then(placed, lambda story: story.succeeded("a")),
    State.skipped: then(waiting, lambda story: story.skipped("a")),
    State.not_chosen: not_chosen,
    State.failed: then(placed, lambda story: story.failed("a", final=True)),
    State.upstream_failed: then(waiting, lambda story: story.fails("gate"), lambda story: story.fails("other")),
    State.cancelled: then(ready, Story.cancelled),
}

SETTINGS: list[dict[str, Any]] = [
    {},
    {"join": Join.any},
    {"retry": {"user": 9, "platform": 9, "timeout": 9}},
    {"retry": {"user": 9, "platform": 9, "timeout": 9, "backoff_s": 0}},
    {"retry": {"user": 9, "platform": 9, "timeout": 9}, "cache": True},
]


def open_gap(story: Story) -> Told:
    return story.intended("a")


def about_a(name: str, *more: Any) -> Act:
    return lambda story: getattr(story, name)("a", *more)


STEP_STIMULI: dict[str, list[Variant]] = {
    "predecessor ended": [
        Variant(ended("works", "gate")),
        Variant(ended("fails", "gate")),
        Variant(ended("works", "other")),
        Variant(ended("fails", "other")),
        Variant(ended("works", "gate"), hold),
        Variant(ended("works", "other"), hold),
    ],
    "stop": [Variant(Story.cancelled)],
    "reopen": [Variant(about_a("reopened")), Variant(about_a("reopened"), end_of_the_run)],
    "InstancesSkipped": [Variant(about_a("skipped")), Variant(lambda story: story.skipped("a[]"))],
    "StepHeld": [Variant(hold)],
    "StepReleased": [Variant(about_a("released")), Variant(about_a("released"), hold)],
    "OutcomeSettled": [
        *(Variant(about_a("settled", verdict)) for verdict in attempts.VERDICTS),
        Variant(about_a("settled", "retry"), hold),
    ],
    "MessageSent": [Variant(about_a("sent"))],
    "TimerFired": [Variant(about_a("waited")), Variant(about_a("waited"), hold)],
    "EvaluationFailed": [Variant(about_a("not_evaluated"))],
    "ResultFound": [Variant(about_a("present")), Variant(about_a("present"), hold)],
    "ResultMissing": [Variant(about_a("absent")), Variant(about_a("absent"), hold)],
    "AttemptPlaced": [Variant(about_a("placed"))],
    "AttemptStarted": [Variant(about_a("started"))],
    "AttemptSucceeded": [Variant(about_a("succeeded"))],
    "AttemptFailed": [
        Variant(about_a("failed")),
        Variant(about_a("failed"), hold),
        Variant(about_a("failed", "platform")),
        Variant(about_a("failed", "timeout"), open_gap),
    ],
    "AttemptReturned": [Variant(about_a("given_back")), Variant(about_a("given_back"), hold)],
    "AttemptLost": [Variant(about_a("lost"))],
    "AttemptFound": [Variant(about_a("found")), Variant(about_a("found"), about_a("lost"))],
    "AttemptFenced": [
        Variant(about_a("fenced")), Variant(about_a("fenced"), hold), Variant(about_a("fenced"), open_gap),
    ],
    "AttemptKilled": [
        Variant(about_a("killed")), Variant(about_a("killed"), hold), Variant(about_a("killed"), open_gap),
    ],
    "SubmissionIntended": [Variant(about_a("intended"))],
    "JobRemembered": [Variant(about_a("remembered"))],
    "ValueEmitted": [Variant(lambda story: story.tell(ev.ValueEmitted(1.0, *story.attempt("a"), "x", ev.NULL)))],
    "LinkShown": [Variant(lambda story: story.tell(ev.LinkShown(1.0, *story.attempt("a"), "x", "http://x")))],
}  # fmt: skip

#: The preparation of a variant may be a bug in itself where no attempt can be under way; then it says nothing.
WITH_AN_ATTEMPT = {State.starting, State.running, State.lost, State.cancelling}


@pytest.mark.parametrize("state", list(State), ids=lambda state: state.name)
@pytest.mark.parametrize("stimulus", [stimulus for stimulus in STEP_TABLE if stimulus != "never opened"])
def test_a_step_does_what_the_table_says(stimulus: str, state: State) -> None:
    outcomes: set[State | None] = set()
    for more in SETTINGS:
        for variant in STEP_STIMULI[stimulus]:
            if variant.first not in (None, hold, end_of_the_run) and state not in WITH_AN_ATTEMPT:
                continue
            if more.get("cache") and stimulus == "AttemptPlaced" and state is State.ready:
                continue  # it is in no queue: see `test_restoring.py`
            story = STEP_WAYS[state](**more)
            assert story.state("a") == state.label
            if stimulus == "predecessor ended" and not _can_end(story, variant):
                continue
            outcomes.add(outcome(story, variant, STEP_TABLE[stimulus][state], state))
            story.check()
    check(STEP_TABLE[stimulus][state], outcomes, state)


def _can_end(story: Story, variant: Variant) -> bool:
    """Whether the predecessor that is to end is still ready."""
    name = (
        "gate"
        if variant.act.__closure__ and "gate" in [cell.cell_contents for cell in variant.act.__closure__]
        else "other"
    )
    return story.state(name) == "ready"


# --- composites -----------------------------------------------------------------------------------------------------

KINDS: dict[str, tuple[Callable[..., Node], str]] = {
    "for_each": (for_each, "{}[0]"),
    "repeat": (repeat, "{}[0]"),
    "choose": (lambda name, *body, **more: choose(name, body, **more), "{}"),
    "subworkflow": (subworkflow, "a.{}"),
}


class Kind(NamedTuple):
    """How a composite `a` with the steps `inner` and `more` in it is told of."""

    name: str

    def story(self, **more: Any) -> Story:
        make, _ = KINDS[self.name]
        body = (step("inner"), step("more"))
        story = Story(step("gate"), step("other"), step("beside"), make("a", *body, after="gate other", **more))
        story.created()
        story.placed("beside")
        return story

    def inner(self, name: str) -> str:
        return KINDS[self.name][1].format(name)

    def answer(self, story: Story) -> None:
        """Its steps are ready."""
        if self.name == "for_each":
            story.items("a", 1)
        elif self.name == "choose":
            story.branch("a", 0)

    def judge(self, story: Story) -> Told:
        return story.judged("a", 0, done=True) if self.name == "repeat" else []

    def way(self, state: State, **more: Any) -> Story:
        """A story in which `a` is in this state; when it runs, its question is still open."""
        if state is State.not_chosen:
            make, _ = KINDS[self.name]
            fork = choose("fork", make("a", step("inner")), otherwise=step("beside"))
            story = Story(step("gate"), step("other"), fork)
            story.created()
            story.branch("fork", 1)
            return story
        story = self.story(**more)
        any_join = more.get("join") is Join.any
        if state is State.activated:
            (story.fails if any_join else story.works)("gate")
        elif state is State.skipped:
            story.skipped("a")
        elif state is State.upstream_failed:
            story.fails("gate")
            story.fails("other")
        elif state is not State.waiting:
            story.works("gate")
            if not any_join:
                story.works("other")
            self.begun(story, state)
        return story

    def begun(self, story: Story, state: State) -> None:
        if state is State.cancelling:
            self.answer(story)
            story.placed(self.inner("inner"))
            story.cancelled()
        elif state is State.succeeded:
            self.answer(story)
            story.works(self.inner("inner"), self.inner("more"))
            self.judge(story)
        elif state is State.failed:
            self.answer(story)
            story.works(self.inner("more"))
            story.fails(self.inner("inner"))
        elif state is State.cancelled:
            story.cancelled()


def inner_ends(kind: Kind, how: str) -> Act:
    def act(story: Story) -> Told:
        name = kind.inner("inner")
        if story.state(name) == "ready":
            story.placed(name)
        told = story.succeeded(name) if how == "works" else story.failed(name, final=True)
        return told + kind.judge(story) if "evaluate iteration of a 0" in told else told

    return act


def last_one_left(kind: Kind, how: str, *, stopping: bool) -> Story:
    """Of the two steps inside, only `inner` is left; `more` has worked, failed or stayed cancelled."""
    story = kind.way(State.running)
    kind.answer(story)
    inner, more = kind.inner("inner"), kind.inner("more")
    if how == "cancelled":
        end_of_the_run(story)
        story.reopened(selected(inner))
    elif how == "works":
        story.works(more)
    else:
        story.fails(more)
    if stopping:
        story.placed(inner)
        story.cancelled()
    return story


def selected(name: str) -> str:
    """As an instance, not as a node."""
    return name if "[" in name else f"{name}[]"


def composite_variants(kind: Kind, stimulus: str) -> list[Variant]:
    """The ways to apply a stimulus to this kind; none when it has no such question."""
    answers: dict[str, tuple[str, list[Act]]] = {
        "ItemsResolved": ("for_each", [lambda story: story.items("a", 0), lambda story: story.items("a", 2)]),
        "BranchChosen": ("choose", [lambda story: story.branch("a", 0), lambda story: story.branch("a", -1)]),
        "IterationJudged": (
            "repeat",
            [lambda story: story.judged("a", 0, done=True), lambda story: story.judged("a", 0, done=False)],
        ),
    }
    if stimulus in answers:
        name, acts = answers[stimulus]
        return [Variant(act) for act in acts] if name == kind.name else []
    inner = selected(kind.inner("inner"))
    return {
        "predecessor ended": STEP_STIMULI["predecessor ended"],
        "stop": STEP_STIMULI["stop"],
        "InstancesSkipped": STEP_STIMULI["InstancesSkipped"],
        "EvaluationFailed": STEP_STIMULI["EvaluationFailed"],
        "reopen": [
            *STEP_STIMULI["reopen"],
            Variant(lambda story: story.reopened(inner), end_of_the_run),
            Variant(lambda story: story.reopened(failed=True), end_of_the_run),
        ],
    }[stimulus]


#: Stimuli that need a story of their own to be brought about.
OF_ITS_OWN = ("scope ended", "never opened")
COMPOSITE_STATES = [
    state for state in State if COMPOSITE_TABLE["stop"][state].why != "a composite is never in this state"
]


@pytest.mark.parametrize("state", COMPOSITE_STATES, ids=lambda state: state.name)
@pytest.mark.parametrize("stimulus", [stimulus for stimulus in COMPOSITE_TABLE if stimulus not in OF_ITS_OWN])
def test_a_composite_does_what_the_table_says(stimulus: str, state: State) -> None:
    cell = COMPOSITE_TABLE[stimulus][state]
    outcomes: set[State | None] = set()
    for kind in map(Kind, KINDS):
        for variant in composite_variants(kind, stimulus):
            for more in _composite_settings(kind, stimulus):
                story = kind.way(state, **more)
                assert story.state("a") == state.label
                if stimulus == "predecessor ended" and not _can_end(story, variant):
                    continue
                if stimulus == "IterationJudged" and state is State.running:
                    story.works("inner[0]", "more[0]")
                outcomes.add(outcome(story, variant, cell, state))
                story.check()
    check(cell, outcomes, state)


def _composite_settings(kind: Kind, stimulus: str) -> list[dict[str, Any]]:
    if stimulus == "predecessor ended":
        return [{}, {"join": Join.any}]
    if stimulus == "IterationJudged":
        return [{"max_iterations": most, "on_exhausted": what} for most in (1, 2) for what in ("continue", "fail")]
    return [{}]


@pytest.mark.parametrize("state", [State.running, State.cancelling], ids=lambda state: state.name)
def test_a_composite_ends_as_the_table_says(state: State) -> None:
    cell = COMPOSITE_TABLE["scope ended"][state]
    outcomes: set[State | None] = set()
    for kind in map(Kind, KINDS):
        for before in ("works", "fails", "cancelled"):
            for how in ("works", "fails"):
                story = last_one_left(kind, before, stopping=state is State.cancelling)
                assert story.state("a") == state.label
                outcomes.add(outcome(story, Variant(inner_ends(kind, how)), cell, state))
                story.check()
    check(cell, outcomes, state)


@pytest.mark.parametrize("inside", ["step", *KINDS])
def test_what_never_opened_ends_as_the_table_says(inside: str) -> None:
    def told(act: Act) -> State:
        """`a` stands in a choose that stands in a subworkflow that waits for `gate`."""
        node = step("a") if inside == "step" else KINDS[inside][0]("a", step("inner"))
        fork = choose("fork", node, otherwise=step("b"))
        story = Story(step("gate"), subworkflow("sub", fork, after="gate"))
        story.created()
        assert story.state("sub.a") == "waiting"
        act(story)
        story.check()
        return story.machine.state_of(story.instance("sub.a"))

    assert told(lambda story: story.skipped("sub")) is State.skipped
    assert told(lambda story: story.fails("gate")) is State.upstream_failed
    assert told(Story.cancelled) is State.cancelled
    assert told(lambda story: story.works("gate") + story.branch("sub.fork", 1)) is State.not_chosen
    assert told(lambda story: story.works("gate") + story.not_evaluated("sub.fork")) is State.upstream_failed
    table = STEP_TABLE if inside == "step" else COMPOSITE_TABLE
    ends = {State.skipped, State.upstream_failed, State.cancelled, State.not_chosen}
    assert set(table["never opened"][State.waiting].to) == ends
