"""Owns the outside services of a crash run, and the person who settles what nobody else can know."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from meson_core import events as ev
from meson_core.errors import ConflictError
from meson_core.spec.states import State
from meson_core.testing.fake_service import FakeService

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meson_core.spec.plan import Instance
    from tests.crash.yard import Yard

BLIND = "crash_job_blind"
Verdict: TypeAlias = Literal["succeeded", "failed", "retry"]


class Services:
    """Three services, one for each thing that a service may offer against double jobs.

    Args:
        services: by the step kind that works with it.
    """

    def __init__(self, services: dict[str, FakeService]) -> None:
        self._services = services
        self.sockets = {kind: service.socket for kind, service in services.items()}

    def wrong(self) -> list[str]:
        """Job keys under which more than one job was started."""
        return [
            f"{kind}: two jobs of key {key}" for kind, found in self._services.items() for key in found.report().twice
        ]

    def jobs(self) -> int:
        """How many jobs were started."""
        return sum(len(service.report().states) for service in self._services.values())

    def hold(self) -> None:
        """From now on the service that cannot be asked starts jobs and then keeps the answer to itself."""
        self._services[BLIND].stall("submit", "after")

    @property
    def held(self) -> bool:
        """Whether an answer is being kept."""
        return self._services[BLIND].report().held > 0

    def release(self) -> None:
        """Answers are given again."""
        self._services[BLIND].release()

    def blind_job(self, key: str) -> dict[str, Any] | None:
        """The end of the job of a key, for which a step cannot ask but a person can; None when there is no such job."""
        ids = self._services[BLIND].report().jobs.get(key)
        if not ids:
            return None
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.sockets[BLIND])
            connection.sendall(json.dumps({"t": "wait", "id": ids[0]}).encode() + b"\n")
            with connection.makefile() as answers:
                end: dict[str, Any] = json.loads(answers.readline())
        return end


@contextmanager
def open_services() -> Iterator[Services]:
    """The three services, each in a process of its own that no fault touches."""
    with ExitStack() as stack:
        yield Services(
            {
                "crash_job": stack.enter_context(FakeService.running(deduplicates=True, finds=False)),
                "crash_job_found": stack.enter_context(FakeService.running(deduplicates=False, finds=True)),
                BLIND: stack.enter_context(FakeService.running(deduplicates=False, finds=False)),
            }
        )


class Person:
    """Looks after outcomes that are unknown: asks the service, and says what became of the job.

    Args:
        yard: where the run is.
        services: what can be asked.
    """

    def __init__(self, yard: Yard, services: Services) -> None:
        self._yard = yard
        self.services = services
        self.settled: list[tuple[Instance, str]] = []

    def settle(self, run_id: str) -> bool:
        """Settle what is unknown now; whether there was anything."""
        unknown = self._unknown(run_id)
        for instance in unknown:
            key = self._job_key(run_id, instance)
            end = self.services.blind_job(key)
            verdict: Verdict = "succeeded" if end is not None and end["state"] == "succeeded" else "retry"
            outputs = end["result"] if end is not None and verdict == "succeeded" else None
            try:
                self._yard.client.settle(run_id, instance, verdict, outputs=outputs, wait_s=None)
            except ConflictError:
                continue
            self.settled.append((instance, key))
        return bool(unknown)

    def _unknown(self, run_id: str) -> list[Instance]:
        row = self._yard.row(run_id)
        if row is None:
            return []
        found = [found.instance for found in self._yard.client.instances(run_id, states=[State.outcome_unknown])]
        return [instance for instance in found if (instance, self._job_key(run_id, instance)) not in self.settled]

    def _job_key(self, run_id: str, instance: Instance) -> str:
        keys = [
            row.event.job_key
            for row in self._yard.client.events(run_id)
            if isinstance(row.event, ev.SubmissionIntended) and row.event.instance == instance
        ]
        return keys[-1]
