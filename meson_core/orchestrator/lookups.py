"""Owns the answers to the question whether a result is there already.

All questions of a turn are answered together, with one query, and so are those that come up by the answers. A result that
holds artifacts is there only while their bytes are: these are asked for in a thread, and the answer comes when that is known.
Who asks is ready meanwhile, and is asked for again after a restart.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from meson_core.errors import MesonError
from meson_core.events import EvaluationFailed, Failure, ResultFound, ResultMissing
from meson_core.orchestrator.context import ArtifactNeededError, describe
from meson_core.orchestrator.fingerprints import Keys
from meson_core.spec.model import Step
from meson_core.spec.states import State
from meson_core.spec.types import check_value, parse_type
from meson_core.store.artifacts import artifacts_in, may_have_artifacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.commands import LookUp
    from meson_core.events import AnyEvent
    from meson_core.orchestrator.clock import Clock
    from meson_core.orchestrator.feeding import Feeder
    from meson_core.orchestrator.fingerprints import Facts
    from meson_core.orchestrator.incoming import Incoming
    from meson_core.orchestrator.runs import ActiveRun
    from meson_core.ports import ArtifactStore
    from meson_core.store.store import Store

logger = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _Question(NamedTuple):
    """A question with its key.

    Args:
        facts: what went into the key.
    """

    run: ActiveRun
    command: LookUp
    key: str
    facts: Facts


class _Found(NamedTuple):
    """A result that is there if its artifacts are.

    Args:
        run_id: the run that made it.
        outputs: JSON object.
        digests: of its artifacts.
    """

    question: _Question
    run_id: str
    outputs: bytes
    digests: tuple[str, ...]


class Lookups:
    """Answers for all runs of a cell.

    Args:
        store: where results are.
        artifacts: where their bytes are.
        runs: runs under way, by id.
        feeder: has the questions, and takes the answers.
        incoming: takes what could not be done at once.
        clock: where time comes from.
        tasks: owner of the threads' tasks.
    """

    def __init__(
        self,
        *,
        store: Store,
        artifacts: ArtifactStore,
        runs: dict[str, ActiveRun],
        feeder: Feeder,
        incoming: Incoming,
        clock: Clock,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._runs = runs
        self._feeder = feeder
        self._incoming = incoming
        self._clock = clock
        self._tasks = tasks
        self._keys = Keys()

    def answer(self) -> None:
        """Answer what was asked, and what comes up by the answers."""
        found: list[_Found] = []
        while self._feeder.asked:
            asked, self._feeder.asked = self._feeder.asked, []
            questions = [question for run, command in asked if (question := self._question(run, command)) is not None]
            if questions:
                found.extend(self._look(questions))
        if found:
            self._tasks.create_task(self._verify(found), name="are the artifacts of results there")

    # --- questions ----------------------------------------------------------------------------------------------------

    def _question(self, run: ActiveRun, command: LookUp) -> _Question | None:
        """The question with its key; None when it is answered without one, or cannot be answered now."""
        if not self._is_open(run, command):
            return None
        if run.described is None:
            run.unanswered.append(command)
            return None
        instance, now = command.instance, self._clock.now()
        kept = run.described[instance[0]].kept
        if kept is None:
            self._missing(run, command, "", "its step cannot be launched", {})
            return None
        try:
            key, facts = self._keys.key(kept, run.context.artifact_id(instance), run.context.inputs(instance))
        except ArtifactNeededError as needed:
            run.asked.append(command)
            self._feeder.want(run, needed.digest)
            return None
        except MesonError as error:
            failure = Failure("evaluation", describe(error))
            self._feeder.feed(run, EvaluationFailed(now, instance, failure))
            return None
        if run.code:
            facts["bundle"] = run.code  # to be compared file by file
        if kept.refusal:
            self._missing(run, command, "", kept.refusal, facts)
        elif command.fresh:
            self._missing(run, command, key, "it is to be made anew", facts)
        else:
            return _Question(run, command, key, facts)
        return None

    def _is_open(self, run: ActiveRun, command: LookUp) -> bool:
        return self._runs.get(run.run_id) is run and run.state_of(command.instance) is State.ready

    # --- answers ------------------------------------------------------------------------------------------------------

    def _look(self, questions: Sequence[_Question]) -> list[_Found]:
        """Answer what can be answered at once; the rest depends on bytes."""
        later = []
        stored = self._store.results({question.key for question in questions})
        for question in questions:
            if not self._is_open(question.run, question.command):
                continue  # an answer before it has ended it, or it was asked twice
            made = self._feeder.made_now(question.key)
            row = stored.get(question.key)
            if made is None and row is not None:
                made = (row.run_id, row.outputs)
            if made is None:
                self._missing(question.run, question.command, question.key, _none_of(question.facts), question.facts)
                continue
            run_id, outputs = made
            problem = _misfit(question, outputs)
            if problem:
                why = f"the result of run {run_id} does not fit: {problem}"
                self._missing(question.run, question.command, question.key, why, question.facts)
                continue
            digests = _digests(outputs)
            if digests:
                later.append(_Found(question, run_id, outputs, digests))
            else:
                self._there(question, run_id, outputs)
        return later

    async def _verify(self, found: Sequence[_Found]) -> None:
        gone = await asyncio.to_thread(self._gone, sorted({digest for one in found for digest in one.digests}))
        self._incoming.settle(lambda: self._verified(found, gone))

    def _gone(self, digests: Sequence[str]) -> dict[str, str]:
        """Those whose bytes cannot be had, with the reason."""
        gone = {}
        for digest in digests:
            try:
                if not self._artifacts.claim(digest):  # so that no prune takes it before the answer is in the log
                    gone[digest] = "is gone"
            except (MesonError, OSError) as error:
                logger.warning("whether the artifact %s is there is not known: %s", digest, error)
                gone[digest] = f"cannot be asked for ({error})"
        return gone

    def _verified(self, found: Sequence[_Found], gone: dict[str, str]) -> None:
        for one in found:
            question = one.question
            if not self._is_open(question.run, question.command):
                continue
            missing = next((digest for digest in one.digests if digest in gone), None)
            if missing is None:
                self._there(question, one.run_id, one.outputs)
            else:
                why = f"the artifact {missing} of the result of run {one.run_id} {gone[missing]}"
                self._missing(question.run, question.command, question.key, why, question.facts)

    def _there(self, question: _Question, run_id: str, outputs: bytes) -> None:
        command = question.command
        event: AnyEvent = ResultFound(
            self._clock.now(),
            command.instance,
            command.attempt,
            question.key,
            run_id,
            msgspec.Raw(outputs),
            msgspec.Raw(_encode(question.facts)),
        )
        self._feeder.feed(question.run, event)

    def _missing(self, run: ActiveRun, command: LookUp, key: str, why: str, facts: Facts) -> None:
        event = ResultMissing(
            self._clock.now(), command.instance, command.attempt, key, why, msgspec.Raw(_encode(facts))
        )
        self._feeder.feed(run, event)


def _none_of(facts: Facts) -> str:
    """Nothing was found under a key of these."""
    if "kind" not in facts:
        return f"there is no result {facts['artifact']} yet"
    return "no earlier result was made of the same"


def _misfit(question: _Question, outputs: bytes) -> str:
    """What the step declares that a result of before does not have; "" when it fits."""
    spec = question.run.definition.plan.nodes[question.command.instance[0]].spec
    assert isinstance(spec, Step)
    values = _decode(outputs)
    for name, declared in spec.outputs.items():
        if name not in values:
            return f"it has no output {name!r}"
        problem = check_value(values[name], parse_type(declared))
        if problem is not None:
            return f"output {name!r}: {problem}"
    return ""


def _digests(outputs: bytes) -> tuple[str, ...]:
    if not may_have_artifacts(outputs):
        return ()
    return tuple(dict.fromkeys(value["$artifact"] for _, value in artifacts_in(_decode(outputs), "")))
