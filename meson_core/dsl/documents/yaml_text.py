"""Owns reading YAML: plain data only, by the rules of YAML 1.2, with the line of every part.

PyYAML composes the nodes, and their values are made here. YAML 1.1, which its constructors speak, takes the country
`NO` for false and `12:30` for 750; and it lets the second of two equal keys win in silence.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from meson_core.dsl.documents.marked import Marked, marked, on_lines
from meson_core.dsl.names import shown
from meson_core.errors import DuplicateNameError, SpecError, Where, WrongTypeError

#: Aliases may repeat parts of a document; this many values is more than anybody writes.
MAX_VALUES = 200_000
_MAX_DEPTH = 150
_MAX_DIGITS = 4000
_HALF_PAIR = re.compile("[\ud800-\udfff]")

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class _Loader(yaml.SafeLoader):
    """Composes nodes, and only tells plain scalars from others."""


_PLAIN = "plain"
_Loader.yaml_implicit_resolvers = {None: [(_PLAIN, re.compile(""))]}


def parse_yaml(text: str, file: str) -> Marked:
    """A YAML document as plain data.

    Args:
        text: the document.
        file: what messages call it.

    Raises:
        SpecError: it is no YAML, holds more than plain data, or says a key twice.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        begun = error.context_mark
        if begun is not None and mark is not None and begun.line != mark.line:
            problem += f" (it began on line {begun.line + 1})"
        hint = "indent with spaces" if "'\\t'" in problem else None
        msg = f"this is not YAML: {problem}"
        raise SpecError(msg, where=Where(file, mark.line + 1 if mark else None), hint=hint) from None
    except yaml.YAMLError as error:
        msg = f"this is not YAML: {error}"
        raise SpecError(msg, where=Where(file)) from None
    except RecursionError:
        msg = "the document is nested too deeply"
        raise SpecError(msg, where=Where(file)) from None
    finally:
        loader.dispose()
    if node is None:
        msg = "the document is empty"
        raise SpecError(msg, where=Where(file, 1), hint="a workflow needs at least `name:` and `body:`")
    return _Construction(file).value(node, 0)


class _Construction:
    def __init__(self, file: str) -> None:
        self.file = file
        self.count = 0

    def where(self, node: yaml.Node) -> Where:
        return Where(self.file, node.start_mark.line + 1)

    def value(self, node: yaml.Node, depth: int) -> Marked:
        self.count += 1
        if self.count > MAX_VALUES or depth > _MAX_DEPTH:
            what = "nested too deeply" if depth > _MAX_DEPTH else f"larger than {MAX_VALUES:,} values"
            msg = f"the document is {what} (aliases count with what they stand for)"
            raise SpecError(msg, where=self.where(node))
        line = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, line, depth)
        if isinstance(node, yaml.SequenceNode):
            self.check_tag(node, "seq")
            return marked([self.value(item, depth + 1) for item in node.value], line)
        return marked(self.scalar(node), line)

    def mapping(self, node: yaml.MappingNode, line: int, depth: int) -> Marked:
        self.check_tag(node, "map")
        found: dict[str, Marked] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            at = self.where(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                msg = "a key must be a text"
                raise WrongTypeError(msg, where=at)
            key = str(key_node.value)
            if key in found:
                msg = f"the key {key!r} is here twice{on_lines(lines[key], at.line or line)}"
                raise DuplicateNameError(msg, where=at)
            found[key] = self.value(value_node, depth + 1)
            lines[key] = at.line or line
        return marked(found, line, lines)

    def scalar(self, node: Any) -> bool | int | float | str | None:
        text: str = node.value
        if _HALF_PAIR.search(text):
            msg = f"the text {shown(text)} has half of a surrogate pair"
            raise SpecError(msg, where=self.where(node))
        if node.tag == _PLAIN:
            return self.plain(node, text)
        if node.tag == f"{_TAG}str":
            return text
        msg = f"the tag {node.tag!r} stands for more than plain data"
        raise SpecError(msg, where=self.where(node))

    def plain(self, node: yaml.Node, text: str) -> bool | int | float | str | None:
        if text in _WORDS:
            return _WORDS[text]
        if len(text) > _MAX_DIGITS:
            return text
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if _FLOAT.fullmatch(text):
            if text.strip("+-.").lower() in ("inf", "nan") or not math.isfinite(float(text)):
                msg = f"{shown(text)} is not a finite number, and a workflow can carry no other"
                raise WrongTypeError(msg, where=self.where(node))
            return float(text)
        return text

    def check_tag(self, node: yaml.Node, kind: str) -> None:
        if node.tag != _TAG + kind:
            msg = f"the tag {node.tag!r} stands for more than plain data"
            raise SpecError(msg, where=self.where(node))


def is_plain_text(text: str) -> bool:
    """Whether a plain scalar of these characters is read as this text and not as a number, a truth value or null."""
    return text not in _WORDS and not _INT.fullmatch(text) and not _FLOAT.fullmatch(text)
