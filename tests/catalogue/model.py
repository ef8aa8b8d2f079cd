"""Owns the model of the catalogue: what it must hold, worked out from the log alone, and the verdict on what it holds."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from meson_core import events as ev
from meson_core.engine import RunMachine
from meson_core.spec.plan import compile_plan
from meson_core.spec.states import State
from meson_core.store.catalogue import ArtifactQuery
from tests.catalogue.flow import ITEMS, workflow

if TYPE_CHECKING:
    from pathlib import Path

    from meson_core.client import Client
    from meson_core.store.catalogue import Found

_ALL = 1_000_000


class Version(NamedTuple):
    """One version that a run must have left in the catalogue, with what went into it."""

    run_id: str
    name: str
    instance: tuple[int, ...]
    attempt: int
    digest: str
    items: str
    key: str | None
    uses: tuple[tuple[str, str], ...]


class Told(NamedTuple):
    """What the log says.

    Args:
        versions: that there must be.
        made: key of a kept result → digests that were made under it, in order.
        wrong: what the log itself should not say.
    """

    versions: Counter[Version]
    made: dict[str, list[str]]
    wrong: list[str]


def read_logs(client: Client) -> Told:
    """Work out of the logs of all runs, the earliest first, what the catalogue must hold."""
    plan = compile_plan(workflow())
    base, train = plan.by_name["base"], plan.by_name["train"]
    told = Told(Counter(), {}, [])
    for run in reversed(client.runs(limit=_ALL)):
        machine = RunMachine(plan)
        digests: dict[tuple[int, ...], str] = {}
        for row in client.events(run.run_id):
            event = row.event
            changes = machine.handle(event).changes
            if not isinstance(event, ev.AttemptSucceeded | ev.ResultFound):
                continue
            ended = {change.after for change in changes if change.instance == event.instance}
            if not ended & {State.succeeded, State.skipped}:
                continue
            digest = digests[event.instance] = msgspec.json.decode(event.outputs)["x"]["$artifact"]
            step, item = plan.nodes[event.instance[0]].name, event.instance[-1]
            key = f"model/{run.params['day']}/{item}" if step == "train" else None
            if isinstance(event, ev.ResultFound):
                if digest not in told.made.get(str(key), ()):
                    told.wrong.append(f"{run.run_id}: {key} was restored as {digest}, which nobody had made")
                continue
            if key is not None:
                told.made.setdefault(key, []).append(digest)
            uses: tuple[tuple[str, str], ...] = ()
            if step == "train":
                uses = (("base", digests[base,]),)
            elif step == "gather":
                uses = tuple((f"all[{each}]", digests[train, each]) for each in range(ITEMS))
            items = json.dumps({"i": item} if step == "train" else {})
            found = Version(run.run_id, f"{step}.x", event.instance, event.attempt, digest, items, key, uses)
            told.versions[found] += 1
    return told


def catalogued(client: Client) -> tuple[Counter[Version], list[Found]]:
    """What the catalogue holds: of runs as versions, and all of it as it is."""
    rows = client.store.artifacts(ArtifactQuery(), limit=_ALL)
    found: Counter[Version] = Counter()
    for each in rows:
        record = each.record
        if record.run_id:
            uses = tuple((place, digest) for place, digest, _ in client.store.inputs_of(record))
            found[
                Version(
                    record.run_id,
                    record.name,
                    record.instance,
                    record.attempt,
                    record.digest,
                    json.dumps(dict(record.items)),
                    record.key,
                    uses,
                )
            ] += 1
    return found, rows


def dangling(client: Client, latest: int) -> list[str]:
    """Versions whose bytes are kept, in the words of the catalogue, and are not there: at any moment there is none."""
    exists = client._artifacts.bytes.exists
    rows = client.store.artifacts(ArtifactQuery(), limit=latest)
    gone = [each for each in rows if each.forgotten_at is None and not exists(each.record.digest)]
    # Bytes that were given up since the rows were read are no reference any more.
    still = {each.record.number: client.store.artifact(each.record.number) for each in gone}
    return [
        f"{each.record.name} #{each.record.number} has lost its bytes {each.record.digest}"
        for each in gone
        if (now := still[each.record.number]) is not None and now.forgotten_at is None
    ]


def judge(client: Client, put: list[list[Any]], *, forgetting: bool) -> list[str]:
    """What is wrong with the catalogue once all is quiet.

    Args:
        client: to it.
        put: the journal of what was put by hand.
        forgetting: versions were given up meanwhile, so what was made once may have had to be made again.
    """
    found, rows = catalogued(client)
    told = read_logs(client)
    must = told.versions
    wrong = [*dangling(client, _ALL), *told.wrong]
    if not forgetting:
        wrong += [f"{key} was made {len(made)} times" for key, made in told.made.items() if len(made) > 1]
    wrong += [f"lost from the catalogue: {version}" for version in must - found]
    wrong += [f"nobody made: {version}" for version in found - must]
    by_hand = {each.record.number: each.record for each in rows if not each.record.run_id}
    for line in put:
        if line[0] == "done":
            record = by_hand.get(line[1])
            if record is None or [record.name, record.digest] != line[2:]:
                wrong.append(f"put by hand and not in the catalogue: {line}")
    begun = sum(line[0] == "begin" for line in put)
    if len(by_hand) > begun:
        wrong.append(f"{len(by_hand)} versions were put by hand, and only {begun} were begun")
    latest = {
        (each.record.workflow, each.record.name, each.record.key, str(each.record.items)): each
        for each in reversed(rows)
    }
    wrong += [f"the latest version of {each.record.name} was given up" for each in latest.values() if each.forgotten_at]
    return wrong


def judge_store(client: Client, folder: Path) -> list[str]:
    """What is wrong with the bytes after a last prune, when nothing is in flight and all is old."""
    _, rows = catalogued(client)
    named = {each.record.digest for each in rows if each.forgotten_at is None}
    there = {each.digest for each in client._artifacts.bytes.contents()}
    wrong = [f"nothing names {digest}, and it is still there" for digest in there - named]
    wrong += [f"{digest} is named, and not there" for digest in named - there]
    for digest in there:
        with client._artifacts.bytes.open(digest) as file:
            if f"sha256:{hashlib.sha256(file.read()).hexdigest()}" != digest:
                wrong.append(f"{digest} has other bytes")
    wrong += [f"left behind: {path}" for path in folder.rglob("incoming-*")]
    wrong += [f"left behind: {path}" for path in folder.glob("unpacked/??/*")]
    return wrong
