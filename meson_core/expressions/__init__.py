"""Owns the expression language: conditions, bindings and constraints, kept as text, parsed once, evaluated safely.

The syntax is a small part of Python's, over JSON values: literals (also `true`, `false`, `null`), names, `a.b`,
`a["b"]`, `a[0]`, `a[1:]`, arithmetic, comparisons (chained as well), `in`, `is None`, `and`/`or`/`not`,
`x if c else y`, lists, tuples (which are lists) and dicts, and a fixed list of functions. There are no methods, no
attributes of Python objects, no comprehensions and no assignments, so an expression can only look at values.

Text becomes Python's own syntax tree, which is checked node by node against what is listed here and turned into nested
closures, once. Libraries such as simpleeval walk the tree again on each evaluation and know no columns; here an
ordinary condition costs two or three microseconds. Every evaluation has a budget of elements and characters that it may
build, numbers stay within the range of a float, and nesting is bounded, so that no text that a server accepts can keep
it busy.

    values, operators, functions    what can be computed
    compiler                        text → checked tree → closures
    expression                      the face: parse, evaluate, canonical
    template                        texts with expressions in them
"""

from __future__ import annotations

from meson_core.expressions.compiler import Root
from meson_core.expressions.expression import Expression, Lookup, literal, parse
from meson_core.expressions.functions import FUNCTIONS, Function
from meson_core.expressions.template import Template, parse_template
from meson_core.expressions.values import RESERVED, show

__all__ = [
    "FUNCTIONS",
    "RESERVED",
    "Expression",
    "Function",
    "Lookup",
    "Root",
    "Template",
    "literal",
    "parse",
    "parse_template",
    "show",
]
