"""Owns the words of YAML and JSON documents: from marked data to the data of the spec, with every mistake and its line."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from meson_core.dsl import policies
from meson_core.dsl.documents import sweeps
from meson_core.dsl.documents.marked import Marked
from meson_core.dsl.documents.parts import Part, in_order, in_parallel, in_sequence
from meson_core.dsl.durations import parse_duration
from meson_core.dsl.names import expect, shown
from meson_core.dsl.values import as_value, expr, is_symbolic, text_of
from meson_core.dsl.words import NODE_POLICIES, STEP_POLICIES, check_words
from meson_core.errors import (
    AuthoringError,
    InvalidWorkflowError,
    SpecError,
    UnknownNameError,
    Where,
    WrongTypeError,
)
from meson_core.spec.load import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meson_core.spec.model import Workflow

_NOTATIONS = ("sequence", "parallel")
_GRAPH = ("body", *_NOTATIONS)
_WORKFLOW = ("name", "format", "doc", "params", "outputs", "timeout", "timeout_s", "source", *_GRAPH)
_NODE = ("after", *NODE_POLICIES, "source")
#: Words of a step besides resources and policies; all others are options of its kind.
STEP_WORDS = ("kind", "options", "inputs", "input_types", "outputs", "doc", "after", "source")
#: The word that tells what a node is → all words that it may have.
NODES: dict[str, tuple[str, ...]] = {
    "kind": (*STEP_WORDS, *STEP_POLICIES),
    "for_each": ("for_each", "mode", "max_parallel", "max_failed", *_NODE, *_GRAPH),
    "repeat": ("repeat", *_NODE, *_GRAPH),
    "choose": ("choose", "otherwise", *_NODE),
    "subworkflow": ("subworkflow", "inputs", *_NODE),
    **{word: (word, "max_parallel", "max_failed", *_NODE, *_GRAPH) for word in sweeps.HEADERS},
    "best": ("best", *_NODE),
}
_REPEAT = ("until", "max_iterations", "carry", "on_exhausted")
_EXPRESSION = re.compile(r"\$\{(.*)\}", re.DOTALL)


def read(document: Marked, file: str) -> Workflow:
    """The workflow that a document spells, before it is checked.

    Args:
        document: as it was parsed.
        file: what messages call it.

    Raises:
        InvalidWorkflowError: everything that is wrong with how it was written.
    """
    reader = _Reader(file)
    data = reader.workflow(document)
    if reader.problems:
        raise InvalidWorkflowError(str(data.get("name", file)), reader.problems)
    return load(data)


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[AuthoringError] = []
        #: By name of a sweep that was read, the step that gathers its results.
        self.results: dict[str, dict[str, Any]] = {}

    # --- problems -----------------------------------------------------------------------------------------------------

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Goes on after a mistake, so that one look shows all of them."""
        try:
            yield
        except AuthoringError as problem:
            self.problems.append(problem)

    def where(self, item: Marked, key: str | None = None) -> Where:
        return Where(self.file, item.line if key is None else item.key_lines.get(key, item.line))

    def mapping(self, item: Marked, what: str) -> dict[str, Marked]:
        if not isinstance(item.value, dict):
            msg = f"{what} must be a mapping, got {shown(item.plain)}"
            raise WrongTypeError(msg, where=self.where(item))
        return item.value

    def items(self, item: Marked, what: str) -> list[Marked]:
        if not isinstance(item.value, list):
            msg = f"{what} must be a list, got {shown(item.plain)}"
            raise WrongTypeError(msg, where=self.where(item))
        return item.value

    def check_words(self, item: Marked, known: tuple[str, ...], owner: str) -> None:
        for word in self.mapping(item, owner):
            with self.collecting():
                check_words([word], known, owner, self.where(item, word))

    # --- workflows ----------------------------------------------------------------------------------------------------

    def workflow(self, item: Marked) -> dict[str, Any]:
        words = {}
        with self.collecting():
            words = self.mapping(item, "a workflow")
        name = words["name"].plain if "name" in words else None
        owner = f"workflow {name!r}" if isinstance(name, str) else "the workflow"
        data: dict[str, Any] = {"source": self.source(item)} | {
            word: words[word].plain for word in ("name", "format", "doc", "timeout_s") if word in words
        }
        if "source" in words and words["source"].value is not None:
            data["source"] = words["source"].plain
        if words:
            self.check_words(item, _WORKFLOW, owner)
        with self.collecting():
            if "timeout" in words:
                data["timeout_s"] = self.duration(words["timeout"], owner)
        with self.collecting():
            if "params" in words:
                data["params"] = self.params(words["params"], owner)
        with self.collecting():
            if "outputs" in words:
                data["outputs"] = self.expressions(words["outputs"], f"{owner}: outputs")
        with self.collecting():
            if words:
                data["body"] = self.body(item, owner)
        return data

    def duration(self, item: Marked, owner: str) -> float | None:
        if item.value is None:
            return None
        try:
            return parse_duration(item.plain)
        except ValueError as error:
            msg = f"{owner}: timeout: {error}"
            raise SpecError(msg, where=self.where(item)) from None

    def params(self, item: Marked, owner: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, declared in self.mapping(item, f"{owner}: params").items():
            if isinstance(declared.value, str):
                found[name] = {"type": declared.value}
                continue
            with self.collecting():
                fields = self.mapping(declared, f"{owner}: parameter {name!r}")
                found[name] = {word: value.plain for word, value in fields.items()}
                found[name].setdefault("required", "default" not in fields)
        return found

    # --- graphs -------------------------------------------------------------------------------------------------------

    def source(self, item: Marked) -> dict[str, Any]:
        return {"file": self.file, "line": item.line}

    def body(self, item: Marked, owner: str) -> list[dict[str, Any]]:
        """The graph of something that has one: under `body`, or written as `sequence` or `parallel` in its place."""
        words = self.mapping(item, owner)
        said = [word for word in _GRAPH if word in words]
        if len(said) != 1:
            msg = f"{owner} has {' and '.join(said)}" if said else f"{owner} has no body"
            raise SpecError(msg, where=self.where(item), hint="write one of body, sequence and parallel")
        word = said[0]
        return self.nodes(words[word], owner) if word == "body" else in_order(self.notation(word, words[word], owner))

    def nodes(self, item: Marked, owner: str) -> list[dict[str, Any]]:
        """The nodes of a body; those of a list stay as they are."""
        graph = self.graph(item, owner)
        return list(graph.nodes) if isinstance(item.value, list) else in_order(graph)

    def graph(self, item: Marked, owner: str) -> Part:
        """A list of nodes in full, or a mapping of names to nodes, side by side but for their `after`."""
        if isinstance(item.value, list):
            return in_parallel(self.in_full(node, owner) for node in item.value)
        parts = []
        for name, node in self.mapping(item, f"{owner}: its body").items():
            with self.collecting():
                if name in _NOTATIONS and isinstance(node.value, list):
                    parts.append(self.notation(name, node, owner))
                else:
                    parts.append(self.named(name, node, self.where(item, name)))
        return in_parallel(parts)

    def notation(self, word: str, item: Marked, owner: str) -> Part:
        parts = []
        for part in self.items(item, f"{owner}: {word}"):
            with self.collecting():
                if not isinstance(part.value, dict):
                    msg = f"{owner}: a part of a {word} must be a mapping of names to nodes, got {shown(part.plain)}"
                    raise WrongTypeError(msg, where=self.where(part), hint="write - name: {kind: ...}")
                parts.append(self.graph(part, owner))
        return in_sequence(parts) if word == "sequence" else in_parallel(parts)

    # --- nodes --------------------------------------------------------------------------------------------------------

    def in_full(self, item: Marked, owner: str) -> Part:
        """A node in the form of the JSON Schema."""
        if not isinstance(item.value, dict) or "name" not in item.value:
            msg = f"{owner}: a node in a list needs a name, got {shown(item.plain)}"
            hint = "write a mapping of names to nodes, or sequence: or parallel: with a list of such mappings"
            raise SpecError(msg, where=self.where(item), hint=hint)
        rest = {word: value for word, value in item.value.items() if word != "name"}
        return self.named(item.value["name"].plain, Marked(rest, item.line, item.key_lines))

    def sourced(self, item: Marked) -> Any:
        """A node in full (or what has nodes inside), with the places of nodes where it does not say them itself."""
        if not isinstance(item.value, dict):
            return item.plain
        data = {key: value.plain for key, value in item.value.items()}
        if "node" in data:
            data["source"] = data.get("source") or self.source(item)
        for word in ("body", "otherwise", "branches"):
            if word in data and isinstance(item.value[word].value, list):
                data[word] = [self.sourced(inner) for inner in self.items(item.value[word], word)]
        if "workflow" in data:
            data["workflow"] = self.sourced(item.value["workflow"])
        return data

    def named(self, name: Any, item: Marked, where: Where | None = None) -> Part:
        place = where or self.where(item)
        expect(name, str, "the name of a node must be a text", place)
        words = self.mapping(item, f"node {name!r}")
        source = words["source"].plain if "source" in words else None
        data: dict[str, Any] = {"name": name, "source": source or {"file": place.file, "line": place.line}}
        if "node" in words:
            return Part.of({**self.sourced(item), **data})
        sort = self.sort_of(name, words, place)
        owner = f"{'step' if sort == 'kind' else sort} {name!r}"
        with self.collecting():
            if "after" in words:
                data["after"] = self.after(words["after"], owner)
        if sort == "kind":
            data |= self.step(item, owner)
        else:
            self.check_words(item, NODES[sort], owner)
            with self.collecting():
                data |= policies.node_fields(self.plain(words, NODE_POLICIES), owner, place)
            make = {
                "for_each": self.for_each,
                "repeat": self.repeat,
                "choose": self.choose,
                "subworkflow": self.subworkflow,
                "best": self.best,
            }
            data |= self.swept(sort, item, owner) if sort in sweeps.HEADERS else make[sort](item, owner)
        if sort not in sweeps.HEADERS:
            return Part.of(data)
        part = sweeps.with_results(data)
        self.results[name] = part.nodes[-1]
        return part

    def sort_of(self, name: Any, words: Mapping[str, Marked], where: Where) -> str:
        said = [word for word in NODES if word in words]
        if len(said) == 1:
            return said[0]
        if said:
            msg = f"node {name!r} is several things at once: {', '.join(said)}"
            raise SpecError(msg, where=where)
        msg = f"node {name!r} does not say what it is"
        for word in words:
            problem = UnknownNameError(msg, name=word, known=NODES, where=where)
            if "did you mean" in (problem.hint or ""):
                raise problem
        raise SpecError(
            msg, where=where, hint="a step has a kind; others have for_each, sweep, repeat, choose or subworkflow"
        )

    @staticmethod
    def plain(words: Mapping[str, Marked], wanted: tuple[str, ...]) -> dict[str, Any]:
        return {word: words[word].plain for word in wanted if word in words}

    def after(self, item: Marked, owner: str) -> list[str]:
        names = [item] if isinstance(item.value, str) else self.items(item, f"{owner}: after")
        for name in names:
            if not isinstance(name.value, str):
                msg = f"{owner}: after must be a list of names, it has {shown(name.plain)}"
                raise WrongTypeError(msg, where=self.where(name))
        return [str(name.value) for name in names]

    def step(self, item: Marked, owner: str) -> dict[str, Any]:
        words = self.mapping(item, owner)
        data: dict[str, Any] = {"node": "step", **self.plain(words, ("kind", "input_types", "outputs", "doc"))}
        options = {word: value.plain for word, value in words.items() if word not in NODES["kind"]}
        with self.collecting():
            if "options" in words:
                given = self.mapping(words["options"], f"{owner}: options")
                options |= {word: value.plain for word, value in given.items()}
        data["options"] = options
        with self.collecting():
            if "inputs" in words:
                data["inputs"] = self.bindings(words["inputs"], f"{owner}: input")
        for word in STEP_POLICIES:
            with self.collecting():
                if word in words:
                    self.merge(data, policies.step_fields({word: words[word].plain}, owner, self.where(item, word)))
        return data

    @staticmethod
    def merge(data: dict[str, Any], fields: Mapping[str, Any]) -> None:
        """Add what one word says; several words are about resources, and some of these about further quantities."""
        for key, value in fields.items():
            if isinstance(value, dict) and isinstance(data.get(key), dict):
                _Reader.merge(data[key], value)
            else:
                data[key] = value

    def for_each(self, item: Marked, owner: str) -> dict[str, Any]:
        words = self.mapping(item, owner)
        data = {"node": "for_each", **self.plain(words, ("mode", "max_parallel", "max_failed"))}
        with self.collecting():
            data["variables"] = self.bindings(words["for_each"], f"{owner}: variable")
        with self.collecting():
            data["body"] = self.body(item, owner)
        return data

    def swept(self, word: str, item: Marked, owner: str) -> dict[str, Any]:
        words = self.mapping(item, owner)
        data = {"node": "for_each", "mode": "zipped", **self.plain(words, ("max_parallel", "max_failed"))}
        with self.collecting():
            data["variables"], data["mode"] = sweeps.header(word, words[word], owner, self.where, self.bound)
        with self.collecting():
            data["body"] = self.body(item, owner)
        return data

    def best(self, item: Marked, owner: str) -> dict[str, Any]:
        data: dict[str, Any] = {"node": "step", "kind": "python"}
        with self.collecting():
            data |= sweeps.best(self.mapping(item, owner)["best"], self.results, owner, self.where(item))
        return data

    def repeat(self, item: Marked, owner: str) -> dict[str, Any]:
        words = self.mapping(item, owner)
        data: dict[str, Any] = {"node": "repeat"}
        with self.collecting():
            header = self.mapping(words["repeat"], f"{owner}: repeat")
            self.check_words(words["repeat"], _REPEAT, owner)
            data |= self.plain(header, ("max_iterations", "on_exhausted"))
            if "until" in header:
                data["until"] = self.expression(header["until"], f"{owner}: until")
            if "carry" in header:
                data["carry"] = self.expressions(header["carry"], f"{owner}: carry")
        with self.collecting():
            data["body"] = self.body(item, owner)
        return data

    def choose(self, item: Marked, owner: str) -> dict[str, Any]:
        words = self.mapping(item, owner)
        branches: list[dict[str, Any]] = []
        with self.collecting():
            for branch in self.items(words["choose"], f"{owner}: choose"):
                with self.collecting():
                    said = self.mapping(branch, f"{owner}: a branch")
                    self.check_words(branch, ("when", *_GRAPH), f"{owner}: a branch")
                    condition = {"when": self.expression(said["when"], f"{owner}: when")} if "when" in said else {}
                    branches.append({**condition, "body": self.body(branch, f"{owner}: a branch")})
        data: dict[str, Any] = {"node": "choose", "branches": branches}
        with self.collecting():
            if "otherwise" in words:
                data["otherwise"] = self.nodes(words["otherwise"], f"{owner}: otherwise")
        return data

    def subworkflow(self, item: Marked, owner: str) -> dict[str, Any]:
        words = self.mapping(item, owner)
        data: dict[str, Any] = {"node": "subworkflow", "workflow": self.workflow(words["subworkflow"])}
        with self.collecting():
            if "inputs" in words:
                data["inputs"] = self.bindings(words["inputs"], f"{owner}: input")
        return data

    # --- expressions and bindings -------------------------------------------------------------------------------------

    def expression(self, item: Marked, what: str) -> str:
        """An expression where nothing else can stand; `${...}` around it is fine and changes nothing."""
        if isinstance(item.value, str):
            match = _EXPRESSION.fullmatch(item.value)
            return match.group(1).strip() if match else item.value
        if isinstance(item.value, bool | int | float):
            return text_of(item.value)
        msg = f"{what} must be an expression, got {shown(item.plain)}"
        raise WrongTypeError(msg, where=self.where(item))

    def expressions(self, item: Marked, what: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in self.mapping(item, what).items():
            with self.collecting():
                found[name] = self.expression(value, f"{what}: {name!r}")
        return found

    def bindings(self, item: Marked, what: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in self.mapping(item, f"{what}s").items():
            with self.collecting():
                found[name] = self.binding(value, f"{what} {name!r}")
        return found

    def binding(self, item: Marked, what: str) -> dict[str, Any]:
        if isinstance(item.value, dict) and set(item.value) in ({"expr"}, {"value"}):
            return dict(item.plain)
        value = self.bound(item, what)
        return {"expr": as_value(value).text} if is_symbolic(value) else {"value": value}

    def bound(self, item: Marked, what: str) -> Any:
        """A literal; a text that is `${...}` as a whole is an expression, and `$${` is a literal `${`."""
        if isinstance(item.value, dict):
            return {key: self.bound(value, what) for key, value in item.value.items()}
        if isinstance(item.value, list):
            return [self.bound(value, what) for value in item.value]
        if not isinstance(item.value, str):
            return item.value
        match = _EXPRESSION.fullmatch(item.value)
        if match is not None:
            try:
                return expr(match.group(1).strip())
            except AuthoringError as error:
                error.where = self.where(item)
                error.message = f"{what}: {error.message}"
                raise
        if "${" in item.value.replace("$${", ""):
            msg = f"{what}: {shown(item.value)} is an expression only in part"
            hint = "put the whole into ${...}, like ${'model of ' + region}; a literal ${ is written $${"
            raise SpecError(msg, where=self.where(item), hint=hint)
        return item.value.replace("$${", "${")
