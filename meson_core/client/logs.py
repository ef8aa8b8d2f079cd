"""Owns reading the logs of a run: what all attempts on this machine have written, merged into one stream of lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.client.records import LogLine
from meson_executor.logs import LOGGER, MESON, STDERR, STDOUT, LineSplitter, LogReader, run_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from meson_core.spec.plan import Instance, Plan
    from meson_core.store.store import Store
    from meson_executor.logs import LogLine as Written

#: Seconds after which a follower looks for new output: those who write it tell nobody.
_LOOK_S = 1.0
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
    """
    reader = LogReader(run_folder(str(folder), run_id))
    splitter = LineSplitter()
    subscription = store.subscribe("log") if follow else None
    try:
        while True:
            position = store.position(run_id)
            chosen = None if instances is None else frozenset(instances())

            def wanted(instance: Instance, _: int, chosen: frozenset[Instance] | None = chosen) -> bool:
                return (not nodes or instance[0] in nodes) and (chosen is None or instance in chosen)

            for record in reader.news(wanted):
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


def _named(line: Written, plan: Plan) -> LogLine:
    return LogLine(
        at=line.at,
        step=plan.nodes[line.instance[0]].name,
        instance=line.instance,
        attempt=line.attempt,
        stream=_STREAMS.get(line.stream, line.stream),
        text=line.text,
    )
