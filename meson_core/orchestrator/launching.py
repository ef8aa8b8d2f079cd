"""Owns what goes to an executor: templates out of steps and their kinds, orders out of instances and their inputs."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import ValidationError

from meson_core.engine import job_key
from meson_core.errors import MesonError
from meson_core.events import Failure
from meson_core.orchestrator.fingerprints import step_facts
from meson_core.ports import (
    AttemptKey,
    InputOf,
    PathTo,
    Placement,
    Program,
    ProgramKind,
    PythonCall,
    SecretNamed,
    Template,
)
from meson_core.resources import CPUS, DISK, MEMORY, Request
from meson_core.spec.model import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meson_core.commands import Launch
    from meson_core.orchestrator.fingerprints import StepFacts
    from meson_core.plugins import Plugins
    from meson_core.ports import JsonObject, Text, Work
    from meson_core.spec.plan import Plan, PlanNode

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Described:
    """A step as its attempts are launched.

    Args:
        template: what they share; None when the step cannot be launched.
        failure: why not.
        kept: what its results have in common, when they are to be recognised.
    """

    template: Template | None
    failure: Failure | None = None
    kept: StepFacts | None = None


def request_of(spec: Step) -> Request:
    """What an attempt of this step asks of a machine."""
    resources = spec.resources
    amounts = {CPUS: resources.cpus, MEMORY: float(resources.memory), DISK: float(resources.disk), **resources.other}
    quantities = tuple(sorted((name, amount) for name, amount in amounts.items() if amount))
    return Request(quantities, resources.constraints)


def describe_steps(
    plan: Plan, plugins: Plugins, *, code: str, project: str, pins: Mapping[str, str]
) -> dict[int, Described]:
    """The templates of all steps of a run; may take a while, so call it in a thread.

    Args:
        plan: the run's.
        plugins: where step kinds come from.
        code: digest of the code bundle.
        project: folder of the code bundle on the machine.
        pins: distribution → version that the run is pinned to.
    """
    return {
        node.id: _describe(node, node.spec, plugins, code=code, project=project, pins=pins)
        for node in plan.nodes
        if isinstance(node.spec, Step)
    }


def _describe(
    node: PlanNode, spec: Step, plugins: Plugins, *, code: str, project: str, pins: Mapping[str, str]
) -> Described:
    try:
        kind = plugins.kind(spec.kind)
        options = kind.Options.model_validate(spec.options)
        called: Work | None = None
        if isinstance(kind, ProgramKind):
            called = kind.work(options)
            work = _work_json(called)
        else:
            work = {
                "w": "host",
                "kind": kind.name,
                "options": options.model_dump(mode="json"),
                "distribution": plugins.owner("step kind", kind.name).distribution,
            }
    except MesonError as error:
        return Described(None, Failure("launch", str(error)))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return Described(None, Failure("launch", f"step kind {spec.kind!r} refuses the options: {problems}"))
    except Exception as error:  # noqa: BLE001  it is a plugin's, and only this step suffers
        origin = plugins.owner("step kind", spec.kind).origin
        told = f"step kind {spec.kind!r} of {origin} failed to describe the step: {type(error).__name__}: {error}"
        return Described(None, Failure("launch", told))
    request = request_of(spec)
    body: JsonObject = {
        "step": node.name,
        "code": code,
        "project": project,
        "resources": dict(request.quantities),
        "limits": {"memory": spec.resources.memory, "timeout_s": spec.timeout_s},
        "grace_s": spec.grace_s,
        "isolate": spec.isolate,
        "outputs": spec.outputs,
        "work": work,
    }
    template_id = blake2b(_encode(body), digest_size=9).hexdigest()
    kept = None
    if spec.restorable:
        plugin = plugins.owner("step kind", kind.name)
        version = pins.get(plugin.distribution, plugin.version)
        said = options.model_dump(mode="json")
        kept = step_facts(spec, said, f"{plugin.distribution} {version}", called, code=code, folder=Path(project))
    return Described(Template(template_id, body), kept=kept)


def _work_json(work: Work) -> JsonObject:
    if isinstance(work, PythonCall):
        where = {"module": work.module, "path": work.path, "file": work.file, "source": work.source}
        given = {name: text for name, text in where.items() if text is not None}
        return {"w": "python", "function": work.function, **given}
    if not isinstance(work, Program):
        raise TypeError(f"work() returned {work!r}, and neither a Program nor a PythonCall")
    return {
        "w": "program",
        "argv": [_text_json(text) for text in work.argv],
        "env": {name: _text_json(text) for name, text in work.env.items()},
        "files": dict(work.files),
        "cwd": work.cwd,
    }


def _text_json(text: Text) -> str | dict[str, str]:
    if isinstance(text, PathTo):
        return {"$path": text.what}
    if isinstance(text, InputOf):
        return {"$input": text.name}
    if isinstance(text, SecretNamed):
        return {"$secret": text.name}
    return text


def make_placement(
    run_id: str,
    launch: Launch,
    described: Template,
    request: Request,
    *,
    offer_id: str,
    inputs: Mapping[str, Any],
    scratch: str,
    remembered: str | None,
) -> Placement:
    """One attempt as the resource scheduler gets it."""
    key = AttemptKey(run_id, launch.instance, launch.attempt)
    order = {
        "key": key,
        "step": described.template_id,
        "job": job_key(run_id, launch.instance, launch.job),
        "job_first": launch.job == launch.attempt,
        "inputs": inputs,
        "scratch": scratch,
        "remembered": remembered,
    }
    return Placement(key, offer_id, request, described, order)
