"""Owns templates and attempts as the executor holds them: what was ordered, and how it stands."""

from __future__ import annotations

import itertools
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from meson_executor.protocol import Key, Message, WireError, key_of

if TYPE_CHECKING:
    from meson_executor.loop import Timer

#: Amounts to reserve, by name, sorted: equal requests are one object, so comparing them is comparing addresses.
Need = tuple[tuple[str, float], ...]

QUEUED = 0
RUNNING = 1
ENDED = 2
#: Why an attempt is stopped: by order, by its own limits, because no orchestrator was heard for too long, or because the
#: executor itself has to end.
STOPS = ("kill", "timeout", "memory", "lease", "end")
#: Sorts of work, each with its runner.
KINDS = ("program", "python", "host")
STATE_NAMES = ("queued", "running", "ended")

#: A quantity that is not ordered: each program and worker is one, so that attempts that ask for nothing do not get a
#: process each, however many they are.
PROCESSES = "processes"

_serials = itertools.count(1)
_needs: dict[Need, Need] = {}


class Template:
    """What the attempts of one step have in common; see `protocol` for the fields."""

    __slots__ = (
        "code",
        "grace_s",
        "isolate",
        "kind",
        "memory",
        "need",
        "outputs",
        "project",
        "raw",
        "seconds",
        "serial",
        "step",
        "template_id",
        "timeout_s",
        "work",
    )

    def __init__(self, template_id: str, raw: Message) -> None:
        limits = raw.get("limits") or {}
        resources = raw.get("resources") or {}
        self.template_id = template_id
        #: Told apart by it, within this process: an id may be sent again with another meaning.
        self.serial = next(_serials)
        self.raw = raw
        self.step: str = raw.get("step") or template_id
        self.code: str = raw.get("code") or ""
        self.project: str = raw.get("project") or ""
        self.memory = int(limits.get("memory") or 0)
        self.timeout_s: float | None = limits.get("timeout_s")
        self.grace_s = float(raw.get("grace_s") or 0.0)
        self.isolate = bool(raw.get("isolate"))
        self.outputs: dict[str, str] = raw.get("outputs") or {}
        self.work: Message = raw["work"]
        self.kind: str = self.work["w"]
        if self.kind not in KINDS:
            raise ValueError("there is no work %r; there are %s" % (self.kind, ", ".join(KINDS)))
        wanted = {str(name): float(amount) for name, amount in resources.items() if amount}
        if self.kind != "host":
            wanted[PROCESSES] = 1.0
        need = tuple(sorted(wanted.items()))
        self.need: Need = _needs.setdefault(need, need)
        #: How long its attempts took lately; None while none has ended. Decides what is handed over ahead.
        self.seconds: float | None = None

    def took(self, seconds: float) -> None:
        """Learn from an attempt that ended."""
        self.seconds = seconds if self.seconds is None else 0.8 * self.seconds + 0.2 * seconds


def parse_template(template_id: str, raw: Any) -> Template:
    """A template from the wire.

    Raises:
        WireError: a field is missing or of another type.
    """
    try:
        return Template(template_id, raw)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WireError(f"template {template_id!r}: {type(error).__name__}: {error}") from None


class Attempt:
    """One attempt that is known here: queued, at work, or ended and not yet in the log.

    Attributes:
        text: its key as JSON.
        began: seconds since the epoch; None while it waits.
        runner: what it runs in (a process, a worker, the host), while it runs.
        stopping: why it is being stopped, one of `STOPS`, or None.
        told: whether its start has been told.
        timer: runs until its timeout.
        inbox: messages that came before it could take them.
    """

    __slots__ = (
        "began",
        "inbox",
        "key",
        "order",
        "runner",
        "state",
        "stopping",
        "template",
        "text",
        "timer",
        "told",
    )

    def __init__(self, key: Key, template: Template, order: Message) -> None:
        self.key = key
        self.template = template
        self.order = order
        self.text = key_text(key)
        self.state = QUEUED
        self.began: float | None = None
        self.runner: Any = None
        self.stopping: str | None = None
        self.told = False
        self.timer: Timer | None = None
        self.inbox: list[tuple[str, Any]] | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        found: dict[str, Any] = self.order.get("inputs") or {}
        return found

    @property
    def marker(self) -> str:
        """The value of $MESON_ATTEMPT, by which its processes are found."""
        run_id, instance, attempt = self.key
        return "%s/%s/%d" % (run_id, ".".join(map(str, instance)), attempt)


def key_text(key: Key) -> str:
    """A key as JSON.

    Raises:
        TypeError: the instance has something else than numbers in it.
    """
    run_id, instance, attempt = key
    return "[%s,[%s],%d]" % (_run_text(run_id), ",".join(["%d" % index for index in instance]), attempt)


@lru_cache(maxsize=256)
def _run_text(run_id: str) -> str:
    return json.dumps(run_id)


def quick_key(raw: Any) -> Key:
    """A key from the wire, checked only as far as everything needs that is done with it.

    Raises:
        WireError: another shape.
    """
    try:
        run_id, instance, attempt = raw
        if type(run_id) is str and type(attempt) is int and type(instance) is list:
            return (run_id, tuple(instance), attempt)
    except (TypeError, ValueError):
        pass
    return key_of(raw)
