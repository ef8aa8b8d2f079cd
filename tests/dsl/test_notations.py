"""Owns the property that every notation gives the same spec: operators, lists, verbs, YAML and JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given, settings

from meson_core import dump_yaml, load_json, load_yaml
from meson_core.dsl.build import build
from meson_core.spec.check import check
from tests.dsl.made import without_places
from tests.dsl.notations import (
    Piece,
    as_document,
    by_lists,
    by_operators,
    by_verbs,
    by_verbs_at_once,
    pieces,
)
from tests.strategies import workflows

if TYPE_CHECKING:
    from meson_core.spec.model import Workflow


@pytest.mark.slow
@given(piece=pieces())
@settings(deadline=None)
def test_operators_lists_and_verbs_give_the_same_spec(piece: Piece) -> None:
    for named in (True, False):
        operators, *others = (
            without_places(build(author(named=named).workflow("w", piece)))
            for author in (by_operators, by_lists, by_verbs, by_verbs_at_once)
        )

        for other in others:
            assert operators == other


@pytest.mark.slow
@given(piece=pieces())
@settings(deadline=None)
def test_documents_give_the_same_spec(piece: Piece) -> None:
    document = as_document("w", piece)
    authored = without_places(build(by_operators(named=True).workflow("w", piece)))

    assert authored == without_places(load_yaml(yaml.safe_dump(document, sort_keys=False)))
    assert authored == without_places(load_json(json.dumps(document)))


@pytest.mark.slow
@given(piece=pieces())
@settings(deadline=None)
def test_a_workflow_that_was_written_as_yaml_reads_the_same(piece: Piece) -> None:
    spec = build(by_operators(named=True).workflow("w", piece))

    assert without_places(spec) == without_places(load_yaml(dump_yaml(spec)))


@pytest.mark.slow
@given(spec=workflows())
@settings(max_examples=60, deadline=None)
def test_any_workflow_survives_yaml_and_json(spec: Workflow) -> None:
    """Also checked ones, whose edges are complete, and which no author wrote."""
    checked = check(spec)

    assert without_places(checked) == without_places(check(load_yaml(dump_yaml(checked))))
    for one in (spec, checked):
        assert without_places(one) == without_places(load_json(one.model_dump_json()))
