"""Owns what a workflow is: plain frozen data, how it is checked, and what its names stand for.

    states              the states of instances and runs, joins, failure modes
    model               the definition: workflow, step, for_each, repeat, choose, subworkflow
    types, infer        the little type language, and the types of expressions
    load                plain data → definition
    kinds               what the checks know of step kinds
    check               all mistakes at once; else the definition with complete edges
      structure, flow     … those of one part at a time; those of what flows between parts
    plan                the checked definition, numbered
    references          what every name in every expression stands for
    parameters          the values that a run starts with
    digest, schema      identity; JSON Schema

Beside these names, `meson_core.spec.model` and `meson_core.spec.types` are public as a whole.
"""

from __future__ import annotations

from meson_core.spec.check import check
from meson_core.spec.digest import canonical_json, digest, version
from meson_core.spec.kinds import BrokenKind, KindFacts, Kinds, OptionProblem
from meson_core.spec.load import load
from meson_core.spec.model import Node, Step, Workflow
from meson_core.spec.parameters import bind_parameters
from meson_core.spec.plan import ROOT, Instance, Plan, PlanNode, PlanScope, compile_plan
from meson_core.spec.references import Bound, Level, Reference, Resolution, Role, resolve
from meson_core.spec.schema import json_schema
from meson_core.spec.states import ENDED, STATES, Cause, FailureMode, Join, RunState, State, satisfies
from meson_core.spec.types import artifact, is_artifact

__all__ = [
    "ENDED",
    "ROOT",
    "STATES",
    "Bound",
    "BrokenKind",
    "Cause",
    "FailureMode",
    "Instance",
    "Join",
    "KindFacts",
    "Kinds",
    "Level",
    "Node",
    "OptionProblem",
    "Plan",
    "PlanNode",
    "PlanScope",
    "Reference",
    "Resolution",
    "Role",
    "RunState",
    "State",
    "Step",
    "Workflow",
    "artifact",
    "bind_parameters",
    "canonical_json",
    "check",
    "compile_plan",
    "digest",
    "is_artifact",
    "json_schema",
    "load",
    "resolve",
    "satisfies",
    "version",
]
