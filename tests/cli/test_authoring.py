"""Owns the tests of the commands for authors: `validate`, `graph`, `schema`, and of the plugins that they depend on."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest

from meson_core.cli.settings_file import write_disabled
from meson_core.errors import SettingsError
from tests.plugins.installed import Site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Project

pytestmark = pytest.mark.slow

CHAIN = """
name: chain
params: {rows: {type: int, default: 3}}
sequence:
  - get: {kind: shell, script: 'echo', inputs: {rows: '${rows}'}}
  - each_row:
      for_each: {row: [1, 2]}
      body: {train: {kind: shell, script: 'true'}}
"""


def test_a_sound_workflow(project: Project) -> None:
    project.write("flow.yaml", CHAIN)
    told = project.mesonctl("validate", "flow.yaml")
    data = project.mesonctl("validate", "flow.yaml:chain", "-p", "rows=4", "--json").json

    assert (told.code, told.out) == (0, "ok: chain, 2 steps; parameters: rows\n")
    assert data["version"].startswith("sha256:")
    assert (data["workflow"], data["steps"], data["params"], data["outputs"]) == ("chain", 2, {"rows": "int"}, [])
    assert not (project.folder / ".meson").exists()


@pytest.mark.parametrize(
    ("form", "file", "begins"),
    [
        ("text", "flow.txt", "chain"),
        ("mermaid", "flow.mmd", "flowchart"),
        ("dot", "flow.gv", "digraph"),
        ("svg", "flow.svg", "<svg"),
    ],
)
def test_a_workflow_is_drawn(project: Project, form: str, file: str, begins: str) -> None:
    project.write("flow.yaml", CHAIN)
    printed = project.mesonctl("graph", "flow.yaml", "--format", form)
    written = project.mesonctl("graph", "flow.yaml", "-o", file)

    assert (printed.code, written.code, written.out) == (0, 0, "")
    assert begins in printed.out
    assert "train" in printed.out
    assert (project.folder / file).read_text(encoding="utf-8") == printed.out


def test_a_picture_that_cannot_be_written(project: Project) -> None:
    project.write("flow.yaml", CHAIN)
    done = project.mesonctl("graph", "flow.yaml", "-o", "nowhere/flow.svg")

    assert (done.code, done.err) == (
        4,
        "error[not-found]: nowhere/flow.svg cannot be written: No such file or directory\n",
    )


def test_the_schema_has_the_options_of_the_step_kinds(project: Project) -> None:
    schema = project.mesonctl("schema").json

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {"python", "shell"} <= set(schema["$defs"]["Step"]["properties"]["kind"]["enum"])
    assert "script" in schema["$defs"]["options.shell"]["properties"]


# --- plugins ----------------------------------------------------------------------------------------------------------


def test_a_broken_plugin_is_listed_and_hurts_only_who_needs_it(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    Site(folder).install("radio", "raise RuntimeError('no antenna')")
    project.env = {"PYTHONPATH": str(folder)}
    project.write("needs.yaml", "name: needs\nbody: {a: {kind: radio}}\n")
    project.write("not.yaml", "name: not_that\nbody: {a: {kind: shell, script: 'true'}}\n")
    listed = {each["name"]: each for each in project.mesonctl("plugins", "list", "--json").json}
    table = project.mesonctl("plugins", "list").out
    doctor = project.mesonctl("plugins", "doctor", "radio")
    needs = project.mesonctl("validate", "needs.yaml")

    assert (listed["radio"]["state"], listed["shell"]["state"]) == ("broken", "loaded")
    assert "no antenna" in listed["radio"]["error"]
    assert listed["local"]["declares"] == ["resource scheduler local"]
    assert "radio" in table
    assert doctor.code == 7
    assert "✗ loads" in doctor.out
    assert "no antenna" in doctor.out
    assert needs.code == 3
    assert needs.err.startswith("error[plugin-broken]: needs.yaml:2: step 'a': the plugin 'radio' of its kind")
    assert project.mesonctl("run", "not.yaml", "--json").code == 0


def test_sound_plugins_pass_the_doctor(project: Project) -> None:
    done = project.mesonctl("plugins", "doctor", "shell", "python", "--json")

    assert {each["plugin"] for each in done.json} == {"shell", "python"}
    # How long loading took depends on what else the machine does.
    assert [each for each in done.json if not each["ok"] and each["check"] != "quick"] == []


def test_a_plugin_is_disabled_and_enabled_in_the_settings(project: Project) -> None:
    before = (project.folder / "meson.toml").read_text()
    project.write("flow.yaml", "name: plain\nbody: {a: {kind: shell, script: 'true'}}\n")
    disabled = project.mesonctl("plugins", "disable", "shell")
    twice = project.mesonctl("plugins", "disable", "shell")
    refused = project.mesonctl("validate", "flow.yaml")
    settings = tomllib.loads((project.folder / "meson.toml").read_text())
    enabled = project.mesonctl("plugins", "enable", "shell")

    assert (disabled.code, disabled.out) == (0, "shell (meson-core 0.1.0) is disabled\n")
    assert twice.out == "shell is disabled already\n"
    assert settings == {**tomllib.loads(before), "disabled_plugins": ["shell"]}
    assert refused.code == 3
    assert "the plugin 'shell' of its kind is installed, but did not load: the settings disable it" in refused.err
    assert enabled.out == "shell is enabled\n"
    assert project.mesonctl("validate", "flow.yaml").code == 0


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("meson.toml", None, 'disabled_plugins = ["a", "b"]\n'),
        ("meson.toml", "[logging]\nlevel = 'info'\n", 'disabled_plugins = ["a", "b"]\n[logging]\nlevel = \'info\'\n'),
        (
            "meson.toml",
            "# mine\ndisabled_plugins = ['x']  # why\ncell = 'c'\n",
            '# mine\ndisabled_plugins = ["a", "b"]  # why\ncell = \'c\'\n',
        ),
        (
            "meson.toml",
            "disabled_plugins = [\n  'x',  # old\n]\n",
            'disabled_plugins = ["a", "b"]\n',
        ),
        (
            "pyproject.toml",
            "[project]\nname = 'p'\n\n[tool.meson]\ncell = 'c'\n\n[tool.other]\nx = 1\n",
            "[project]\nname = 'p'\n\n[tool.meson]\ndisabled_plugins = [\"a\", \"b\"]\ncell = 'c'\n\n[tool.other]\nx = 1\n",
        ),
    ],
)
def test_settings_are_edited_in_place(tmp_path: Path, file: str, text: str | None, expected: str) -> None:
    if text is not None:
        (tmp_path / file).write_text(text)
    path = write_disabled(tmp_path, ["a", "b"])

    assert path == tmp_path / file
    assert path.read_text() == expected


def test_settings_in_another_form_are_left_alone(tmp_path: Path) -> None:
    text = "'disabled_plugins' = ['x']\n"
    (tmp_path / "meson.toml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        write_disabled(tmp_path, ["a"])

    assert str(refused.value) == (
        "meson.toml: 'disabled_plugins' cannot be changed in place\n  hint: write there: disabled_plugins = [\"a\"]"
    )
    assert (tmp_path / "meson.toml").read_text() == text


def test_json_is_json(project: Project) -> None:
    """Every command for programs answers with one document, also where there is nothing."""
    project.write("flow.yaml", "name: plain\nbody: {a: {kind: shell, script: 'true'}}\n")
    run = project.mesonctl("submit", "flow.yaml", "--json").json
    answers = [
        project.mesonctl(*line, "--json").out
        for line in (["runs"], ["plugins", "list"], ["validate", "flow.yaml"], ["db", "check"], ["db", "upgrade"])
    ]

    assert (run["workflow"], run["started"]) == ("plain", False)
    assert [bool(json.loads(answer)) for answer in answers] == [True] * 5
