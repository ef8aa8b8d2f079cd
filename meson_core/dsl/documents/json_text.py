"""Owns reading JSON with the line of every part; a key that is said twice is a mistake."""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn

from meson_core.dsl.documents.marked import Marked, marked, on_lines
from meson_core.dsl.names import shown
from meson_core.errors import DuplicateNameError, SpecError, Where, WrongTypeError

_MAX_DEPTH = 150
_MAX_DIGITS = 4000
_DECODER = json.JSONDecoder()
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z]+")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def parse_json(text: str, file: str) -> Marked:
    """A JSON document as plain data.

    Args:
        text: the document.
        file: what messages call it.

    Raises:
        SpecError: it is no JSON, or says a key twice.
    """
    reader = _Reader(text, file)
    value = reader.value(0)
    reader.skip()
    if reader.at < len(text):
        reader.refuse("something follows after the end of the document")
    return value


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.at = 0
        # Lines are counted from here on, so that each character is looked at once.
        self._counted = 0
        self._line = 1

    @property
    def line(self) -> int:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def refuse(self, problem: str) -> NoReturn:
        msg = f"this is not JSON: {problem}"
        raise SpecError(msg, where=Where(self.file, self.line))

    def skip(self) -> str:
        """The next character that is no space; "" at the end."""
        match = _SPACE.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return self.text[self.at : self.at + 1]

    def expect(self, wanted: str) -> None:
        found = self.skip()
        if found != wanted:
            self.refuse(f"expected {wanted!r}, found {shown(found) if found else 'the end'}")
        self.at += 1

    def value(self, depth: int) -> Marked:
        if depth > _MAX_DEPTH:
            self.refuse("it is nested too deeply")
        begins = self.skip()
        line = self.line
        if begins == "{":
            return self.mapping(line, depth)
        if begins == "[":
            return self.items(line, depth)
        if begins == '"':
            return marked(self.string(), line)
        word = _WORD.match(self.text, self.at)
        if word is not None and word.group() in _WORDS:
            self.at = word.end()
            return marked(_WORDS[word.group()], line)
        return marked(self.number(), line)

    def mapping(self, line: int, depth: int) -> Marked:
        found: dict[str, Marked] = {}
        lines: dict[str, int] = {}
        self.at += 1
        while self.skip() != "}":
            if found:
                self.expect(",")
            if self.skip() == "}":
                self.refuse("there is a comma, and nothing comes after it")
            if self.skip() != '"':
                self.refuse("a key must be a text in double quotes")
            at, key = self.line, self.string()
            if key in found:
                msg = f"the key {key!r} is here twice{on_lines(lines[key], at)}"
                raise DuplicateNameError(msg, where=Where(self.file, at))
            self.expect(":")
            found[key] = self.value(depth + 1)
            lines[key] = at
        self.at += 1
        return marked(found, line, lines)

    def items(self, line: int, depth: int) -> Marked:
        found: list[Marked] = []
        self.at += 1
        while self.skip() != "]":
            if found:
                self.expect(",")
            found.append(self.value(depth + 1))
        self.at += 1
        return marked(found, line)

    def string(self) -> str:
        try:
            found, self.at = _DECODER.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            self.refuse(error.msg[:1].lower() + error.msg[1:])
        text = str(found)
        if _HALF_PAIR.search(text):
            self.refuse(f"the text {shown(text)} has half of a surrogate pair")
        return text

    def number(self) -> int | float:
        match = _NUMBER.match(self.text, self.at)
        if match is None:
            word = _WORD.match(self.text, self.at)
            found = word.group() if word else self.text[self.at : self.at + 1]
            self.refuse(f"expected a value, found {shown(found) if found else 'the end'}")
        self.at = match.end()
        if match.group(1) is None and match.group(2) is None:
            if len(match.group()) <= _MAX_DIGITS:
                return int(match.group())
        elif math.isfinite(float(match.group())):
            return float(match.group())
        msg = f"{shown(match.group())} is larger than a workflow can carry"
        raise WrongTypeError(msg, where=Where(self.file, self.line))
