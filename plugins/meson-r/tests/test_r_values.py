"""Owns the table of values: what a JSON value is in R, and what a value of R is as JSON, by the declared type.

All cases of a table are one real R process, which is given the step's own program.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from meson_r import R, ROptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# On the machine that judges a change, a test that did not run would be a promise that nobody has looked at.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("Rscript") is None and "CI" not in os.environ,
        reason="R is not installed; on Debian and Ubuntu: apt install r-base-core r-cran-jsonlite",
    ),
]


class Ran(NamedTuple):
    """What an R process has left."""

    outputs: dict[str, Any]
    progress: list[Any]
    out: str
    err: str
    code: int


def run(
    folder: Path,
    script: str,
    *,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, str] | None = None,
    **options: Any,
) -> Ran:
    """Run the program of a step, as an executor would."""
    program = R().work(ROptions(script=script, **options))
    work = folder / "work"
    for name, text in program.files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text, encoding="utf-8")
    (folder / "inputs").write_text(json.dumps(inputs or {}, ensure_ascii=False), encoding="utf-8")
    paths = {name: str(folder / name.lower()) for name in ("INPUTS", "OUTPUTS", "PROGRESS", "WORK")}
    done = subprocess.run(
        [str(text) for text in program.argv],
        env={
            "PATH": os.environ["PATH"],
            **{name: str(text) for name, text in program.env.items()},
            **{f"MESON_{name}": path for name, path in paths.items()},
            **({"MESON_OUTPUT_TYPES": json.dumps(outputs)} if outputs else {}),
        },
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    written = {name: folder / name for name in ("outputs", "progress")}
    found = {name: path.read_text(encoding="utf-8") if path.exists() else "" for name, path in written.items()}
    return Ran(
        json.loads(found["outputs"] or "{}"),
        [json.loads(line) for line in found["progress"].splitlines()],
        done.stdout,
        done.stderr,
        done.returncode,
    )


# --- from JSON into R -------------------------------------------------------------------------------------------------

INPUTS: list[tuple[Any, str]] = [
    (7, "7L"),
    (0.5, "0.5"),
    (2**31 - 1, "2147483647L"),
    (2**31, "2147483648"),
    (-(2**53), "-9007199254740992"),
    (2**53 + 1, '"9007199254740993"'),
    (1e300, "1e300"),
    (True, "TRUE"),
    (None, "NULL"),
    ("", '""'),
    ('Zoë 🚀 "q" \\ \n', r'"Zo\u00eb \U1F680 \"q\" \\ \n"'),
    ([], "logical(0)"),
    ([5], "5L"),
    ([1, 2], "c(1L, 2L)"),
    ([1, 2.5], "c(1, 2.5)"),
    ([1, 2**40], "c(1, 1099511627776)"),
    ([1, None, 3], "c(1L, NA, 3L)"),
    (["a", None], 'c("a", NA)'),
    ([True, None], "c(TRUE, NA)"),
    ([None, None], "c(NA, NA)"),
    ([1, "a"], 'list(1L, "a")'),
    ([1, True], "list(1L, TRUE)"),
    ([1, None, "a"], 'list(1L, NULL, "a")'),
    ([[1, 2], [3]], "list(c(1L, 2L), 3L)"),
    ([[], [1]], "list(logical(0), 1L)"),
    ([{"x": 1}, {"x": 2}], "list(list(x = 1L), list(x = 2L))"),
    ({}, "structure(list(), names = character(0))"),
    ({"a": [1, 2], "b": ["x", "y"]}, 'list(a = c(1L, 2L), b = c("x", "y"))'),
    ({"a": None}, "list(a = NULL)"),
    ({"größe": 1}, "list(`gr\u00f6\u00dfe` = 1L)"),
]


def test_what_a_json_value_is_in_r(tmp_path: Path) -> None:
    """Every row holds exactly: type, length, names and all."""
    names = [f"x{number}" for number in range(len(INPUTS))]
    checks = "\n".join(
        f"if (!identical(meson$inputs${name}, {expected})) {{ cat('{name}: '); dput(meson$inputs${name}) }}"
        for name, (_, expected) in zip(names, INPUTS, strict=True)
    )

    ran = run(tmp_path, checks, inputs={name: value for name, (value, _) in zip(names, INPUTS, strict=True)})

    assert ("", "", 0) == (ran.out, ran.err, ran.code)


def test_a_text_that_r_cannot_hold_is_refused(tmp_path: Path) -> None:
    """R's text ends at a NUL: without a word, the rest would be missing."""
    assert "an input has a NUL character" in run(tmp_path, "1", inputs={"x": "a\0b"}).err
    assert 0 == run(tmp_path, "1", inputs={"x": "a\\u0000b"}).code


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("meson$inputs$regon", 'Error in meson$inputs$regon : there is no input "regon"; did you mean region?'),
        ('meson$inputs[["reg"]]', 'Error in meson$inputs[["reg"]] : there is no input "reg"; there are: region, alpha'),
        ("f <- function() meson$inputs$alhpa; f()", 'there is no input "alhpa"; did you mean alpha?'),
    ],
)
def test_a_misspelt_input_is_not_null(tmp_path: Path, script: str, message: str) -> None:
    """A list of R would give NULL for one, and for the other what begins alike."""
    ran = run(tmp_path, script, inputs={"region": "north", "alpha": 0.5})

    assert message in ran.progress[-1]["failure"]


# --- from R into JSON -------------------------------------------------------------------------------------------------

OUTPUTS: list[tuple[str, str, Any]] = [
    # A vector of length one is what was declared; without a declared type it is a scalar, unless it is I().
    ("5", "float", 5.0),
    ("5", "list[float]", [5.0]),
    ("5", "list", [5]),
    ("5", "any", 5),
    ("I(5)", "any", [5]),
    ("c(1.5, 2)", "list[float]", [1.5, 2.0]),
    ("c(1, 2)", "any", [1, 2]),
    ("list(5)", "any", [5]),
    ('"x"', "str", "x"),
    ('"x"', "list[str]", ["x"]),
    ("TRUE", "bool", True),
    ("c(TRUE, FALSE)", "list[bool]", [True, False]),
    # Nothing.
    ("c()", "list[float]", []),
    ("numeric(0)", "list[float]", []),
    ("character(0)", "any", []),
    ("list()", "any", []),
    ("NULL", "any", None),
    ("NULL", "dict", {}),
    ("setNames(list(), character(0))", "any", {}),
    # Numbers.
    ("3L", "int", 3),
    ("3", "int", 3),
    ("3000000000", "int", 3_000_000_000),
    ("-2^53", "int", -(2**53)),
    ("2^53", "any", 2**53),
    ("2^60", "float", float(2**60)),
    ("2^60", "any", float(2**60)),
    ("1e300", "any", 1e300),
    ("100000", "any", 100_000),
    ("0.1 + 0.2", "float", 0.1 + 0.2),
    ("5e-324", "float", 5e-324),
    (".Machine$double.xmax", "float", 1.7976931348623157e308),
    ("structure(5e-324, class = 'integer64')", "int", 1),
    ("structure(c(1, 2), class = 'integer64')", "list[int]", [4607182418800017408, 4611686018427387904]),
    ("structure(c(1, -0), class = 'integer64')", "any", [4607182418800017408, None]),
    # What is not there is null, where null may be.
    ("NA", "any", None),
    ("c(1, NA)", "list", [1, None]),
    ("c('a', NA)", "any", ["a", None]),
    ("list(a = NULL)", "dict", {"a": None}),
    # Text.
    (r'"Zo\u00eb \U1F680 \"q\" \\ \n\t\u0001"', "str", 'Zoë 🚀 "q" \\ \n\t\x01'),
    (r'iconv("gr\u00f6\u00dfe", "UTF-8", "latin1")', "str", "größe"),
    ('factor(c("b", "a", "b"))', "list[str]", ["b", "a", "b"]),
    ('factor("b", levels = c("a", "b"))', "str", "b"),
    ('factor(c("b", NA))', "any", ["b", None]),
    # Times and durations.
    ('as.Date("2024-02-29")', "str", "2024-02-29"),
    ('as.POSIXct("2024-02-29 12:00:01", tz = "Europe/Berlin")', "str", "2024-02-29T11:00:01Z"),
    ('as.POSIXlt("2024-02-29 12:00:01.5", tz = "UTC")', "str", "2024-02-29T12:00:01.500000Z"),
    ("as.difftime(2, units = 'mins')", "float", 120.0),
    # Names make a dict where a dict may be; elsewhere they are dropped.
    ("c(a = 1, b = 2)", "any", {"a": 1, "b": 2}),
    ("c(a = 1, b = 2)", "dict[float]", {"a": 1.0, "b": 2.0}),
    ("c(a = 1, b = 2)", "list[float]", [1.0, 2.0]),
    ("c(a = 1)", "float", 1.0),
    ("quantile(1:3, 0.5)", "float", 2.0),
    ("list(a = 1, b = 'x')", "any", {"a": 1, "b": "x"}),
    ("list(a = 1, b = 2:3)", "dict[list[int]]", {"a": [1], "b": [2, 3]}),
    ("list(`gr\u00f6\u00dfe` = 1, `a b` = 2)", "dict", {"größe": 1, "a b": 2}),
    ("table(c('x', 'y', 'x'))", "dict[int]", {"x": 2, "y": 1}),
    ("list(1, 'a', NULL, c(TRUE, FALSE))", "any", [1, "a", None, [True, False]]),
    # Tables: rows, or columns where a dict is declared. A column is a list, of however many rows.
    ("data.frame(x = 1:2, y = c('a', NA))", "any", [{"x": 1, "y": "a"}, {"x": 2, "y": None}]),
    ("data.frame(x = 1:2)", "list[dict[int]]", [{"x": 1}, {"x": 2}]),
    ("data.frame(x = 1:2, y = factor(c('a', 'b')))", "dict", {"x": [1, 2], "y": ["a", "b"]}),
    ("data.frame(x = 1.5)", "dict", {"x": [1.5]}),
    ("data.frame(x = 1.5)", "dict[list[float]]", {"x": [1.5]}),
    ("data.frame(x = numeric(0))", "any", []),
    ("data.frame(d = as.Date('2024-02-29'))", "any", [{"d": "2024-02-29"}]),
    ("matrix(1:4, 2)", "any", [[1, 3], [2, 4]]),
    ("matrix(1:2, 2)", "list[list[int]]", [[1], [2]]),
    ("matrix(1:2, 2)", "any", [[1], [2]]),
]

REFUSED: list[tuple[str, str, str]] = [
    ("Inf", "float", "x is Inf, and JSON has no such number"),
    ("-Inf", "any", "x is -Inf, and JSON has no such number"),
    ("NaN", "any", "x is NaN, and JSON has no such number"),
    ("c(1, NaN)", "list", "x[2] is NaN, and JSON has no such number"),
    ("NA", "float", "x is NA, and float has no NA"),
    ("c(1, 2, NA)", "list[float]", "x[3] is NA, and float has no NA"),
    ("NA_character_", "str", "x is NA, and str has no NA"),
    ("c(1, 2)", "float", "x: expected float, got 2 values"),
    ("numeric(0)", "float", "x: expected float, got 0 values"),
    ("NULL", "int", "x: expected int, got NULL"),
    ("list(1)", "int", "x: expected int, got a list"),
    ("data.frame(x = 1)", "int", "x: expected int, got a data frame"),
    ("1.5", "int", "x: expected int, got 1.5"),
    ("c(1, 2.5)", "list[int]", "x[2]: expected int, got 2.5"),
    ("2^53 + 2", "int", "x is beyond 2^53"),
    ('"7"', "int", 'x: expected int, got str "7"'),
    ("TRUE", "int", "x: expected int, got bool TRUE"),
    ("1", "bool", "x: expected bool, got the number 1"),
    ("7", "str", "x: expected str, got the number 7"),
    ('factor("7")', "int", 'x: expected int, got str "7"'),
    ("c(1, 2)", "dict", "x is a dict, and not all of it has names"),
    ("list(a = 1, 2)", "any", "x is a dict, and not all of it has names"),
    ("list(a = 1, a = 2)", "any", 'x has the name "a" twice'),
    ("list(a = list(b = 'x'))", "dict[dict[float]]", 'x$a$b: expected float, got str "x"'),
    ("list(1, list(2, 'x'))", "list[list[int]]", 'x[2][2]: expected int, got str "x"'),
    ("mean", "any", "x is of class function, which is not JSON: saveRDS() it"),
    ("1i", "any", "x is of class complex"),
    ("as.raw(1)", "any", "x is of class raw"),
    ("new.env()", "any", "x is of class environment"),
    ("quote(a + b)", "any", "x is of class call"),
    ("array(1, c(2, 2, 2))", "any", "x is an array of 3 dimensions"),
    (r'"\xff"', "str", "text that is not valid UTF-8"),
    ("7", "artifact", "x: expected artifact, which is a path or a data frame, got 7"),
    ("data.frame(x = I(list(1, 2)))", "artifact", "x: the column x is a list"),
    ('"nowhere.csv"', "artifact", 'x: there is no file or folder "nowhere.csv" in '),
]


def test_what_a_value_of_r_is_as_json(tmp_path: Path) -> None:
    """By the declared type, and exactly: 5 is no 5.0, and [5] no 5."""
    names = [f"x{number}" for number in range(len(OUTPUTS))]
    script = "\n".join(f'meson$output("{name}", {code})' for name, (code, _, _) in zip(names, OUTPUTS, strict=True))

    ran = run(tmp_path, script, outputs={name: kind for name, (_, kind, _) in zip(names, OUTPUTS, strict=True)})

    assert ("", 0) == (ran.err, ran.code)
    got = [(code, kind, repr(ran.outputs.get(name))) for name, (code, kind, _) in zip(names, OUTPUTS, strict=True)]
    assert [(code, kind, repr(value)) for code, kind, value in OUTPUTS] == got


def test_what_is_not_json_is_refused_where_it_is_given(tmp_path: Path) -> None:
    """As an error of the call that the author wrote, which says what was expected, what was there, and where in it."""
    names = [f"x{number}" for number in range(len(REFUSED))]
    script = "told <- function(e) c(conditionMessage(e), deparse(conditionCall(e)[[1]]))\n" + "\n".join(
        f'meson$emit("{name}", tryCatch(meson$output("{name}", {code}), error = told))'
        for name, (code, _, _) in zip(names, REFUSED, strict=True)
    )

    ran = run(tmp_path, script, outputs={name: kind for name, (_, kind, _) in zip(names, REFUSED, strict=True)})

    assert ("", 0, {}) == (ran.err, ran.code, ran.outputs)
    told = {line["emit"]: line["value"] for line in ran.progress}
    for name, (code, kind, wanted) in zip(names, REFUSED, strict=True):
        message, call = told[name]
        assert "meson$output" == call, (code, kind)
        assert message.replace(name, "x").startswith(wanted), (code, kind)


def test_numbers_come_through_both_ways_to_the_last_bit(tmp_path: Path) -> None:
    """A loss that was written down and read again is the same loss."""
    numbers = [random.Random(7).uniform(-1, 1) * 10.0**power for power in range(-300, 300)]

    ran = run(tmp_path, 'meson$output("x", meson$inputs$x)', inputs={"x": numbers}, outputs={"x": "list[float]"})

    assert numbers == ran.outputs["x"]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_text_is_the_same_in_every_locale(tmp_path: Path, locale: str) -> None:
    """Where the locale has no such letters, R's own files would have <U+00F6> in their place."""
    script = """
        meson$output("x", c("größe", meson$inputs$x))
        meson$progress("hälf")
        meson$artifact("table", setNames(data.frame("größe", factor("ü")), c("x", "ö")))
    """

    ran = run(tmp_path, script, inputs={"x": "Zoë 🚀"}, outputs={"x": "list[str]", "table": "artifact"}, locale=locale)

    assert ["größe", "Zoë 🚀"] == ran.outputs["x"]
    assert [{"message": "hälf"}] == ran.progress
    assert '"x","ö"\n"größe","ü"\n' == tmp_path.joinpath(ran.outputs["table"]).read_text(encoding="utf-8")


def test_a_script_of_another_editor(tmp_path: Path) -> None:
    """With a byte order mark, and with the line ends of Windows."""
    assert {"x": 3} == run(tmp_path, '\ufeffx <- 1 +\r\n  2\r\nmeson$output("x", x)\r\n').outputs


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**53), 2**53),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "str": _TEXT,
    "bool": st.booleans(),
}


def _containers(inner: st.SearchStrategy[tuple[str, Any]]) -> st.SearchStrategy[tuple[str, Any]]:
    """Several values of one type in a list, or in a dict; a name is never empty, for then R has none."""
    names = st.lists(_TEXT.filter(bool), unique=True, min_size=3, max_size=3)

    def boxed(typed: tuple[str, Any], keys: list[str], size: int, box: str) -> tuple[str, Any]:
        kind, value = typed
        return f"{box}[{kind}]", [value] * size if box == "list" else dict.fromkeys(keys[:size], value)

    return st.builds(boxed, inner, names, st.integers(0, 3), st.sampled_from(["list", "dict"]))


_TYPED = st.recursive(
    st.sampled_from(sorted(_SCALARS)).flatmap(lambda kind: st.tuples(st.just(kind), _SCALARS[kind])),
    _containers,
    max_leaves=4,
)


# An example is an R process, so what is found is told as it is: to make it smaller would take minutes.
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.lists(_TYPED, min_size=25, max_size=50))
def test_whatever_is_handed_through_comes_out_the_same(
    tmp_path_factory: pytest.TempPathFactory, typed: list[tuple[str, Any]]
) -> None:
    """A step that returns its inputs returns them, however they nest: R's view of them loses nothing that was declared."""
    types = {f"x{number}": kind for number, (kind, _) in enumerate(typed)}
    values = {f"x{number}": value for number, (_, value) in enumerate(typed)}
    script = "for (name in names(meson$inputs)) meson$output(name, meson$inputs[[name]])"

    ran = run(tmp_path_factory.mktemp("through"), script, inputs=values, outputs=types)

    assert "" == ran.err
    assert values == ran.outputs
    assert {name: repr(_whole(value)) for name, value in values.items()} == {
        name: repr(_whole(value)) for name, value in ran.outputs.items()
    }


def _whole(value: Any) -> Any:
    """The value with dicts in one order, and without the sign of zero, which JSON readers drop."""
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in sorted(value.items())}
    return [_whole(part) for part in value] if isinstance(value, list) else value or type(value)()


def test_a_data_frame_as_an_artifact_is_a_csv_file(tmp_path: Path) -> None:
    """With a header, without row numbers; what is missing is empty, and an empty text is not missing."""
    script = """
        frame <- data.frame(x = c(1.5, NA), name = c("Zo\\u00eb, \\"q\\"", ""), stringsAsFactors = TRUE)
        meson$artifact("scores", frame)
        meson$output("all", list(frame, "script.R", "."))
    """

    ran = run(tmp_path, script, outputs={"scores": "artifact", "all": "list[artifact]"})

    assert "" == ran.err
    text = tmp_path.joinpath(ran.outputs["scores"]).read_text(encoding="utf-8")
    assert '"x","name"\n1.5,"Zoë, ""q"""\n,""\n' == text
    first, second, folder = ran.outputs["all"]
    assert text == tmp_path.joinpath(first).read_text(encoding="utf-8")
    assert str(tmp_path / "work" / "script.R") == second
    assert str(tmp_path / "work") == folder


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('meson$output("rosw", 1)', 'there is no output "rosw"; did you mean rows?'),
        ('meson$output("model", 1)', 'there is no output "model"; there are: rows'),
        ('meson$artifact("rows", "script.R")', "output rows is declared as int, not as artifact"),
        ("meson$output(7, 1)", "the name of an output is text, got 7"),
    ],
)
def test_an_output_that_is_not_declared_is_refused(tmp_path: Path, call: str, message: str) -> None:
    ran = run(tmp_path, call, outputs={"rows": "int"})

    assert f"Error in {call} : {message}" == ran.progress[-1]["failure"]


def test_what_is_said_on_the_way(tmp_path: Path) -> None:
    """Progress that makes no sense is no reason to fail."""
    script = """
        meson$progress(0.5, "h\\u00e4lf\\nway")
        meson$progress(1)
        meson$progress("a message only")
        meson$progress(NaN)
        meson$progress(c(1, 2), "odd")
        meson$emit("losses", c(0.5, 0.25))
        meson$link("page", "http://localhost:4040")
        meson$messages()
    """

    ran = run(tmp_path, script)

    assert [
        {"progress": 0.5, "message": "hälf\nway"},
        {"progress": 1.0},
        {"message": "a message only"},
        {"message": "odd"},
        {"emit": "losses", "value": [0.5, 0.25]},
        {"link": "page", "url": "http://localhost:4040"},
    ] == ran.progress
    assert ("list()\n", "", 0) == (ran.out, ran.err, ran.code)


def test_a_fork_cannot_give_outputs(tmp_path: Path) -> None:
    """It would write down what it knows of, and wipe out what the others gave."""
    script = 'x <- parallel::mclapply(1:2, mc.cores = 2, function(i) meson$output("a", i)); meson$output("b", grepl("forked", x[[1]]))'

    assert {"b": True} == run(tmp_path, script).outputs
