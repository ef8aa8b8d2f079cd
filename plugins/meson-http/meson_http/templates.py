"""Owns templates: text with `${…}` in it, which a step's inputs, its place in the run and secrets are inserted into.

${model}              the input `model`
${scores.rmse[0]}     a part of it
${date:path}          the same in a URL's path, whose slashes stay slashes
${meson.job_key}      a fact about the attempt: job_key, run_id, step, attempt, and job: the outside job's own id
${secret.token}       a secret, resolved on the machine where the step runs
$${                   the two characters themselves
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from meson_core.errors import BackendError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What `${meson.…}` knows.
FACTS: Final = ("job", "job_key", "run_id", "step", "attempt")

_TOKEN = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_PLACE = re.compile(r"\s*([A-Za-z_]\w*)((?:\.[\w$-]+|\[-?\d+\])*)\s*(:\s*path\s*)?")
_STEP = re.compile(r"\.([\w$-]+)|\[(-?\d+)\]")


@dataclass(frozen=True, slots=True)
class Place:
    """One `${…}`.

    Args:
        text: as it is written, without `${` and `}`.
        source: where its value comes from.
        name: of the input, the fact or the secret.
        steps: keys and indexes that lead from there to the value.
        slashes: they stay what they are in a URL's path.
    """

    text: str
    source: Literal["input", "meson", "secret"]
    name: str
    steps: tuple[str | int, ...] = ()
    slashes: bool = False


Parts: TypeAlias = tuple[str | Place, ...]


@dataclass(frozen=True, slots=True)
class Values:
    """What is inserted.

    Args:
        inputs: of the step.
        facts: by the names in `FACTS`.
        secrets: by name; those that the step names have all been resolved.
    """

    inputs: Mapping[str, Any]
    facts: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)

    def of(self, place: Place) -> Any:
        """The value of one place.

        Raises:
            BackendError: there is none, and no retry would help.
        """
        if place.source == "secret":
            return self.secrets[place.name]
        if place.source == "meson":
            return self.facts[place.name]
        if place.name not in self.inputs:
            raise _missing(place, f"the step has no input {place.name!r}", place.name, self.inputs)
        value = self.inputs[place.name]
        for step in place.steps:
            if isinstance(step, str):
                if not isinstance(value, dict) or step not in value:
                    raise _missing(place, f"there is no {step!r} in it", step, value if isinstance(value, dict) else ())
                value = value[step]
            else:
                if not isinstance(value, list) or not -len(value) <= step < len(value):
                    raise _missing(place, f"there is no item {step} in it", "", ())
                value = value[step]
        return value


def _missing(place: Place, what: str, name: str, known: Any) -> BackendError:
    close = nearest(name, map(str, known))
    hint = f"did you mean {close!r}?" if close else f"there are: {', '.join(map(str, known))}" if known else None
    return BackendError(f"${{{place.text}}}: {what}", retryable=False, hint=hint)


@lru_cache(maxsize=1024)
def parse(text: str) -> Parts:
    """The parts of a template: literal texts and places, in order.

    Raises:
        ValueError: a `${…}` that says nothing, with what is wrong.
    """
    parts: list[str | Place] = []
    at = 0
    for match in _TOKEN.finditer(text):
        _literal(parts, text[at : match.start()])
        at = match.end()
        if match.group() == "$${":
            _literal(parts, "${")
        elif match.group(1) is None:
            raise ValueError(f"{text!r}: a ${{ without its }}; a literal ${{ is written $${{")
        else:
            parts.append(_place(match.group(1)))
    _literal(parts, text[at:])
    return tuple(parts)


def _literal(parts: list[str | Place], text: str) -> None:
    if not text:
        return
    if parts and isinstance(parts[-1], str):
        parts[-1] += text
    else:
        parts.append(text)


def _place(text: str) -> Place:
    match = _PLACE.fullmatch(text)
    if match is None:
        raise ValueError(f"${{{text}}} is none of ${{input}}, ${{input.part[0]}}, ${{meson.fact}}, ${{secret.name}}")
    first, rest, slashes = match.groups()
    steps = tuple(key if key else int(index) for key, index in _STEP.findall(rest))
    if first not in ("meson", "secret"):
        return Place(text.strip(), "input", first, steps, bool(slashes))
    if first == "secret":
        # The name of a secret may have dots in it, as those of files do.
        name = ".".join(str(step) for step in steps)
        if not name or any(isinstance(step, int) for step in steps):
            raise ValueError(f"${{{text}}}: a secret is written ${{secret.name}}")
        return Place(text.strip(), "secret", name, (), bool(slashes))
    if len(steps) != 1 or steps[0] not in FACTS:
        close = nearest(str(steps[0]), FACTS) if steps else None
        known = f"did you mean ${{meson.{close}}}?" if close else f"there are: {', '.join(FACTS)}"
        raise ValueError(f"${{{text}}}: {known}")
    return Place(text.strip(), "meson", str(steps[0]), (), bool(slashes))


def places(template: Any) -> Iterator[Place]:
    """All places of a text, or of all texts in a JSON value.

    Raises:
        ValueError: as `parse`.
    """
    if isinstance(template, str):
        yield from (part for part in parse(template) if isinstance(part, Place))
    elif isinstance(template, dict):
        for key, value in template.items():
            yield from places(key)
            yield from places(value)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from places(value)


def secret_names(template: Any) -> set[str]:
    """The secrets that a template names."""
    return {place.name for place in places(template) if place.source == "secret"}


def fill(template: str, values: Values) -> Any:
    """A value: that of the place, when the template is nothing else, with its type; otherwise text.

    Raises:
        BackendError: a value is missing.
    """
    parts = parse(template)
    if len(parts) == 1 and isinstance(parts[0], Place):
        return values.of(parts[0])
    return "".join(part if isinstance(part, str) else as_text(values.of(part)) for part in parts)


def fill_json(template: Any, values: Values) -> Any:
    """A JSON value with every text in it filled.

    Raises:
        BackendError: a value is missing.
    """
    if isinstance(template, str):
        return fill(template, values)
    if isinstance(template, dict):
        return {as_text(fill(key, values)): fill_json(value, values) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [fill_json(value, values) for value in template]
    return template


def as_text(value: Any) -> str:
    """A value inside a text: a text as it is, nothing for null, all else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
