"""Owns the promises of the settings: where they come from, who wins, and what a person reads when one is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from meson_core.errors import SettingsError
from meson_core.settings import Settings, find_root, read_settings, reference, variables


class LocalOptions(BaseModel, extra="forbid"):
    """What a resource scheduler may declare."""

    cpus: float | None = Field(default=None, gt=0)
    memory: str | None = None
    attributes: dict[str, str] = {}
    api_token: int = 0


def write(root: Path, text: str, name: str = "meson.toml") -> Path:
    (root / name).write_text(text, encoding="utf-8")
    return root


def test_a_project_needs_no_settings(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, {})

    assert settings.model_dump() == Settings().model_dump()
    assert settings.root == tmp_path
    assert settings.directory == tmp_path / ".meson"
    assert settings.store_location == str(tmp_path / ".meson" / "store.db")


def test_the_file_wins_over_defaults_and_a_variable_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, "window = 7\ncell = 'gpu'\n[liveness]\nlost_after_s = 4\n[logging]\nlevel = 'debug'\n")

    settings = read_settings(tmp_path, {"MESON_WINDOW": "8", "MESON_LIVENESS_LOST_AFTER_S": "5.5", "HOME": "/nowhere"})

    assert (settings.window, settings.cell) == (8, "gpu")
    assert (settings.liveness.lost_after_s, settings.logging.level) == (5.5, "debug")


def test_pyproject_has_settings_when_there_is_no_file_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, "[tool.meson]\nwindow = 3\n[tool.meson.schedulers.local]\ncpus = 2\n", "pyproject.toml")

    assert read_settings(tmp_path, {}).window == 3
    assert read_settings(tmp_path, {}).scheduler_options(LocalOptions).cpus == 2

    write(tmp_path, "window = 4")

    assert read_settings(tmp_path, {}).window == 4
    assert read_settings(tmp_path, {}).scheduler_options(LocalOptions).cpus is None


def test_a_pyproject_of_others_is_not_about_us(tmp_path: Path) -> None:
    write(tmp_path, "[project]\nname = 'theirs'\n[tool.black]\nline-length = 100\n", "pyproject.toml")

    assert read_settings(tmp_path, {}).model_dump() == Settings().model_dump()


@pytest.mark.parametrize("word", ["1", "true", "Yes", "on"])
def test_a_switch_understands_what_people_write(tmp_path: Path, word: str) -> None:
    assert read_settings(tmp_path, {"MESON_TRACE_HOOKS": word}).trace_hooks is True


def test_a_list_in_a_variable_is_separated_by_commas(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, {"MESON_DISABLED_PLUGINS": "one, two,"})

    assert settings.disabled_plugins == ("one", "two")
    assert read_settings(tmp_path, {"MESON_DISABLED_PLUGINS": ""}).disabled_plugins == ()


def test_options_of_plugins_come_from_both(tmp_path: Path) -> None:
    write(tmp_path, "[schedulers.local]\ncpus = 2\n[schedulers.local.attributes]\nzone = 'a'\n")

    settings = read_settings(tmp_path, {"MESON_SCHEDULERS_LOCAL_CPUS": "3", "MESON_SCHEDULERS_LOCAL_MEMORY": "2 GB"})

    assert settings.scheduler_options(LocalOptions) == LocalOptions(cpus=3, memory="2 GB", attributes={"zone": "a"})


def test_options_reach_the_chosen_scheduler_whatever_its_name(tmp_path: Path) -> None:
    environ = {"MESON_SCHEDULER": "my-mesos.2", "MESON_SCHEDULERS_MY_MESOS_2_CPUS": "4"}

    assert read_settings(tmp_path, environ).scheduler_options(LocalOptions).cpus == 4


def test_a_database_url_is_left_alone(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, {"MESON_STORE": "postgresql+psycopg://db/meson"})

    assert settings.store_location == "postgresql+psycopg://db/meson"


def test_the_variables_of_steps_and_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    others = [
        "MESON_ATTEMPT",
        "MESON_EXECUTOR",
        "MESON_INPUTS",
        "MESON_INPUT_CELL",
        "MESON_OUTPUTS",
        "MESON_PROGRESS",
        "MESON_SCRATCH",
        "MESON_WORK",
        "MESON_PROJECT",
        "MESON_TESTTHREADS",
        "MESON_EXE_WRAPPER",
        "MESON_BUILD_ROOT",
    ]

    assert read_settings(tmp_path, dict.fromkeys(others, "x")).model_dump() == Settings().model_dump()


def test_every_variable_has_one_meaning() -> None:
    names = [name for name, _, _ in variables()]

    assert len(names) == len(set(names)) >= 12


@pytest.mark.parametrize(
    ("marker", "start"),
    [("meson.toml", "a/b/flow.py"), (".meson/store.db", "a/b"), ("pyproject.toml", "a/b/flow.py")],
)
def test_the_root_is_the_nearest_marked_folder(tmp_path: Path, marker: str, start: str) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "flow.py").touch()
    (tmp_path / "a" / marker).parent.mkdir(exist_ok=True)
    (tmp_path / "a" / marker).touch()
    (tmp_path / "pyproject.toml").touch()

    assert find_root(tmp_path / start) == tmp_path / "a"


def test_without_a_marker_the_root_is_the_folder_of_the_file(tmp_path: Path) -> None:
    flow = tmp_path / "flow.py"
    flow.touch()

    found = find_root(flow)

    assert found == tmp_path or any((found / name).exists() for name in ("meson.toml", ".meson", "pyproject.toml"))


WRONG = [
    (
        "windwo = 5",
        {},
        "meson.toml:1: there is no setting 'windwo'\n  hint: did you mean 'window'?",
    ),
    (
        "[liveness]\n# how long\nlost_afer_s = 5",
        {},
        "meson.toml:3: there is no setting 'liveness.lost_afer_s'\n  hint: did you mean 'lost_after_s'?",
    ),
    (
        "[logging]\nzzz = 5",
        {},
        "meson.toml:2: there is no setting 'logging.zzz'\n  hint: there are: format, level",
    ),
    (
        "cell = 'x'\n\nwindow = 0",
        {},
        "meson.toml:3: setting 'window': must be greater than or equal to 1, got 0",
    ),
    (
        "window = '5'",
        {},
        "meson.toml:1: setting 'window': must be an integer, got '5'",
    ),
    (
        "window = true",
        {},
        "meson.toml:1: setting 'window': must be an integer, got True",
    ),
    (
        "liveness.lost_after_s = 1",
        {},
        "meson.toml:1: setting 'liveness.lost_after_s': must be greater than or equal to 3, got 1",
    ),
    (
        "logging = { level = 'loud' }",
        {},
        "meson.toml:1: setting 'logging.level': must be 'debug', 'info', 'warning' or 'error', got 'loud'",
    ),
    (
        "disabled_plugins = 5",
        {},
        "meson.toml:1: setting 'disabled_plugins': must be a list, got 5",
    ),
    (
        "schedulers = 'local'",
        {},
        "meson.toml:1: setting 'schedulers': must be a table, got 'local'",
    ),
    (
        "cell = ''",
        {},
        "meson.toml:1: setting 'cell': must begin with a letter or digit and go on with letters, digits, '.', '_' and '-', got ''",
    ),
    (
        "store = 5",
        {},
        "meson.toml:1: setting 'store': must be a string, got 5",
    ),
    (
        "window = 5\nstore = ",
        {},
        "meson.toml:2: not TOML: Invalid value",
    ),
    (
        "window = 5\nwindow = 6",
        {},
        "meson.toml:2: not TOML: Cannot overwrite a value",
    ),
    (
        "window = 5",
        {"MESON_WINDOW": "many"},
        "variable MESON_WINDOW: must be an integer, got 'many'",
    ),
    (
        "",
        {"MESON_LIVENESS_LOST_AFTER_S": "-1"},
        "variable MESON_LIVENESS_LOST_AFTER_S: must be greater than or equal to 3, got -1",
    ),
    (
        "",
        {"MESON_TRACE_HOOKS": "maybe"},
        "variable MESON_TRACE_HOOKS: must be a boolean, got 'maybe'",
    ),
    (
        "",
        {"MESON_WINDWO": "5"},
        "there is no setting for the variable MESON_WINDWO\n  hint: did you mean MESON_WINDOW?",
    ),
    (
        "",
        {"MESON_SCHEDULERS": "{}"},
        "there is no setting for the variable MESON_SCHEDULERS\n  hint: did you mean MESON_SCHEDULER?",
    ),
    (
        "windwo = 5\ncell = 3",
        {"MESON_STORE_": "x"},
        (
            "3 settings are not right:\n"
            "meson.toml:2: setting 'cell': must be a string, got 3\n"
            "meson.toml:1: there is no setting 'windwo'\n  hint: did you mean 'window'?\n"
            "there is no setting for the variable MESON_STORE_\n  hint: did you mean MESON_STORE?"
        ),
    ),
]


@pytest.mark.parametrize(("text", "environ", "message"), WRONG)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, environ: dict[str, str], message: str) -> None:
    write(tmp_path, text)

    with pytest.raises(SettingsError) as caught:
        read_settings(tmp_path, environ)

    assert message == str(caught.value).replace(" (at end of document)", "")


def test_pyproject_is_named_with_its_own_lines(tmp_path: Path) -> None:
    write(tmp_path, "[project]\nwindow = 0\n[tool.meson]\nwindow = 0\n", "pyproject.toml")

    with pytest.raises(SettingsError, match=r"^pyproject.toml:4: setting 'window'"):
        read_settings(tmp_path, {})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "meson.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(SettingsError, match=r"^meson.toml:1: the settings are not UTF-8 text: byte 0 is 0xff"):
        read_settings(tmp_path, {})


WRONG_OPTIONS = [
    (
        "[schedulers.local]\n'cpu' = 2",
        {},
        "meson.toml:2: there is no setting 'schedulers.local.cpu'\n  hint: did you mean 'cpus'?",
    ),
    (
        "[schedulers.local]\ncpus = 0",
        {},
        "meson.toml:2: setting 'schedulers.local.cpus': must be greater than 0, got 0",
    ),
    (
        "[schedulers.local]\ncpus = 1",
        {"MESON_SCHEDULERS_LOCAL_CPUS": "x"},
        ("variable MESON_SCHEDULERS_LOCAL_CPUS: must be a number, unable to parse string as a number, got 'x'"),
    ),
    (
        "[schedulers.local.attributes]\nzone = 5",
        {},
        "meson.toml:2: setting 'schedulers.local.attributes.zone': must be a string, got 5",
    ),
    (
        "[schedulers.local]\napi_token = 'hunter2'",
        {},
        (
            "meson.toml:2: setting 'schedulers.local.api_token': must be an integer, unable to parse string "
            "as an integer"
        ),
    ),
]


@pytest.mark.parametrize(("text", "environ", "message"), WRONG_OPTIONS)
def test_options_are_told_like_settings(tmp_path: Path, text: str, environ: dict[str, str], message: str) -> None:
    """A plugin's options are written in the same file, so they are told in the same words; secrets are not shown."""
    settings = read_settings(write(tmp_path, text), environ)

    with pytest.raises(SettingsError) as caught:
        settings.scheduler_options(LocalOptions)

    assert message == str(caught.value)


def test_options_of_artifact_stores_are_their_own(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, "[artifact_stores.files]\ncpus = 1\n[schedulers.local]\ncpus = 9\n"), {})

    assert settings.artifact_store_options(LocalOptions).cpus == 1


def test_a_missing_option_is_told() -> None:
    class Needs(BaseModel):
        queue: str

    with pytest.raises(SettingsError, match=r"^setting 'schedulers.local.queue' is missing$"):
        Settings().scheduler_options(Needs)


def test_reading_settings_imports_no_clients() -> None:
    """Every start of `mesonctl` pays for these imports."""
    code = "import sys, meson_core.settings; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert set() == {"asyncio", "pydantic_settings", "sqlalchemy", "stevedore", "pluggy"} & set(loaded)


def test_the_page_of_settings_is_current() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")

    assert reference() == page, "run: python -m meson_core.settings > docs/settings.md"


def test_every_setting_is_documented() -> None:
    rows = [line.split("|") for line in reference().splitlines() if line.startswith("| `")]

    assert [row for row in rows if not row[4].strip().endswith(".")] == []
    assert {name for name, _, _ in variables()} <= {row[3].strip(" `") for row in rows}
