"""Owns reading the logs of a run: what all attempts on this machine have written, merged into one stream of lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from meson_core.client.records import LogLine
from meson_core.errors import StoreError
from meson_executor.logs import LOGGER, MESON, STDERR, STDOUT, LineSplitter, LogReader, run_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from meson_core.spec.plan import Instance, Plan
    from meson_core.store.store import Store
    from meson_executor.logs import LogLine as Written
    from meson_executor.logs import Record

#: Seconds after which a follower looks for new output: those who write it tell nobody.
_LOOK_S = 1.0
_APART = "the logs are kept apart: the run, its states and its outputs are whole"
_STREAMS = {STDOUT: "out", STDERR: "err", LOGGER: "log", MESON: "meson"}


def read_logs(
    store: Store,
    run_id: str,
    plan: Plan,
    folder: Path,
    *,
    nodes: Collection[int],
    instances: Callable[[], Collection[Instance]] | None,
    follow: bool,
) -> Iterator[LogLine]:
    """The lines of a run, in the order of time as far as that is known.

    Args:
        store: tells when the run has ended.
        run_id: the run.
        plan: its workflow.
        folder: where all logs are.
        nodes: only those of these steps; empty for all.
        instances: asked again and again while following: only those of these instances; None for all.
        follow: go on until the run has ended.

    Raises:
        StoreError: there are logs, and nothing in them can be read.
    """
    own = Path(run_folder(str(folder), run_id))
    # Of some steps or instances alone, there may well be none.
    expected = not nodes and instances is None
    try:
        for line in _read(LogReader(str(own)), store, run_id, plan, nodes=nodes, instances=instances, follow=follow):
            expected = False
            yield line
        damaged = expected and any(path.stat().st_size for path in own.glob("*.log"))
    except OSError as error:
        raise StoreError(f"the logs in {error.filename or own} cannot be read: {error.strerror}", hint=_APART) from None
    if damaged:
        raise StoreError(f"the logs in {own} are damaged: nothing in them can be read", hint=_APART)


def _read(
    reader: LogReader,
    store: Store,
    run_id: str,
    plan: Plan,
    *,
    nodes: Collection[int],
    instances: Callable[[], Collection[Instance]] | None,
    follow: bool,
) -> Iterator[LogLine]:
    chosen = None if instances is None else _Chosen(reader, instances)
    splitter = LineSplitter()
    subscription = store.subscribe("log") if follow else None
    try:
        while True:
            # Asked before the output is read: what was written before the end is told.
            position = store.position(run_id)
            records = reader.news(None if not nodes else _of(nodes)) if chosen is None else chosen.news(nodes)
            for record in records:
                yield from (_named(line, plan) for line in splitter.feed(record))
            if subscription is None or position is None or position[1].ended:
                break
            subscription.wait(_LOOK_S)
        yield from (_named(line, plan) for line in splitter.rest())
    finally:
        if subscription is not None:
            subscription.close()


def read_tail(run_id: str, plan: Plan, folder: Path, instance: Instance, attempt: int, count: int) -> list[LogLine]:
    """The last lines of one attempt."""
    reader = LogReader(run_folder(str(folder), run_id))
    return [_named(line, plan) for line in reader.tail(instance, attempt, count)]


def _of(nodes: Collection[int]) -> Callable[[Instance, int], bool]:
    return lambda instance, _: instance[0] in nodes


class _Chosen:
    """The output of some instances, of which more are chosen as time goes on: all that each has written, once.

    Args:
        reader: of the run.
        instances: which are chosen by now.
    """

    def __init__(self, reader: LogReader, instances: Callable[[], Collection[Instance]]) -> None:
        self._reader = reader
        self._instances = instances
        #: Up to when the output of each was told apart from the news; None before the first look.
        self._told: dict[Instance, float] | None = None

    def news(self, nodes: Collection[int]) -> Iterator[Record]:
        chosen = {each for each in self._instances() if not nodes or each[0] in nodes}
        if self._told is None:
            # All that was written so far is news.
            self._told = dict.fromkeys(chosen, 0.0)
        told = self._told
        for record in self._reader.news(lambda instance, _: instance in told):
            if record.at > told[record.instance]:
                yield record
        for instance in sorted(chosen - told.keys()):
            last = 0.0
            for record in self._reader.of(instance):
                last = record.at
                yield record
            # What it wrote since the last news will come with the next ones.
            told[instance] = last


def _named(line: Written, plan: Plan) -> LogLine:
    return LogLine(
        at=line.at,
        step=plan.nodes[line.instance[0]].name,
        instance=line.instance,
        attempt=line.attempt,
        stream=_STREAMS.get(line.stream, line.stream),
        text=line.text,
    )
