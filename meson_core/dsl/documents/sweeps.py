"""Owns the words of sweeps in documents: `sweep`, `cross_validate`, `bootstrap`, `best`, written out as loops and steps.

`rates: {sweep: {random: {alpha: {log_uniform: [0.0001, 1]}}, n: 20, seed: 7}, max_failed: 2, body: {train: {...}}}` becomes
the for_each `rates` and the step `rates_results`; `winner: {best: {of: rates, by: rmse, lowest: true}}` the step `winner`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meson_core.dsl import draw, gathering, sweeps
from meson_core.dsl.documents.parts import Part
from meson_core.dsl.names import shown
from meson_core.dsl.values import as_value, is_symbolic
from meson_core.dsl.words import check_words
from meson_core.errors import AuthoringError, SpecError, UnknownNameError, WrongTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from meson_core.dsl.documents.marked import Marked
    from meson_core.errors import Where

_DISTRIBUTIONS: Mapping[str, Callable[..., draw.Distribution]] = {
    "uniform": draw.uniform,
    "log_uniform": draw.log_uniform,
    "integers": draw.integers,
    "normal": draw.normal,
    "one_of": draw.one_of,
}
#: The word that tells which points there are → what it may say.
HEADERS: Mapping[str, tuple[str, ...]] = {
    "sweep": ("grid", "random", "points", "n", "seed", "names"),
    "cross_validate": ("k", "seed"),
    "bootstrap": ("n", "seed"),
}
_BEST = ("of", "by", "lowest")


def header(
    word: str, item: Marked, owner: str, where: Callable[[Marked], Where], bound: Callable[[Marked, str], Any]
) -> tuple[dict[str, Any], str]:
    """The loop variables of a sweep, as bindings of the spec, and the mode of its loop.

    Args:
        word: of `HEADERS`.
        item: what stands behind it.
        owner: begins messages.
        where: the place of a part.
        bound: reads a value that may hold expressions.

    Raises:
        AuthoringError: it is not right.
    """
    place = where(item)
    if not isinstance(item.value, dict):
        msg = f"{owner}: {word} must be a mapping, got {shown(item.plain)}"
        raise WrongTypeError(msg, where=place)
    check_words(item.value, HEADERS[word], owner, place)
    said: dict[str, Any] = {key: _random(value, owner, where, bound) if key == "random" else bound(value, f"{owner}: {key}")
            for key, value in item.value.items()}  # fmt: skip
    try:
        if word == "sweep":
            variables, mode = sweeps.points_of(**said, where=place)
        elif word == "cross_validate":
            variables, mode = sweeps.folds_of(**{"k": 5, "seed": 0, **said}, where=place), "zipped"
        else:
            variables, mode = sweeps.resamples_of(**{"n": None, "seed": 0, **said}, where=place), "zipped"
    except AuthoringError as problem:
        problem.where = place
        raise
    return {name: binding(items) for name, items in variables.items()}, mode


def _random(
    item: Marked, owner: str, where: Callable[[Marked], Where], bound: Callable[[Marked, str], Any]
) -> dict[str, draw.Distribution]:
    if not isinstance(item.value, dict):
        msg = f"{owner}: random must be a mapping of variables, got {shown(item.plain)}"
        raise WrongTypeError(msg, where=where(item))
    return {name: _distribution(name, value, owner, where(value), bound) for name, value in item.value.items()}


def _distribution(
    name: str, item: Marked, owner: str, where: Where, bound: Callable[[Marked, str], Any]
) -> draw.Distribution:
    what = f"{owner}: the distribution of {name!r}"
    if not isinstance(item.value, dict) or len(item.value) != 1:
        msg = f"{what} must be one mapping, got {shown(item.plain)}"
        raise WrongTypeError(msg, where=where, hint="write {uniform: [0, 1]}")
    ((word, arguments),) = item.value.items()
    check_words([word], _DISTRIBUTIONS, what, where)
    given = bound(arguments, what)
    try:
        if word == "one_of":
            return draw.one_of(given)
        if not isinstance(given, list) or len(given) != 2:
            msg = f"{what}: {word} takes a list of two numbers, got {shown(arguments.plain)}"
            raise WrongTypeError(msg)
        return _DISTRIBUTIONS[word](*given)
    except AuthoringError as problem:
        problem.where = where
        raise


def binding(value: Any) -> dict[str, Any]:
    """A value as the spec has it."""
    return {"expr": as_value(value).text} if is_symbolic(value) else {"value": value}


def with_results(loop: dict[str, Any]) -> Part:
    """A loop, and behind it the step that gathers its results."""
    inputs = gathering.gathered(
        loop.get("variables", {}), loop["mode"], _outputs(loop.get("body", ())), _reference, _literal
    )
    results = {
        "name": gathering.results_name(loop["name"]),
        "node": "step",
        "kind": "python",
        "doc": gathering.GATHER_DOC,
        "options": dict(gathering.GATHER),
        "inputs": {"loop": _literal(loop["name"]), **inputs},
        "outputs": dict(gathering.GATHERED),
        "source": loop["source"],
        "after": [loop["name"]],
    }
    return Part((loop, results), (loop["name"],), (results["name"],))


def best(item: Marked, results: Mapping[str, dict[str, Any]], owner: str, where: Where) -> dict[str, Any]:
    """The step that chooses the best of a sweep.

    Args:
        item: what stands behind the word.
        results: of each sweep so far, the step that gathers.
        owner: begins messages.
        where: the place.

    Raises:
        AuthoringError: it is not right.
    """
    if not isinstance(item.value, dict) or not {"of", "by"} <= item.value.keys():
        msg = f"{owner}: it needs of (a sweep) and by (an output), got {shown(item.plain)}"
        raise SpecError(msg, where=where, hint="write best: {of: rates, by: rmse, lowest: true}")
    check_words(item.value, _BEST, owner, where)
    said = {"lowest": True, **item.plain}
    if said["of"] not in results:
        msg = f"{owner}: there is no sweep {said['of']!r} before it"
        raise UnknownNameError(msg, name=str(said["of"]), known=results, where=where)
    if not isinstance(said["by"], str) or not isinstance(said["lowest"], bool):
        msg = f"{owner}: by is the name of an output and lowest is true or false, got {shown(item.plain)}"
        raise WrongTypeError(msg, where=where)
    taken = {word: value for word, value in results[said["of"]]["inputs"].items() if word != "loop"}
    columns: Sequence[str] = list(taken["outputs"]["value"].values())
    if not any(said["by"] == column or said["by"].startswith(f"{column}.") for column in columns):
        msg = f"{owner}: no step in {said['of']!r} has an output {said['by']!r}"
        raise UnknownNameError(msg, name=said["by"], known=columns, where=where)
    return {
        "node": "step",
        "kind": "python",
        "doc": gathering.BEST_DOC,
        "options": dict(gathering.BEST),
        "inputs": {"by": _literal(said["by"]), "lowest": _literal(said["lowest"]), **taken},
        "outputs": dict(gathering.CHOSEN),
    }


def _reference(step: str, output: str) -> dict[str, Any]:
    return {"expr": f"{step}.{output}"}


def _literal(value: Any) -> dict[str, Any]:
    return {"value": value}


def _outputs(body: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Step and output, of what has outputs in a body but not in loops inside it."""
    for node in body:
        if not isinstance(node, dict):
            continue
        sort = node.get("node")
        if sort == "step":
            yield from ((node["name"], output) for output in node.get("outputs") or ())
        elif sort == "subworkflow":
            workflow = node["workflow"]
            shown_outside = workflow.get("outputs") if isinstance(workflow, dict) else workflow.outputs
            yield from ((node["name"], output) for output in shown_outside or ())
        elif sort == "repeat":
            yield from _outputs(node.get("body", ()))
        elif sort == "choose":
            for branch in node.get("branches", ()):
                yield from _outputs(branch.get("body", ()))
            yield from _outputs(node.get("otherwise", ()))
