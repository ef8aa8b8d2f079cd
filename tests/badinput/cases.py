"""Owns the table of bad input: reading it, playing a case, and writing what was said back into it.

The table is the YAML files in `table/`, a list of cases each:

    - case: what is bad, in words
      given: a run that has succeeded        # of `given.GIVEN`; nothing, when it is left out
      files: {flow.py: "…"}                  # files of the project
      plugins: {name: {code: "…"}}           # plugins that are installed
      variables: {MESON_WINDOW: "0"}         # of the environment
      damage: {cut: .meson/store.db}         # of `damages`, in this order
      run: run flow.py                       # the arguments of mesonctl
      exit: 3
      says: |                                # standard output, then standard error
        error[unknown-name]: flow.py:7: …
      perhaps: [the spool …]                 # beginnings of lines that are said or not, by who is first; left out of `says`
      then: {run: …, exit: …, says: …}       # once the damage is mended; for those that can be

Whatever a case says, `play` sees that no traceback of ours is printed, that nothing was run where the input was refused,
and that nothing that was recorded is lost: every event is still there, or a store that cannot be read was not touched.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.badinput import damages
from tests.badinput.stage import Said, Stage, install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.badinput.given import Stages

TABLE = Path(__file__).parent / "table"
_OURS = re.compile(r'File ".*(meson_core|meson_executor|meson_runtime|site-packages|<frozen)')
#: Exit codes that mean: nothing was run.
_REFUSED = (2, 3)


@dataclass(frozen=True, slots=True)
class Command:
    """A command line and what it must say.

    Args:
        run: the arguments of `mesonctl`.
        exit: its exit code; None in a table that is being written.
        says: what it prints; None as before.
    """

    run: str
    exit: int | None = None
    says: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table.

    Args:
        case: what is bad.
        file: of the table.
        command: what meets it.
        given: what was there before.
        files: of the project.
        plugins: that are installed.
        variables: of the environment.
        damage: what happens before the command.
        perhaps: beginnings of lines that depend on which of two processes is first.
        then: once it is mended.
    """

    case: str
    file: str
    command: Command
    given: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    plugins: dict[str, dict[str, str]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    damage: dict[str, Any] = field(default_factory=dict)
    perhaps: tuple[str, ...] = ()
    then: Command | None = None


def read_table() -> list[Case]:
    """All cases, file by file."""
    return [case for path in sorted(TABLE.glob("*.yaml")) for case in _read(path)]


def _read(path: Path) -> Iterator[Case]:
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
        own = {name: value for name, value in entry.items() if name not in ("run", "exit", "says", "then")}
        then = Command(**entry["then"]) if "then" in entry else None
        yield Case(file=path.stem, command=_command(entry), then=then, **own)


def _command(entry: dict[str, Any]) -> Command:
    return Command(entry["run"], entry.get("exit"), entry.get("says"))


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a case.

    Args:
        said: by its command.
        then: by the one after it.
        wrong: what must never happen and did.
    """

    said: Said
    then: Said | None
    wrong: list[str]


def play(case: Case, stages: Stages) -> Played:
    """Set the stage, do the damage, run the command, mend, and look at what is left."""
    stage = stages.make(case.given)
    try:
        for name, text in case.files.items():
            stage.write(name, text)
        for name, plugin in case.plugins.items():
            install(stage, name, plugin)
        before_damage = stage.recorded() or set()
        mends = [mend for name, what in case.damage.items() if (mend := getattr(damages, name)(stage, what))]
        stage.environment.update(case.variables)
        # What a damage that cannot be mended has destroyed is lost; what it left must not get less.
        recorded = before_damage if mends else stage.recorded()
        before = stage.store_bytes()
        said = stage.command(case.command.run).without(case.perhaps)
        after = stage.store_bytes()
        for mend in reversed(mends):
            mend()
        stage.bound = False
        wrong = [*_traces(said), *_losses(stage, recorded, before, after)]
        if said.code in _REFUSED and (stage.recorded() or set()) - before_damage:
            wrong.append("something was run, although the input was refused")
        then = None
        if case.then is not None:
            then = stage.command(case.then.run).without(case.perhaps)
            wrong += [*_traces(then), *_losses(stage, recorded, before, after)]
        return Played(said, then, wrong)
    finally:
        stage.close()


def _traces(said: Said) -> Iterator[str]:
    if "error[bug]" in said.text:
        yield "an error is called a bug"
    for line in said.text.splitlines():
        # The tail of a step's own log may hold a traceback, of the step's own code alone.
        if line.startswith("Traceback (most recent call last)"):
            yield "a traceback was printed"
        if _OURS.search(line):
            yield f"a line is about our code, which is nothing that a user can act on: {line.strip()}"


def _losses(
    stage: Stage, recorded: set[tuple[str, bytes]] | None, before: bytes | None, after: bytes | None
) -> Iterator[str]:
    left = stage.recorded()
    if recorded is None:
        if before != after:
            yield "the store could not be read before the command, and is another one after it"
    elif left is None:
        yield "the store cannot be read any more"
    elif recorded - left:
        yield f"{len(recorded - left)} frames of the log are lost"


# --- writing ----------------------------------------------------------------------------------------------------------


def update(play_one: Callable[[Case], Played], names: Sequence[str] = ()) -> list[tuple[Case, Played]]:
    """Play cases and write what was said into their files; everything else in a file stays as it is.

    Args:
        play_one: plays a case.
        names: of the cases; all when there are none.
    """
    played = []
    for path in sorted(TABLE.glob("*.yaml")):
        edits: list[tuple[int, int, str]] = []
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text)
        assert node is not None, f"{path} has no cases"
        for case, entry in zip(_read(path), node.value, strict=True):
            if names and not any(name in case.case for name in names):
                continue
            found = play_one(case)
            played.append((case, found))
            edits.append(_edit(text, entry, found.said, 2))
            if found.then is not None:
                then = next(value for key, value in entry.value if key.value == "then")
                edits.append(_edit(text, then, found.then, 4))
        for begin, end, new in sorted(edits, reverse=True):
            text = text[:begin] + new + text[end:]
        path.write_text(text, encoding="utf-8")
    return played


def _edit(text: str, node: yaml.MappingNode, said: Said, indent: int) -> tuple[int, int, str]:
    """Where `exit` and `says` of a mapping stand, and what is to stand there: they follow `run`."""
    keys = {key.value: (key, value) for key, value in node.value}
    begin = text.index("\n", keys["run"][1].end_mark.index - 1) + 1
    end = begin
    for name in ("exit", "says"):
        if name in keys:
            # The mark of a block is behind the empty lines that follow it, which separate the cases.
            end = max(end, len(text[: keys[name][1].end_mark.index].rstrip()) + 1)
    margin = " " * indent
    new = f"{margin}exit: {said.code}\n{margin}says: "
    new += "|\n" + textwrap.indent(said.text, margin + "  ", lambda line: bool(line.strip())) if said.text else '""\n'
    return begin, end, new
