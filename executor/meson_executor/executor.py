"""Owns the attempts: what is queued, what is at work, how each one ended, and the resources that they hold."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Protocol

from meson_executor import protocol
from meson_executor.orders import (
    ENDED,
    PROCESSES,
    QUEUED,
    RUNNING,
    STATE_NAMES,
    Attempt,
    Need,
    Template,
    key_text,
    parse_template,
    quick_key,
)
from meson_executor.protocol import Key, Message, WireError, failure

if TYPE_CHECKING:
    from meson_executor.facts import Facts
    from meson_executor.loop import Loop

_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
#: Sums of fractions of a core are not exact.
_EPSILON = 1e-9
#: Processes that attempts may have at the same time, whatever they ask for.
_MIN_PROCESSES = 32.0
_PROCESSES_PER_CPU = 16.0


class Runner(Protocol):
    """What attempts of one sort of work run in."""

    def start(self, attempt: Attempt) -> None:
        """Begin; its resources are reserved."""

    def stop(self, attempt: Attempt, grace_s: float) -> None:
        """TERM now, KILL after `grace_s`; also called again, with a shorter grace. `attempt.stopping` says why."""

    def deliver(self, attempt: Attempt, name: str, value: Any) -> None:
        """Pass on a message."""

    def samples(self) -> list[tuple[Key, float | None, str | None]]:
        """Fractions and messages that are news since the last call."""


class Ahead(Protocol):
    """What can take attempts before there are resources for them: workers, behind the attempt at work."""

    def hand_over(self, queue: deque[Attempt]) -> None:
        """Take from the head of the queue what fits behind attempts at work; what has ended there is passed over."""

    def recall(self, attempt: Attempt) -> None:
        """Give back to the queue what waits behind `attempt`, which takes longer than expected."""

    def withdraw(self, attempt: Attempt) -> bool:
        """Take back `attempt`; False if it has begun or was never handed over."""


class Executor:
    """The table of attempts.

    Args:
        loop: where to wait.
        facts: the way up.
        totals: what this machine has to give, by name.
        on_idle: called when the last attempt has ended.
    """

    def __init__(self, loop: Loop, facts: Facts, totals: dict[str, float], on_idle: Callable[[], None]) -> None:
        self._loop = loop
        self._facts = facts
        self._on_idle = on_idle
        self.totals = totals
        self._limits = {**totals, PROCESSES: max(_MIN_PROCESSES, _PROCESSES_PER_CPU * totals.get("cpus", 0.0))}
        self._free = dict(self._limits)
        self._templates: dict[str, Template] = {}
        self.attempts: dict[Key, Attempt] = {}
        self._queue: deque[Attempt] = deque()
        #: Attempts that have begun lately, with the time at which their start is told if they still run.
        self._young: deque[tuple[float, Attempt]] = deque()
        self._watching_young = False
        self._changed = False
        #: How many are queued or at work.
        self.under_way = 0
        self.draining = False
        self.runners: dict[str, Runner] = {}
        self.ahead: Ahead | None = None
        #: Ended in an earlier incarnation and not in the log yet.
        self._inherited: dict[Key, str] = {}

    # --- orders ---------------------------------------------------------------------------------------------------

    def inherit(self, keys: list[Key]) -> None:
        """Know again the attempts that ended in an earlier incarnation."""
        self._inherited.update((key, key_text(key)) for key in keys)

    def standing(self) -> str:
        """All attempts that are known, as JSON for the welcome."""
        rows = [f'[{attempt.text},"{STATE_NAMES[attempt.state]}"]' for attempt in self.attempts.values()]
        rows.extend(f'[{text},"ended"]' for text in self._inherited.values())
        return "[{}]".format(",".join(rows))

    def forget_templates(self) -> None:
        """A new session sends its templates itself; keep only those of attempts that are here."""
        used = {attempt.template.template_id for attempt in self.attempts.values()}
        self._templates = {name: template for name, template in self._templates.items() if name in used}

    def add_templates(self, raw: dict[str, Any]) -> None:
        for template_id, body in raw.items():
            known = self._templates.get(template_id)
            if known is None or known.raw != body:
                self._templates[template_id] = parse_template(template_id, body)

    def launch(self, orders: list[Message]) -> None:
        """Queue what is not known yet.

        Raises:
            WireError: an order that is not one.
        """
        attempts = self.attempts
        for order in orders:
            try:
                key = quick_key(order["key"])
                template_id = order["step"]
                if key in attempts or key in self._inherited:
                    continue
                template = self._templates.get(template_id)
                attempt = Attempt(key, template or _UNKNOWN, order)
            except (KeyError, TypeError) as error:
                raise WireError("not an order (%r): %.200r" % (error, order)) from None
            attempts[key] = attempt
            self.under_way += 1
            if template is None:
                self.fail(
                    attempt,
                    "platform",
                    failure("launch", f"the order names the template {template_id!r}, which was not sent"),
                )
            elif self.draining:
                self._end(attempt, _RETURNED)
            else:
                self._queue.append(attempt)
        self._changed = True

    def kill(self, key: Key, grace_s: float) -> None:
        """Stop an attempt: one that has not begun ends at once; one that is not known, or has ended, is left alone."""
        attempt = self.attempts.get(key)
        if attempt is None or attempt.state == ENDED:
            return
        if attempt.state == QUEUED and self._unqueue(attempt):
            self._end(attempt, '"f":"killed","began":null')
        else:
            self.stop(attempt, "kill", grace_s)

    def stop(self, attempt: Attempt, why: str, grace_s: float) -> None:
        """Stop an attempt that has begun; the first reason counts, and the shortest grace."""
        if attempt.stopping is None:
            attempt.stopping = why
        self.runners[attempt.template.kind].stop(attempt, grace_s)

    def forget(self, key: Key, reason: str) -> None:
        """Give back an attempt if it has not begun."""
        attempt = self.attempts.get(key)
        if attempt is not None and attempt.state == QUEUED and self._unqueue(attempt):
            self._end(attempt, f'"f":"returned","reason":{_dumps(reason)}')

    def deliver(self, key: Key, name: str, value: Any) -> None:
        """Pass a message on to an attempt, now or when it begins."""
        attempt = self.attempts.get(key)
        if attempt is None or attempt.state == ENDED:
            return
        if attempt.state == QUEUED:
            if attempt.inbox is None:
                attempt.inbox = []
            attempt.inbox.append((name, value))
        else:
            self.runners[attempt.template.kind].deliver(attempt, name, value)

    def drain(self) -> None:
        """Give back what has not begun and take nothing more."""
        self.draining = True
        for attempt in [found for found in self.attempts.values() if found.state == QUEUED]:
            self.forget(attempt.key, "the executor drains")

    def stop_all(self, why: str, grace_s: float | None) -> None:
        """Stop everything; `grace_s` None: as each step says."""
        self.draining = True
        for attempt in list(self.attempts.values()):
            if attempt.state == ENDED:
                continue
            if attempt.state == QUEUED and self._unqueue(attempt):
                killed = '"f":"killed","began":null'
                self._end(attempt, killed if why == "kill" else '"f":"returned","reason":"the executor ends"')
            else:
                self.stop(attempt, why, attempt.template.grace_s if grace_s is None else grace_s)

    def acknowledged(self, key: Key) -> None:
        """The end of this attempt is in the log."""
        self.attempts.pop(key, None)
        self._inherited.pop(key, None)

    def requeue(self, attempts: list[Attempt]) -> None:
        """Take back attempts that were handed over and have not begun; they keep their turn."""
        back = []
        for attempt in attempts:
            attempt.runner = None
            if attempt.state == RUNNING:
                # It was thought to have begun when the one before it had ended.
                attempt.state = QUEUED
                attempt.began = None
                if attempt.timer is not None:
                    attempt.timer.cancel()
                    attempt.timer = None
            if attempt.stopping is not None:
                self.stopped(attempt)
            elif self.draining:
                self._end(attempt, _RETURNED)
            else:
                back.append(attempt)
        if back:
            self._queue.extendleft(reversed(back))
            self._changed = True

    def wake(self) -> None:
        """Look at the queue again at the end of this turn."""
        self._changed = True

    def status(self) -> Message:
        counts = [0, 0, 0]
        for attempt in self.attempts.values():
            counts[attempt.state] += 1
        return {
            "attempts": dict(zip(STATE_NAMES, counts)),
            "totals": self.totals,
            "free": {name: self._free[name] for name in self.totals},
            "draining": self.draining,
        }

    # --- what runners tell ----------------------------------------------------------------------------------------

    def began(self, attempt: Attempt, at: float) -> None:
        """It is at work from now on."""
        attempt.state = RUNNING
        attempt.began = at
        self._young.append((self._loop.now + protocol.STARTED_AFTER_S, attempt))
        timeout_s = attempt.template.timeout_s
        if timeout_s is not None:
            attempt.timer = self._loop.after(timeout_s, lambda: self._on_timeout(attempt))
        if attempt.inbox is not None:
            for name, value in attempt.inbox:
                self.runners[attempt.template.kind].deliver(attempt, name, value)
            attempt.inbox = None

    def succeed(self, attempt: Attempt, outputs: str, at: float) -> None:
        """It is done; `outputs` is a JSON object. A success that comes while it is being stopped is one all the same."""
        self._end(attempt, f'"f":"succeeded","began":{attempt.began or at:.6f},"outputs":{outputs}', at)

    def fail(self, attempt: Attempt, cause: str, why: Message, final: bool = False, after_s: float = 0.0) -> None:
        """It has ended without a result, by itself."""
        if attempt.stopping is not None:
            self.stopped(attempt)
            return
        self._fail(attempt, cause, why, final, after_s)

    def stopped(self, attempt: Attempt) -> None:
        """It has ended because it was stopped, and nothing of it is left."""
        if attempt.stopping == "timeout":
            message = "it did not end within %g s" % (attempt.template.timeout_s or 0)
            self._fail(attempt, "timeout", failure("timeout", message))
        elif attempt.stopping == "memory":
            message = f"it used more than its {_bytes(attempt.template.memory)} of memory"
            self._fail(attempt, "user", failure("out of memory", message))
        elif attempt.stopping == "lease":
            self.fence(attempt, "the executor did not hear of any orchestrator for too long, and killed it")
        elif attempt.stopping == "end":
            self.fence(attempt, "the executor had to end, and killed it")
        else:
            began = "null" if attempt.began is None else f"{attempt.began:.6f}"
            self._end(attempt, f'"f":"killed","began":{began}')

    def fence(self, attempt: Attempt, reason: str) -> None:
        """It is certainly gone, and what became of it is not known."""
        self._end(attempt, f'"f":"fenced","reason":{_dumps(reason)}')

    def fact(self, attempt: Attempt, fields: str, then: Callable[[], None] | None = None) -> None:
        """Something happened to an attempt at work; `fields` are its JSON without braces."""
        self.tell_start(attempt)
        self._facts.add(f'{{{fields},"k":{attempt.text},"at":{time.time():.6f}}}', None, then, urgent=True)

    def tell_start(self, attempt: Attempt) -> None:
        """Make sure that its start is told before what follows."""
        if not attempt.told and attempt.began is not None:
            attempt.told = True
            self._facts.add(f'{{"f":"started","k":{attempt.text},"at":{attempt.began:.6f}}}')

    def release(self, need: Need) -> None:
        """Give resources back."""
        free = self._free
        for name, amount in need:
            free[name] += amount
        self._changed = True

    # --- inside ---------------------------------------------------------------------------------------------------

    def _fail(self, attempt: Attempt, cause: str, why: Message, final: bool = False, after_s: float = 0.0) -> None:
        began = "null" if attempt.began is None else f"{attempt.began:.6f}"
        tail = ',"final":true' if final else ""
        if after_s > 0:
            tail += f',"after_s":{after_s:.3f}'
        self._end(attempt, f'"f":"failed","began":{began},"cause":"{cause}","failure":{_dumps(why)}{tail}')

    def _end(self, attempt: Attempt, fields: str, at: float | None = None) -> None:
        attempt.state = ENDED
        attempt.runner = None
        if attempt.timer is not None:
            attempt.timer.cancel()
            attempt.timer = None
        self._facts.add(f'{{{fields},"k":{attempt.text},"at":{at or time.time():.6f}}}', attempt.key)
        self.under_way -= 1
        if not self.under_way:
            self._on_idle()

    def _unqueue(self, attempt: Attempt) -> bool:
        """Make sure that it will not begin; False if that is too late.

        In the queue itself it stays, as one that has ended: whoever comes to it passes over it.
        """
        return attempt.runner is None or (self.ahead is not None and self.ahead.withdraw(attempt))

    def _on_timeout(self, attempt: Attempt) -> None:
        if attempt.state == RUNNING and attempt.stopping is None:
            self.stop(attempt, "timeout", attempt.template.grace_s)

    def end_turn(self) -> None:
        """Start what there is room for now; called at the end of each turn."""
        if self._changed:
            self._changed = False
            self._admit()
        if self._young and not self._watching_young:
            self._watching_young = True
            self._loop.after(self._young[0][0] - self._loop.now, self._on_grown)

    def _admit(self) -> None:
        queue = self._queue
        free = self._free
        while queue:
            attempt = queue[0]
            if attempt.state == ENDED:
                queue.popleft()
                continue
            need = attempt.template.need
            lacking = [name for name, amount in need if free.get(name, 0.0) + _EPSILON < amount]
            if lacking:
                if not self._refuse(attempt, lacking):
                    break
                continue
            queue.popleft()
            for name, amount in need:
                free[name] -= amount
            self.runners[attempt.template.kind].start(attempt)
        if queue and self.ahead is not None:
            self.ahead.hand_over(queue)

    def _refuse(self, attempt: Attempt, lacking: list[str]) -> bool:
        """Fail an attempt that could wait for ever."""
        amounts = dict(attempt.template.need)
        for name in lacking:
            total = self._limits.get(name, 0.0)
            if total + _EPSILON < amounts[name]:
                self._queue.popleft()
                message = f"it asks for {name} = {amounts[name]:g}, and this machine has {total:g}"
                self.fail(attempt, "platform", failure("launch", message))
                return True
        return False

    def _on_grown(self) -> None:
        self._watching_young = False
        young = self._young
        now = self._loop.now
        while young and young[0][0] <= now:
            attempt = young.popleft()[1]
            if attempt.state == RUNNING:
                self.tell_start(attempt)
                if self.ahead is not None:
                    self.ahead.recall(attempt)


_RETURNED = '"f":"returned","reason":"the executor drains"'


def _bytes(amount: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if amount >= size:
            return f"{amount / size:.4g} {unit}"
    return "%d bytes" % amount


#: Of orders whose own template was not sent; they fail before anything is made of it.
_UNKNOWN = Template("", {"work": {"w": "program"}})
