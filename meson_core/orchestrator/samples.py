"""Owns what goes beside the log: the latest sample of each attempt, and why attempts wait, at most once a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.store.records import SampleRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meson_core.orchestrator.clock import Alarm, Clock
    from meson_core.orchestrator.runs import ActiveRun
    from meson_core.ports import AttemptKey, Sample
    from meson_core.store.records import WaitRecord

PERIOD_S = 1.0


class Samples:
    """Gathers, and hands on once a second.

    Args:
        clock: where time comes from.
        runs: runs under way; samples of others are late.
        waits: gives the records of what waits, and of what waits no more.
        write: takes what is to be written.
    """

    def __init__(
        self,
        clock: Clock,
        runs: dict[str, ActiveRun],
        waits: Callable[[float], list[WaitRecord]],
        write: Callable[[list[SampleRecord], list[WaitRecord]], None],
    ) -> None:
        self._clock = clock
        self._runs = runs
        self._waits = waits
        self._write = write
        self._latest: dict[AttemptKey, Sample] = {}
        self._alarm: Alarm | None = None

    def take(self, samples: Sequence[Sample]) -> None:
        """Some more; of each attempt only the latest counts."""
        latest = self._latest
        for sample in samples:
            before = latest.get(sample.key)
            if before is not None:
                sample = sample._replace(
                    fraction=before.fraction if sample.fraction is None else sample.fraction,
                    message=before.message if sample.message is None else sample.message,
                )
            latest[sample.key] = sample

    def start(self) -> None:
        """Begin to write once a second."""
        self._alarm = self._clock.call_at(self._clock.now() + PERIOD_S, self._flush)

    def close(self) -> None:
        """Write nothing any more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _flush(self) -> None:
        latest, self._latest = self._latest, {}
        records = [
            SampleRecord(sample.key[0], sample.key[1], sample.key[2], sample.at, sample.fraction, sample.message)
            for sample in latest.values()
            if sample.key[0] in self._runs
        ]
        waits = self._waits(self._clock.now())
        if records or waits:
            self._write(records, waits)
        self.start()
