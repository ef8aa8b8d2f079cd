"""Owns the promise of wheels: what is installed is listed, exactly; a plugin that is no good is named and hurts nobody else."""

from __future__ import annotations

import json
import shutil
import tomllib
from typing import TYPE_CHECKING

import pytest

from meson_core.cli.scaffold import write_plugin
from tests.cli.wheels import ROOT, Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Edit = Callable[[Path], None]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
#: What meson-core brings itself.
OURS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["meson.plugins"])
PLUGINS = sorted(manifest.parent for manifest in (ROOT / "plugins").glob("*/pyproject.toml"))
WORKFLOW = """
from meson_core import kind, workflow

hello = kind("greet", name="hello", whom="wheels", outputs={"greeting": str})
wf = workflow("trial", hello, outputs={"greeting": hello.output["greeting"]})
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A fresh environment with meson-core, meson-executor and the plugin `greet`, all from wheels."""
    folder = tmp_path_factory.mktemp("site")
    write_plugin(folder / "greet", "greet", "step", "0.1.0")
    return Site.with_core(folder, "meson-executor", folder / "greet")


@pytest.fixture
def project(site: Site, tmp_path: Path) -> Path:
    """A project with a workflow that needs `greet`."""
    (tmp_path / "flow.py").write_text(WORKFLOW)
    (tmp_path / "meson.toml").write_text("[schedulers.local]\nidle_exit_s = 0.5\n")
    return tmp_path


def listed(site: Site, project: Path) -> dict[tuple[str, str], tuple[str, str | None]]:
    """(plugin, distribution with version) → state and error, as `mesonctl plugins list` has them."""
    done = site.run("mesonctl", "plugins", "list", "--json", cwd=project)
    assert done.returncode == 0, done.stdout
    return {
        (one["name"], f"{one['distribution']} {one['version']}"): (one["state"], one["error"])
        for one in json.loads(done.stdout)
    }


def test_what_is_installed_is_listed_exactly(site: Site, project: Path) -> None:
    plugins = listed(site, project)

    assert set(plugins) == {*((name, "meson-core 0.1.0") for name in OURS), ("greet", "meson-greet 0.1.0")}
    assert set(plugins.values()) == {("loaded", None)}


@pytest.mark.parametrize("plugin", PLUGINS, ids=[plugin.name for plugin in PLUGINS])
def test_each_of_our_plugins_is_installed_by_itself(plugin: Path, tmp_path: Path) -> None:
    """What they need is in their wheels and in their requirements: nothing of the workspace helps them."""
    alone = Site.with_core(tmp_path / "site", plugin)
    project = tmp_path / "project"
    project.mkdir()
    manifest = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]
    mine = {(name, f"{manifest['name']} {manifest['version']}") for name in manifest["entry-points"]["meson.plugins"]}
    plugins = listed(alone, project)
    fits = alone.run("mesonctl", "plugins", "doctor", manifest["name"], cwd=project).stdout

    assert set(plugins) == {*((name, "meson-core 0.1.0") for name in OURS), *mine}
    assert set(plugins.values()) == {("loaded", None)}
    assert ("✓ loads" in fits, "✓ fits" in fits) == (True, True), fits


def test_a_workflow_runs_there(site: Site, project: Path) -> None:
    done = site.run("mesonctl", "run", "flow.py", cwd=project)

    assert done.returncode == 0, done.stdout
    assert "hello wheels" in done.stdout


def broken(package: Path) -> None:
    module = package / "meson_bad" / "__init__.py"
    module.write_text(
        "import surely_not_installed\n" + module.read_text().replace("from __future__ import annotations", "")
    )


def incompatible(package: Path) -> None:
    manifest = package / "pyproject.toml"
    manifest.write_text(manifest.read_text().replace('"meson-core~=0.1.0"', '"meson-core>=7"'))


def rival(package: Path) -> None:
    module = package / "meson_bad" / "__init__.py"
    module.write_text(module.read_text().replace('name = "bad"', 'name = "shell"'))


def misspelt(package: Path) -> None:
    module = package / "meson_bad" / "__init__.py"
    module.write_text(module.read_text().replace("def meson_step_kinds", "def meson_steps_kind"))


@pytest.mark.parametrize(
    ("spoil", "listed_as", "examined", "spoilt_too"),
    [
        pytest.param(
            broken,
            ("broken", "importing meson_bad failed: ModuleNotFoundError: No module named 'surely_not_installed'"),
            "✗ loads",
            set(),
            id="broken",
        ),
        pytest.param(misspelt, ("broken", "there is no hook 'meson_steps_kind'"), "✗ loads", set(), id="misspelt"),
        pytest.param(
            incompatible,
            ("loaded", None),
            "✗ fits     it asks for meson-core>=7, and this is meson-core 0.1.0",
            set(),
            id="incompatible",
        ),
        pytest.param(
            rival,
            ("conflict", "step kind 'shell' is declared by 'bad' of meson-bad 0.1.0 and 'shell' of meson-core 0.1.0"),
            "✗ loads",
            {("shell", "meson-core 0.1.0")},
            id="duplicate",
        ),
    ],
)
def test_one_that_is_no_good_is_named_and_hurts_nobody_else(
    site: Site,
    project: Path,
    tmp_path: Path,
    spoil: Edit,
    listed_as: tuple[str, str | None],
    examined: str,
    spoilt_too: set[tuple[str, str]],
) -> None:
    before = listed(site, project)
    package = tmp_path / "package"
    write_plugin(package, "bad", "step", "0.1.0")
    spoil(package)
    site.install(package, dependencies=False)
    try:
        after = listed(site, project)
        doctor = site.run("mesonctl", "plugins", "doctor", "bad", cwd=project)
        run = site.run("mesonctl", "run", "flow.py", cwd=project)
    finally:
        site.uninstall("meson-bad")
        shutil.rmtree(package)
    state, error = after.pop(("bad", "meson-bad 0.1.0"))

    assert (state, (error or "").startswith(listed_as[1] or "")) == (listed_as[0], True), error
    assert {plugin for plugin, found in after.items() if found != before[plugin]} == spoilt_too
    assert (doctor.returncode, examined in doctor.stdout) == (7, True), doctor.stdout
    assert "bad  meson-bad 0.1.0" in doctor.stdout
    assert run.returncode == 0, run.stdout


def test_two_of_one_name_are_told_apart(site: Site, project: Path, tmp_path: Path) -> None:
    """Somebody else has published a `greet` as well: nobody gets it, until one of them is disabled."""
    package = tmp_path / "package"
    write_plugin(package, "greet", "step", "0.1.0")
    manifest = package / "pyproject.toml"
    manifest.write_text(
        manifest.read_text().replace("meson-greet", "other-greet").replace("meson_greet", "other_greet")
    )
    (package / "meson_greet").rename(package / "other_greet")
    site.install(package, dependencies=False)
    try:
        plugins = listed(site, project)
        refused = site.run("mesonctl", "run", "flow.py", cwd=project)
        shown = site.run("mesonctl", "plugins", "show", "greet", cwd=project)
        disabled = site.run("mesonctl", "plugins", "disable", "other-greet", cwd=project)
        run = site.run("mesonctl", "run", "flow.py", cwd=project)
    finally:
        site.uninstall("other-greet")
    both = "two plugins of one name: 'greet' of meson-greet 0.1.0 and 'greet' of other-greet 0.1.0"

    assert plugins["greet", "meson-greet 0.1.0"] == plugins["greet", "other-greet 0.1.0"] == ("conflict", both)
    assert refused.returncode != 0
    assert both in refused.stdout
    assert ("greet  meson-greet 0.1.0" in shown.stdout, "greet  other-greet 0.1.0" in shown.stdout) == (True, True)
    assert disabled.returncode == 0, disabled.stdout
    assert run.returncode == 0, run.stdout


def test_what_depends_on_a_plugin_is_shown(site: Site, project: Path) -> None:
    """The run cannot go on while the machine is too small for it, and would miss the plugin."""
    (project / "flow.py").write_text(WORKFLOW.replace('whom="wheels", ', 'whom="wheels", cpus=1000, '))
    submitted = site.run("mesonctl", "submit", "flow.py", cwd=project)
    assert submitted.returncode == 0, submitted.stdout
    serving = site.start("mesonctl", "serve", cwd=project)
    try:
        shown = site.until("run ", "mesonctl", "plugins", "show", "greet", cwd=project)
    finally:
        serving.terminate()
        serving.wait(60)

    assert "of trial (running): hello" in shown
    assert "hooks       meson_doctor, meson_step_kinds" in shown
    assert "declares    step kind greet" in shown
    assert "asks for    meson-core~=0.1.0" in shown
    assert "last error  none" in shown


def test_a_run_that_meets_another_version_says_what_would_change(
    tmp_path_factory: pytest.TempPathFactory, project: Path
) -> None:
    """The plugin is upgraded while a run waits: nothing of it starts, and people see why wherever they look."""
    folder = tmp_path_factory.mktemp("upgraded")
    write_plugin(folder / "greet", "greet", "step", "0.1.0")
    site = Site.with_core(folder, folder / "greet")
    (project / "flow.py").write_text(WORKFLOW.replace('whom="wheels", ', 'whom="wheels", cpus=1000, '))
    submitted = site.run("mesonctl", "submit", "flow.py", cwd=project)
    assert submitted.returncode == 0, submitted.stdout
    serving = site.start("mesonctl", "serve", cwd=project)
    try:
        site.until("cpus >= 1000", "mesonctl", "why", "last", "hello", cwd=project)
    finally:
        serving.terminate()
        serving.wait(60)
    manifest = folder / "greet" / "pyproject.toml"
    manifest.write_text(manifest.read_text().replace('version = "0.1.0"', 'version = "0.2.0"'))
    site.install(folder / "greet", dependencies=False)
    serving = site.start("mesonctl", "serve", cwd=project)
    try:
        why = site.until("is pinned to", "mesonctl", "why", "last", "hello", cwd=project)
    finally:
        serving.terminate()
        serving.wait(60)
    shown = site.run("mesonctl", "plugins", "show", "greet", cwd=project).stdout

    expected = "meson-greet 0.1.0 for the step kind 'greet', and 0.2.0 is installed, which would do hello: install what it needs"
    assert expected in " ".join(why.split())
    assert "(running), pinned to meson-greet 0.1.0: hello" in shown
