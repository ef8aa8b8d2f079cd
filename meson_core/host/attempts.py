"""Owns the attempts in this host: one task for each, from its order to its end, and the messages about them."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from meson_core.errors import MesonError
from meson_core.host import endings, streams
from meson_core.host.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from meson_core.host.kinds import Kinds
    from meson_core.host.link import Link
    from meson_runtime.artifacts import FileStore

VERSION = 1
#: Seconds between two messages about the progress of one attempt.
_PROGRESS_S = 0.5
#: The part of its grace after which a step that clings to its clean-up is cancelled once more.
_SECOND_CALL = 0.8
#: Longest line of a log, in characters; the rest of a longer one is left out.
_MAX_LINE = 64 * 1024


class SecretMissingError(Exception):
    """The executor does not have a secret, or nobody is there to ask."""


class Attempt:
    """One order on its way."""

    __slots__ = ("begun", "killed", "messages", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        #: Its task is at work; a task that is cancelled before that would vanish without a word.
        self.begun = False
        self.messages: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.killed = False


class Attempts:
    """All attempts.

    Args:
        tasks: their tasks are children of this.
        kinds: where step kinds come from.
        threads: for blocking calls.
        artifacts: where `ctx.put` puts things.
        on_idle: called when the last attempt has ended and no more will come.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        kinds: Kinds,
        threads: Executor,
        artifacts: FileStore | None,
        on_idle: Callable[[], None],
    ) -> None:
        self.threads = threads
        self.artifacts = artifacts
        self.link: Link
        self._tasks = tasks
        self._kinds = kinds
        self._on_idle = on_idle
        self._attempts: dict[int, Attempt] = {}
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._questions = 0
        self._news: dict[int, tuple[float | None, str | None]] = {}
        self._leaving = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    # --- from the executor ----------------------------------------------------------------------------------------

    def on_message(self, message: dict[str, Any]) -> None:
        """Do what the executor says.

        Raises:
            KeyError: its protocol does not have this.
        """
        what = message["t"]
        if what == "order":
            number = int(message["n"])
            attempt = self._attempts[number] = Attempt()
            attempt.task = self._tasks.create_task(self._run(number, attempt, message["order"], message["template"]))
        elif what == "kill":
            self._kill(int(message["n"]), float(message["grace_s"]))
        elif what == "message":
            known = self._attempts.get(int(message["n"]))
            if known is not None:
                known.messages.put_nowait((str(message["name"]), message["value"]))
        elif what in ("acked", "secret"):
            self._answer(message)
        elif what == "leave":
            self._leaving = True
            self._look_around()
        else:
            raise KeyError(what)

    def _answer(self, message: Mapping[str, Any]) -> None:
        future = self._asked.pop(int(message["id"]), None)
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(SecretMissingError(str(message["error"])))
        else:
            future.set_result(message.get("value"))

    def _kill(self, number: int, grace_s: float) -> None:
        attempt = self._attempts.get(number)
        if attempt is None or attempt.task is None:
            return
        if not attempt.killed:
            attempt.killed = True
            if attempt.begun:
                attempt.task.cancel()
        # The executor gives up a host whose step does not stop in time; so it is asked again before.
        self._loop.call_later(grace_s * _SECOND_CALL, self._insist, number, attempt)

    def _insist(self, number: int, attempt: Attempt) -> None:
        if self._attempts.get(number) is attempt and attempt.task is not None:
            attempt.task.cancel()

    # --- an attempt -----------------------------------------------------------------------------------------------

    async def _run(self, number: int, attempt: Attempt, order: Mapping[str, Any], template: Mapping[str, Any]) -> None:
        """Run one attempt to its end, and let nothing out: the others go on, whatever it does."""
        attempt.begun = True
        streams.begin(lambda text: self.log(number, text))
        try:
            end = endings.killed() if attempt.killed else await self._end_of(number, attempt, order, template)
        except asyncio.CancelledError as error:
            # Nobody but the executor may cancel an attempt; a step that is cancelled by its own doing has failed.
            end = endings.killed() if attempt.killed else endings.failure(error)
        except BaseException as error:  # noqa: BLE001 (a stranger's code, SystemExit included; it is told as its failure)
            if attempt.killed:
                self.log(number, f"while it was stopped: {type(error).__name__}: {error}")
            end = endings.killed() if attempt.killed else endings.failure(error)
        streams.finish()
        self._tell(number)
        del self._attempts[number]
        self.link.send("end", n=number, end=end)
        self._look_around()

    async def _end_of(
        self, number: int, attempt: Attempt, order: Mapping[str, Any], template: Mapping[str, Any]
    ) -> dict[str, Any]:
        try:
            bound = await self._kinds.bind(template["work"])
        except MesonError as error:
            return endings.refusal(error)
        context = Context(self, number, order, str(template["step"]), bound.kind.capabilities, attempt.messages)
        outputs = await bound.kind.run(bound.options, context)
        return endings.success(outputs, template.get("outputs") or {})

    def _look_around(self) -> None:
        if self._leaving and not self._attempts:
            self._on_idle()

    # --- what contexts need, from whatever thread ---------------------------------------------------------------------

    def progress(self, number: int, fraction: float | None, message: str | None) -> None:
        self._do(self._note, number, fraction, message)

    def log(self, number: int, text: str) -> None:
        shown = text if len(text) <= _MAX_LINE else f"{text[:_MAX_LINE]}… ({len(text) - _MAX_LINE} characters left out)"
        self._do(self._say, "log", number, {"at": time.time(), "text": shown})

    def fact(self, number: int, fact: Mapping[str, Any]) -> None:
        self._do(self._say, "fact", number, {"id": None, "fact": fact})

    async def recorded(self, number: int, fact: Mapping[str, Any]) -> None:
        ident, answer = self._question()
        self._say("fact", number, {"id": ident, "fact": fact})
        await answer

    async def secret(self, name: str) -> str:
        ident, answer = self._question()
        self.link.send("secret", id=ident, name=name)
        return str(await answer)

    def _question(self) -> tuple[int, asyncio.Future[Any]]:
        self._questions += 1
        answer = self._asked[self._questions] = self._loop.create_future()
        return self._questions, answer

    def _note(self, number: int, fraction: float | None, message: str | None) -> None:
        old = self._news.get(number)
        if old is None:
            self._news[number] = (fraction, message)
            self._loop.call_later(_PROGRESS_S, self._tell, number)
        else:
            self._news[number] = (old[0] if fraction is None else fraction, old[1] if message is None else message)

    def _tell(self, number: int) -> None:
        news = self._news.pop(number, None)
        if news is not None:
            self._say("progress", number, {"fraction": news[0], "message": news[1]})

    def _say(self, what: str, number: int, fields: Mapping[str, Any]) -> None:
        if number in self._attempts:  # a thread may outlive its attempt, and goes on talking
            self.link.send(what, n=number, **fields)

    def _do(self, action: Callable[..., None], *args: Any) -> None:
        if threading.get_ident() == self._thread:
            action(*args)
        else:
            self._loop.call_soon_threadsafe(action, *args)
