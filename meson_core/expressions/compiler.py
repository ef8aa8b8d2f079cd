"""Owns the way from text to closures: the syntax tree is checked node by node, and nothing passes that is not listed."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from meson_core.errors import ExpressionError, nearest
from meson_core.expressions.functions import FUNCTIONS
from meson_core.expressions.operators import ARITHMETIC, COMPARISONS
from meson_core.expressions.values import LISTS, MAX_DEPTH, NUMBERS, Code, FaultError, Work, clip, number, show, told

_NOT_HERE: dict[type[ast.AST], tuple[str, str]] = {
    ast.ListComp: ("comprehensions", "compute the list in a step"),
    ast.SetComp: ("comprehensions", "compute the list in a step"),
    ast.DictComp: ("comprehensions", "compute the dict in a step"),
    ast.GeneratorExp: ("comprehensions", "compute the list in a step"),
    ast.Lambda: ("lambda", "compute the value in a step"),
    ast.JoinedStr: ("f-strings", "join texts with +"),
    ast.Set: ("sets", "write a list: [a, b]"),
    ast.NamedExpr: ("assignments", "compare with =="),
    ast.Starred: ("*", "join lists with +"),
}
_LITERALS = {"true": True, "false": False, "null": None}
_BAD_ESCAPE = re.compile(r"\\(?:[\\'\"abfnrtvxuUN0-7\n])|(\\.)", re.DOTALL)


class _Literals(ast.NodeTransformer):
    """JSON's spelling of the constants, as Python's."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.copy_location(ast.Constant(_LITERALS[node.id]), node) if node.id in _LITERALS else node


class Root(NamedTuple):
    """One place where an expression names something outside of itself.

    Args:
        name: the bare name.
        path: the constant keys behind it, outermost first: `("rows",)` for `get_users.rows`, also for `x["rows"]`.
        column: 1-based position of the name in the text.
    """

    name: str
    path: tuple[str | int, ...]
    column: int


class Compiled(NamedTuple):
    """What a text turned into."""

    tree: ast.expr
    roots: tuple[Root, ...]
    code: Code


def compile_text(text: str) -> Compiled:
    """Check `text` and turn it into closures.

    Raises:
        ExpressionError: it does not parse, or uses what the language does not have; with the column.
    """
    return _Compiler(text).compiled()


class _Compiler:
    """Checks one syntax tree and turns it into closures."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.source = text.strip()
        self.lead = len(text) - len(text.lstrip())

    def compiled(self) -> Compiled:
        if not self.source:
            message = "an expression cannot be empty"
            raise ExpressionError(message, text=self.text)
        # Python only warns of these, to where no author looks.
        escape = next((match for match in _BAD_ESCAPE.finditer(self.text) if match.group(1)), None)
        if escape is not None:
            raise self.error_at(f"{escape.group(1)} is not an escape", escape.start() + 1, "write a backslash as \\\\")
        try:
            tree = ast.parse(self.source, mode="eval").body
        except SyntaxError as error:
            raise self.syntax_error(error) from None
        except (ValueError, RecursionError, MemoryError):  # a NUL or a lone surrogate; nesting beyond Python's own
            raise self.error("it has a character that no text has, or is nested too deeply", None) from None
        self.measure(tree)
        tree = _Literals().visit(tree)
        code = self.code(tree)
        roots: list[Root] = []
        self.collect(tree, roots)
        return Compiled(tree, tuple(sorted(roots, key=lambda root: root.column)), code)

    # errors

    def column(self, node: ast.expr) -> int:
        """1-based, in characters of the whole text (Python counts bytes of one line)."""
        lines = self.source.split("\n")
        before = lines[node.lineno - 1].encode()[: node.col_offset].decode()
        return self.lead + sum(len(line) + 1 for line in lines[: node.lineno - 1]) + len(before) + 1

    def error(self, message: str, node: ast.expr | None, hint: str | None = None) -> ExpressionError:
        return self.error_at(message, None if node is None else self.column(node), hint)

    def error_at(self, message: str, column: int | None, hint: str | None = None) -> ExpressionError:
        place = "" if column is None else f", at column {column}"
        return ExpressionError(f"`{clip(self.text)}`: {message}{place}", text=self.text, column=column, hint=hint)

    def syntax_error(self, error: SyntaxError) -> ExpressionError:
        lines = self.source.split("\n")
        line = min(error.lineno or 1, len(lines))
        offset = error.offset or len(lines[line - 1]) + 1  # none, or 0: the text ended too early
        column = self.lead + sum(len(text) + 1 for text in lines[: line - 1]) + offset
        hint = None
        if re.search(r"(?<![=!<>])=(?!=)", self.text):
            hint = "compare with =="
        elif re.search(r"&&|\|\||!(?!=)", self.text):
            hint = "write and, or, not"
        elif "\n" in self.source:
            hint = "put an expression of several lines in brackets"
        return self.error_at(error.msg, column, hint)

    def measure(self, tree: ast.expr) -> None:
        stack: list[tuple[ast.AST, int]] = [(tree, 1)]
        while stack:
            node, depth = stack.pop()
            if depth > MAX_DEPTH:
                raise self.error(f"it is nested more than {MAX_DEPTH} levels deep", None, "compute the value in a step")
            stack.extend((child, depth + 1) for child in ast.iter_child_nodes(node))

    # names

    def collect(self, node: ast.AST, roots: list[Root]) -> None:
        path: list[str | int] = []
        base = node
        while isinstance(base, ast.Attribute | ast.Subscript):
            key = base.attr if isinstance(base, ast.Attribute) else _constant_key(base.slice)
            if key is None:
                path.clear()
                self.collect(base.slice, roots)  # type: ignore[union-attr]  # an attribute always has a key
            else:
                path.append(key)
            base = base.value
        if isinstance(base, ast.Name):
            roots.append(Root(base.id, tuple(reversed(path)), self.column(base)))
            return
        children = list(ast.iter_child_nodes(base))
        if isinstance(base, ast.Call):
            children = [*base.args, *(keyword.value for keyword in base.keywords)]
        for child in children:
            self.collect(child, roots)

    # one method per kind of node

    def code(self, node: ast.expr) -> Code:
        make = _MAKE.get(type(node))
        if make is None:
            what, hint = _NOT_HERE.get(type(node), (type(node).__name__, None))
            raise self.error(f"the expression language has no {what}", node, hint)
        return make(self, node)

    def constant(self, node: ast.Constant) -> Code:
        value = node.value
        if value is not None and type(value) not in (str, int, float, bool):
            raise self.error(f"{clip(repr(value))} is not a JSON value", node)
        if type(value) in (int, float):
            try:
                number(value)
            except ValueError as problem:
                raise self.error(str(problem), node) from None
        return lambda _: value

    def name(self, node: ast.Name) -> Code:
        name = node.id

        def run(work: Work) -> Any:
            try:
                return work.lookup(name)
            except LookupError:
                message = f"nothing is called {name!r} here"
                raise FaultError(node, message) from None

        return run

    def attribute(self, node: ast.Attribute) -> Code:
        return self.member(node, self.code(node.value), lambda _: node.attr)

    def subscript(self, node: ast.Subscript) -> Code:
        value = self.code(node.value)
        if isinstance(node.slice, ast.Slice):
            return self.part(node, value, node.slice)
        return self.member(node, value, self.code(node.slice))

    def member(self, node: ast.expr, value: Code, key: Code) -> Code:
        def run(work: Work) -> Any:
            base, name = value(work), key(work)
            try:
                if (type(base) is dict or isinstance(base, Mapping)) and type(name) is str:
                    return base[name]
                if (type(base) in LISTS or type(base) is str) and type(name) is int:
                    return base[name]
            except KeyError:
                close = nearest(name, map(str, base))
                message = f"there is no {name!r}; there are: {clip(', '.join(map(str, base))) or 'no keys'}"
                raise FaultError(node, message, f"did you mean {close!r}?" if close else None) from None
            except IndexError:
                message = f"index {name} is out of range, there are {len(base)} items"
                raise FaultError(node, message) from None
            message = f"{told(base)} has no {show(name)}"
            raise FaultError(node, message)

        return run

    def part(self, node: ast.expr, value: Code, bounds: ast.Slice) -> Code:
        ends = [None if end is None else self.code(end) for end in (bounds.lower, bounds.upper, bounds.step)]

        def run(work: Work) -> Any:
            base = value(work)
            numbers = [None if end is None else end(work) for end in ends]
            if type(base) not in LISTS and type(base) is not str:
                message = f"{told(base)} cannot be sliced"
                raise FaultError(node, message)
            if any(number is not None and type(number) is not int for number in numbers) or numbers[2] == 0:
                message = f"the bounds of a slice are integers and its step is not 0, got {numbers}"
                raise FaultError(node, message)
            return base[slice(*numbers)]

        return run

    def sign_or_not(self, node: ast.UnaryOp) -> Code:
        value = self.code(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda work: not value(work)
        if isinstance(node.op, ast.Invert):
            raise self.error("the expression language has no ~", node, "write not")
        apply = operator.neg if isinstance(node.op, ast.USub) else operator.pos

        def run(work: Work) -> Any:
            number = value(work)
            if type(number) not in NUMBERS:
                message = f"{told(number)} has no sign"
                raise FaultError(node, message)
            return apply(number)

        return run

    def arithmetic(self, node: ast.BinOp) -> Code:
        if type(node.op) not in ARITHMETIC:
            hint = "write and, or" if isinstance(node.op, ast.BitAnd | ast.BitOr) else None
            raise self.error(f"the expression language has no {type(node.op).__name__}", node, hint)
        sign, apply, other = ARITHMETIC[type(node.op)]
        left, right = self.code(node.left), self.code(node.right)

        def run(work: Work) -> Any:
            first, second = left(work), right(work)
            try:
                if type(first) in NUMBERS and type(second) in NUMBERS:
                    return number(apply(first, second))
                result = NotImplemented if other is None else other(work, first, second)
            except (ValueError, ArithmeticError) as problem:
                raise FaultError(node, str(problem)) from None
            if result is NotImplemented:
                message = f"{sign} does not work on {told(first)} and {told(second)}"
                raise FaultError(node, message)
            return result

        return run

    def logic(self, node: ast.BoolOp) -> Code:
        values = [self.code(value) for value in node.values]
        stops_on = isinstance(node.op, ast.Or)

        def run(work: Work) -> Any:
            result = None
            for value in values:
                result = value(work)
                if bool(result) is stops_on:
                    break
            return result

        return run

    def comparison(self, node: ast.Compare) -> Code:
        for op, side in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.Is | ast.IsNot) and not (isinstance(side, ast.Constant) and side.value is None):
                raise self.error("`is` only goes with None", side, "compare with ==")
        first = self.code(node.left)
        rest = [(*COMPARISONS[type(op)], self.code(side)) for op, side in zip(node.ops, node.comparators, strict=True)]

        def run(work: Work) -> bool:
            left = first(work)
            for sign, compare, side in rest:
                right = side(work)
                try:
                    if not compare(left, right):
                        return False
                except TypeError:
                    message = f"{sign} does not work on {told(left)} and {told(right)}"
                    raise FaultError(node, message) from None
                except ValueError as problem:
                    raise FaultError(node, str(problem)) from None
                left = right
            return True

        return run

    def choice(self, node: ast.IfExp) -> Code:
        test, then, otherwise = self.code(node.test), self.code(node.body), self.code(node.orelse)
        return lambda work: then(work) if test(work) else otherwise(work)

    def listing(self, node: ast.List | ast.Tuple) -> Code:
        items = [self.code(item) for item in node.elts]
        return self.guarded(node, lambda work: work.built([item(work) for item in items]))

    def mapping(self, node: ast.Dict) -> Code:
        pairs: list[tuple[Code, Code]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                raise self.error("the expression language has no **", value, "write the keys one by one")
            pairs.append((self.code(key), self.code(value)))

        def run(work: Work) -> Any:
            result: dict[str, Any] = {}
            for key, value in pairs:
                name = key(work)
                if type(name) is not str:
                    message = f"a key is a str, got {told(name)}"
                    raise TypeError(message)
                result[name] = value(work)
            return work.built(result)

        return self.guarded(node, run)

    def call(self, node: ast.Call) -> Code:
        if not isinstance(node.func, ast.Name):
            raise self.error("there are no methods, only functions", node.func, f"there are: {', '.join(FUNCTIONS)}")
        name = node.func.id
        function = FUNCTIONS.get(name)
        if function is None:
            close = nearest(name, FUNCTIONS)
            hint = f"did you mean {close!r}?" if close else f"there are: {', '.join(FUNCTIONS)}"
            raise self.error(f"there is no function {name!r}", node.func, hint)
        given = len(node.args)
        if given < function.least or (function.most is not None and given > function.most):
            most = "or more" if function.most is None else f"to {function.most}"
            takes = "1 argument" if function.most == 1 else f"{function.least} {most} arguments"
            raise self.error(f"{name}() takes {takes}, got {given}", node)
        values = [self.code(value) for value in node.args]
        keywords: dict[str, Code] = {}
        for keyword in node.keywords:
            if keyword.arg not in function.keywords:
                takes = f"; it takes {', '.join(function.keywords)}=" if function.keywords else ""
                refused = f"{keyword.arg}=" if keyword.arg is not None else "**"
                raise self.error(f"{name}() takes no {refused}{takes}", keyword.value)
            keywords[keyword.arg] = self.code(keyword.value)
        run = function.run
        return self.guarded(
            node,
            lambda work: run(
                work, *(value(work) for value in values), **{key: value(work) for key, value in keywords.items()}
            ),
            prefix=f"{name}(): ",
        )

    def guarded(self, node: ast.expr, run: Code, prefix: str = "") -> Code:
        def guarded(work: Work) -> Any:
            try:
                return run(work)
            except (TypeError, ValueError, ArithmeticError) as problem:
                raise FaultError(node, f"{prefix}{problem}") from None
            except KeyError as problem:
                raise FaultError(node, f"{prefix}there is no {problem}") from None

        return guarded


_MAKE: dict[type[ast.expr], Callable[[_Compiler, Any], Code]] = {
    ast.Constant: _Compiler.constant,
    ast.Name: _Compiler.name,
    ast.Attribute: _Compiler.attribute,
    ast.Subscript: _Compiler.subscript,
    ast.UnaryOp: _Compiler.sign_or_not,
    ast.BinOp: _Compiler.arithmetic,
    ast.BoolOp: _Compiler.logic,
    ast.Compare: _Compiler.comparison,
    ast.IfExp: _Compiler.choice,
    ast.List: _Compiler.listing,
    ast.Dict: _Compiler.mapping,
    ast.Call: _Compiler.call,
    ast.Tuple: _Compiler.listing,
}


def _constant_key(node: ast.expr) -> str | int | None:
    """The key of `x["a"]`, `x[0]` or `x[-1]`, or None when it depends on something."""
    if isinstance(node, ast.Constant) and type(node.value) in (str, int):
        return node.value  # type: ignore[return-value]  # narrowed by the line above
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        return -value if type(value) is int else None
    return None
