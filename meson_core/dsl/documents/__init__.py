"""Owns workflows as documents: YAML and JSON to and from the spec.

A document in full is the spec itself, as its JSON Schema says: `body` is a list of nodes, each with `node` and `name`.
People write it shorter:

    name: recommendations
    params:
      alpha: {type: float, default: 0.1, ge: 0}     # or just a type: `alpha: float`
    timeout: 2 h
    sequence:                                       # one after the other; `parallel:` puts parts side by side
      - get_users:                                  # name: node
          kind: shell                               # a step has a kind
          script: duckdb cohort.db < cohort.sql > $MESON_OUTPUTS
          outputs: {users: artifact, regions: "list[str]"}
          memory: 2 GB                              # resources and policies as in Python; other words are options
      - each_region:
          for_each: {region: "${get_users.regions}"}
          max_parallel: 200
          sequence:                                 # its body
            - train: {kind: python, module: steps, function: train,
                      inputs: {region: "${region}", alpha: "${alpha}"}, outputs: {score: float}}
      - rates:                                      # a sweep: its loop, and the step `rates_results` behind it
          sweep: {random: {rate: {log_uniform: [0.001, 1]}}, n: 20, seed: 7}    # or grid: {...}, or points: ...
          body: {fit: {kind: shell, script: ./fit, inputs: {rate: "${rate}"}, outputs: {rmse: float}}}
      - winner: {best: {of: rates, by: rmse, lowest: true}}
      - again:
          repeat: {until: validate.stable, max_iterations: 5, carry: {alpha: alpha * 2}}
          body: {validate: {kind: shell, script: ./validate, outputs: {stable: bool}}}
      - publish_or_not:
          choose:
            - when: max(train.score) > 0.8
              body: {publish: {kind: shell, script: ./publish}}
          otherwise: {report: {kind: shell, script: ./report}}
      - tidy_up:
          subworkflow: {name: tidying, body: {tidy: {kind: shell, script: ./tidy}}}
    outputs: {best: max(train.score)}

- The body of anything that has one is `body`, a mapping of names to nodes, or `sequence` or `parallel`, a list of such
  mappings (and of further `sequence` and `parallel`). Nodes of one mapping stand side by side, but for what they say in
  `after: [names]` and for the references between them.
- In `inputs` and in the items of a for_each a text that is `${...}` as a whole is an expression, and `$${` stands for a
  literal `${`. Where only an expression can stand (until, when, carry, outputs) it is written as it is.
- Words that a step kind shares with resources and policies go into `options: {...}`.
- Scalars follow YAML 1.2: `no` and `12:30` are texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.dsl.documents.json_text import parse_json
from meson_core.dsl.documents.reader import read
from meson_core.dsl.documents.writer import write_yaml
from meson_core.dsl.documents.yaml_text import parse_yaml
from meson_core.errors import AuthoringError, InvalidWorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.dsl.documents.marked import Marked
    from meson_core.spec.model import Workflow


def load_yaml(text: str, *, file: str = "<yaml>") -> Workflow:
    """The workflow that a YAML document spells, before it is checked.

    Args:
        text: the document.
        file: what messages and the spec call it.

    Raises:
        InvalidWorkflowError: everything that is wrong with how it was written, with lines.
    """
    return _load(parse_yaml, text, file)


def load_json(text: str, *, file: str = "<json>") -> Workflow:
    """The workflow that a JSON document spells, before it is checked; in full, or in the short words of YAML.

    Args:
        text: the document.
        file: what messages and the spec call it.

    Raises:
        InvalidWorkflowError: everything that is wrong with how it was written, with lines.
    """
    return _load(parse_json, text, file)


def _load(parse: Callable[[str, str], Marked], text: str, file: str) -> Workflow:
    try:
        document = parse(text, file)
    except AuthoringError as problem:
        raise InvalidWorkflowError(file, [problem]) from None
    return read(document, file)


def dump_yaml(workflow: Workflow) -> str:
    """A workflow as YAML in the words of people.

    Reading it gives the same workflow, but for the places of its parts. Of a checked workflow the edges that references
    imply may be left out, which checking adds again.
    """
    return write_yaml(workflow)
