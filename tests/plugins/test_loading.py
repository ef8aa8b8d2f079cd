"""Owns the promises of loading: what is good is used, what is broken is named and hurts nobody else."""

from __future__ import annotations

import re
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from meson_core.errors import PluginBrokenError, PluginConflictError, PluginMissingError
from meson_core.plugins import PluginInfo, Plugins, PluginState, load_plugins

if TYPE_CHECKING:
    from tests.plugins.installed import Site

GOOD = """
    @hookimpl
    def meson_step_kinds():
        return [Kind("good")]
"""

#: What goes wrong → how it is told. The module name is written as MODULE.
BROKEN = {
    "a missing client library": (
        "import surely_not_installed",
        "importing MODULE failed: ModuleNotFoundError: No module named 'surely_not_installed' (MODULE.py:14)",
    ),
    "a syntax error": (
        "def f(:",
        "importing MODULE failed: SyntaxError: invalid syntax (MODULE.py, line 14)",
    ),
    "an exception": (
        "1 / 0",
        "importing MODULE failed: ZeroDivisionError: division by zero (MODULE.py:14)",
    ),
    "an assertion": (
        "assert 1 == 2, 'one is not two'",
        "importing MODULE failed: AssertionError: one is not two (MODULE.py:14)",
    ),
    "an exit": (
        "import sys; sys.exit(3)",
        "importing MODULE ended with sys.exit(3)",
    ),
    "an exception that is no Exception": (
        "class Odd(BaseException): pass\nraise Odd()",
        "importing MODULE failed: Odd: without a message (MODULE.py:15)",
    ),
    "nothing": (
        "",
        "it implements no hook",
    ),
    "a hook without its marker": (
        "def meson_step_kinds(): return []",
        "meson_step_kinds has no @hookimpl above it",
    ),
    "one hook of two without its marker": (
        "@hookimpl\ndef meson_step_kinds(): return []\ndef meson_resource_matchers(): return []",
        "meson_resource_matchers has no @hookimpl above it",
    ),
    "a misspelt hook": (
        "@hookimpl\ndef meson_step_kind(): return []",
        "there is no hook 'meson_step_kind'; did you mean 'meson_step_kinds'?",
    ),
    "a misspelt hook without its marker": (
        "def meson_step_kind(): return []",
        "it implements no hook; it has 'meson_step_kind'; did you mean 'meson_step_kinds'?",
    ),
    "an unheard-of hook": (
        "@hookimpl\ndef xyz(): return []",
        "there is no hook 'xyz'",
    ),
    "an argument that the hook does not have": (
        "@hookimpl\ndef meson_step_kinds(app): return []",
        "meson_step_kinds has no argument 'app'; its arguments are: none",
    ),
    "a hook that raises": (
        "@hookimpl\ndef meson_step_kinds():\n    raise RuntimeError('no licence')",
        "calling meson_step_kinds failed: RuntimeError: no licence (MODULE.py:16)",
    ),
    "a hook that exits": (
        "@hookimpl\ndef meson_step_kinds():\n    raise SystemExit",
        "calling meson_step_kinds ended with sys.exit(None)",
    ),
    "one good hook and one that raises": (
        "@hookimpl\ndef meson_step_kinds(): return [Kind('x')]\n@hookimpl\ndef meson_artifact_stores(): return 1 / 0",
        "calling meson_artifact_stores failed: ZeroDivisionError: division by zero (MODULE.py:17)",
    ),
    "a dict": (
        "@hookimpl\ndef meson_step_kinds(): return {'x': Kind('x')}",
        "meson_step_kinds returned a dict, expected a list of step kinds",
    ),
    "a generator": (
        "@hookimpl\ndef meson_step_kinds(): yield Kind('x')",
        "meson_step_kinds returned a generator, expected a list of step kinds",
    ),
    "a class in place of an instance": (
        "@hookimpl\ndef meson_step_kinds(): return [Kind]",
        "meson_step_kinds: item 1 is the class Kind, expected a step kind",
    ),
    "no name": (
        "@hookimpl\ndef meson_step_kinds(): return [Kind('x'), object()]",
        "meson_step_kinds: item 2, an object, has no name; a name has letters, digits, '.', '_' and '-'",
    ),
    "a bad name": (
        "@hookimpl\ndef meson_step_kinds(): return [Kind('big data')]",
        "meson_step_kinds: item 1, a Kind, has the name 'big data'; a name has letters, digits, '.', '_' and '-'",
    ),
    "one name twice": (
        "@hookimpl\ndef meson_step_kinds(): return [Kind('x'), Kind('x')]",
        "meson_step_kinds declares the step kind 'x' twice",
    ),
    "no options": (
        "del Kind.Options\n@hookimpl\ndef meson_step_kinds(): return [Kind('x')]",
        "step kind 'x': Options is missing, expected a pydantic model, a class",
    ),
    "options that are no model": (
        "Kind.Options = dict\n@hookimpl\ndef meson_step_kinds(): return [Kind('x')]",
        "step kind 'x': Options is the class dict, expected a pydantic model, a class",
    ),
    "no capabilities": (
        "del Kind.capabilities\n@hookimpl\ndef meson_step_kinds(): return [Kind('x')]",
        "step kind 'x': capabilities is missing, expected StepCapabilities(…)",
    ),
    "other capabilities": (
        "Kind.capabilities = {'kill'}\n@hookimpl\ndef meson_step_kinds(): return [Kind('x')]",
        "step kind 'x': capabilities is a set, expected StepCapabilities(…)",
    ),
    "neither work nor run": (
        "del Kind.work\n@hookimpl\ndef meson_step_kinds(): return [Kind('x')]",
        "step kind 'x' has neither of work(options) and async run(options, ctx), expected one of them",
    ),
    "work and run": (
        "async def run(self, options, ctx): ...\nKind.run = run\n@hookimpl\ndef meson_step_kinds(): return [Kind('x')]",
        "step kind 'x' has both of work(options) and async run(options, ctx), expected one of them",
    ),
    "work without options": (
        "Kind.work = lambda self: None\n@hookimpl\ndef meson_step_kinds(): return [Kind('x')]",
        "step kind 'x': work takes (), expected (options)",
    ),
    "work that is async": (
        "async def work(self, options): ...\nKind.work = work\n@hookimpl\ndef meson_step_kinds(): return [Kind('x')]",
        "step kind 'x': work is async; it only describes the work, so it is a plain function",
    ),
    "run that is not async": (
        "del Kind.work\nKind.run = lambda self, options, ctx: {}\n@hookimpl\ndef meson_step_kinds(): return [Kind('x')]",
        "step kind 'x': run is a plain function, expected `async def run(self, options, ctx)`",
    ),
    "a resource scheduler of a class of its own": (
        "@hookimpl\ndef meson_resource_schedulers(): return [Kind('x')]",
        "resource scheduler 'x' is a Kind, expected a SchedulerDefinition",
    ),
    "a resource scheduler that does not open": (
        """
            from meson_core.ports import SchedulerCapabilities, SchedulerDefinition
            @hookimpl
            def meson_resource_schedulers():
                return [SchedulerDefinition("x", Kind.Options, SchedulerCapabilities(), open=None)]
        """,
        "resource scheduler 'x': open is missing, expected a function of (options, setting)",
    ),
    "a matcher that does not compile": (
        "Kind.compile = 5\n@hookimpl\ndef meson_resource_matchers(): return [Kind('x')]",
        "resource matcher 'x': compile is an int, expected a function of (request)",
    ),
    "an artifact store with another signature": (
        """
            from meson_core.ports import ArtifactStoreDefinition
            @hookimpl
            def meson_artifact_stores():
                return [ArtifactStoreDefinition("x", Kind.Options, open=lambda url: None)]
        """,
        "artifact store 'x': open takes (url), expected (options, directory)",
    ),
    "a property that raises": (
        """
            class Trap(Kind):
                @property
                def capabilities(self):
                    raise OSError("disk on fire")
            @hookimpl
            def meson_step_kinds():
                return [Trap("x")]
        """,
        "calling meson_step_kinds failed: OSError: disk on fire (MODULE.py:18)",
    ),
}


def info(plugins: Plugins, name: str) -> PluginInfo:
    return next(found for found in plugins.listing if found.name == name)


def test_a_plugin_is_found_by_its_entry_point(site: Site) -> None:
    site.install("mine", GOOD, distribution="meson-mine", version="2.5")

    plugins = load_plugins()
    found = info(plugins, "mine")

    assert plugins.kind("good") is plugins.kinds["good"]
    assert plugins.kind("good").name == "good"
    assert plugins.owner("step kind", "good") is found
    assert (found.state, found.origin, found.error) == (PluginState.loaded, "meson-mine 2.5", None)
    assert (found.hooks, found.provides) == (("meson_step_kinds",), ("step kind good",))
    assert found.load_s > 0


def test_an_object_is_as_good_as_a_module(site: Site) -> None:
    code = """
        class Plugin:
            __hash__ = None
            @hookimpl
            def meson_step_kinds(self):
                return [Kind("good")]
        plugin = Plugin()
    """
    site.install("mine", code, target="plugin")

    assert load_plugins().kind("good").name == "good"


def test_a_class_is_not(site: Site) -> None:
    module = site.install("mine", "class Plugin: ...", target="Plugin")

    assert info(load_plugins(), "mine").error == f"{module}:Plugin is a class, expected a module or an object"


def test_an_entry_point_that_names_nothing_is_broken(site: Site) -> None:
    module = site.install("mine", GOOD, target="plugin")

    expected = f"importing {module}:plugin failed: AttributeError: module '{module}' has no attribute 'plugin'"

    assert info(load_plugins(), "mine").error == expected


@pytest.mark.parametrize(("code", "error"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_named_and_hurts_nobody_else(site: Site, code: str, error: str) -> None:
    others = set(load_plugins().kinds)
    site.install("good", GOOD)
    module = site.install("bad", code)

    plugins = load_plugins()
    found = info(plugins, "bad")

    assert (found.state, found.error) == (PluginState.broken, error.replace("MODULE", module))
    assert found.provides == ()
    assert set(plugins.kinds) - others == {"good"}
    assert info(plugins, "good").state is PluginState.loaded
    with pytest.raises(PluginBrokenError) as caught:
        plugins.kind("bad")
    assert str(caught.value) == (
        f"step kind 'bad': the plugin 'bad' of meson-bad 1.0 is broken: {found.error}\n"
        "  hint: see `mesonctl plugins doctor bad`"
    )


def test_details_have_the_plugins_frames_and_none_of_ours(site: Site) -> None:
    module = site.install("bad", "def f():\n    return 1 / 0\nf()")

    details = info(load_plugins(), "bad").details or ""

    assert re.findall(r'File ".*/(\w+)\.py", line (\d+)', details) == [(module, "16"), (module, "15")]
    assert details.endswith("ZeroDivisionError: division by zero")


def test_a_person_may_interrupt(site: Site) -> None:
    site.install("bad", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        load_plugins()


def test_what_a_plugin_prints_is_kept_from_the_terminal(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("loud", f"import sys\nprint('welcome!')\nprint('oh', file=sys.stderr)\n{textwrap.dedent(GOOD)}")
    site.install("good", "")

    plugins = load_plugins()

    assert ("", "") == capsys.readouterr()
    assert info(plugins, "loud").printed == "welcome!\noh\n"
    assert info(plugins, "good").printed == ""


def test_two_plugins_of_one_name_are_both_named_and_neither_is_used(site: Site) -> None:
    one = site.install("twin", GOOD, distribution="meson-one")
    two = site.install("twin", GOOD, distribution="meson-two", version="3")

    plugins = load_plugins()

    twins = [found for found in plugins.listing if found.name == "twin"]
    error = "two plugins of one name: 'twin' of meson-one 1.0 and 'twin' of meson-two 3"
    assert [(found.state, found.error) for found in twins] == [(PluginState.conflict, error)] * 2
    assert {one, two} & set(sys.modules) == set()
    with pytest.raises(PluginConflictError) as caught:
        plugins.kind("twin")
    assert str(caught.value) == (
        f"step kind 'twin': {error}\n"
        "  hint: uninstall one of them, or put 'meson-one' or 'meson-two' into `disabled_plugins` in the settings"
    )


def test_disabling_one_distribution_settles_a_conflict_of_names(site: Site) -> None:
    site.install("twin", GOOD, distribution="meson-one")
    site.install("twin", GOOD, distribution="meson-two")

    plugins = load_plugins(disabled=["Meson_One"])

    assert plugins.owner("step kind", "good").distribution == "meson-two"


def test_two_plugins_that_declare_one_thing_are_both_named_and_the_rest_of_them_is_used(site: Site) -> None:
    code = "@hookimpl\ndef meson_step_kinds(): return [Kind('both'), Kind('{}')]"
    site.install("one", code.format("first"))
    site.install("two", code.format("second"))

    plugins = load_plugins()

    error = "step kind 'both' is declared by 'one' of meson-one 1.0 and 'two' of meson-two 1.0"
    assert [info(plugins, name).error for name in ("one", "two")] == [error] * 2
    assert {"first", "second"} <= set(plugins.kinds)
    with pytest.raises(PluginConflictError) as caught:
        plugins.kind("both")
    assert str(caught.value) == (
        f"{error}\n  hint: uninstall one of them, or put 'meson-one' or 'meson-two' into `disabled_plugins` in the settings"
    )


def test_all_conflicts_of_a_plugin_are_told(site: Site) -> None:
    code = "@hookimpl\ndef meson_step_kinds(): return [Kind('a'), Kind('b')]"
    site.install("one", code)
    site.install("two", code)

    error = info(load_plugins(), "one").error or ""

    assert error.count("is declared by") == 2


def test_a_step_kind_and_an_artifact_store_may_share_a_name(site: Site) -> None:
    code = """
        from meson_core.ports import ArtifactStoreDefinition
        @hookimpl
        def meson_step_kinds():
            return [Kind("s3")]
        @hookimpl
        def meson_artifact_stores():
            return [ArtifactStoreDefinition("s3", Kind.Options, lambda options, directory: None)]
    """
    site.install("s3", code)

    plugins = load_plugins()

    assert info(plugins, "s3").state is PluginState.loaded
    assert plugins.artifact_store("s3").name == plugins.kind("s3").name == "s3"


def test_the_same_distribution_twice_on_the_path_is_no_conflict(
    site: Site, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("mine", GOOD, distribution="meson-mine")
    shadowed = tmp_path_factory.mktemp("shadowed")
    monkeypatch.setattr(sys, "path", [*sys.path, str(shadowed)])
    type(site)(shadowed).install("mine", GOOD, distribution="meson-mine", version="0.9")

    assert info(load_plugins(), "mine").version == "1.0"


@pytest.mark.parametrize("disabled", ["mine", "meson-mine", "meson_mine"])
def test_a_disabled_plugin_is_listed_and_nothing_of_it_imported(site: Site, disabled: str) -> None:
    module = site.install("mine", GOOD)

    plugins = load_plugins(disabled=[disabled])

    assert info(plugins, "mine").state is PluginState.disabled
    assert module not in sys.modules
    with pytest.raises(PluginMissingError) as caught:
        plugins.kind("mine")
    assert str(caught.value) == (
        "step kind 'mine': the plugin 'mine' of meson-mine 1.0 is disabled\n"
        "  hint: take it out of `disabled_plugins` in the settings"
    )


def test_only_what_is_needed_is_imported(site: Site) -> None:
    needed = site.install("needed", GOOD)
    other = site.install("other", GOOD)

    plugins = load_plugins(only={"needed"})

    assert needed in sys.modules
    assert other not in sys.modules
    assert (info(plugins, "needed").state, info(plugins, "other").state) == (PluginState.loaded, PluginState.idle)
    assert set(plugins.kinds) == {"good"}


def test_one_distribution_can_be_asked_for(site: Site) -> None:
    site.install("needed", GOOD, distribution="Meson.Needed")
    other = site.install("other", GOOD)

    assert set(load_plugins(distribution="meson-needed").kinds) == {"good"}
    assert other not in sys.modules


def test_what_is_not_there_is_told_with_what_is(site: Site) -> None:
    site.install("good", GOOD)
    site.install("spark", "import surely_not_installed", distribution="meson-spark")

    plugins = load_plugins(only={"good", "spark"})

    with pytest.raises(PluginMissingError) as caught:
        plugins.kind("god")
    assert str(caught.value) == "there is no step kind 'god'\n  hint: did you mean 'good'?"
    with pytest.raises(PluginMissingError) as caught:
        plugins.kind("hive")
    assert str(caught.value) == (
        "there is no step kind 'hive'\n"
        "  hint: there are: good; install the plugin that has it, or mend the broken plugin that may have it: "
        "'spark' of meson-spark 1.0"
    )
    with pytest.raises(PluginMissingError) as caught:
        plugins.scheduler("mesos")
    assert str(caught.value).startswith(
        "there is no resource scheduler 'mesos'\n  hint: no plugin declares any; install the plugin that has it"
    )


def test_hooks_can_be_traced(site: Site) -> None:
    site.install("good", GOOD)
    site.install("bad", "@hookimpl\ndef meson_step_kinds(): return 1 / 0")
    lines: list[str] = []

    load_plugins(only={"good", "bad"}, trace=lines.append)

    assert [re.sub(r"0x\w+|meson_try_\w+|\d+\.\d+ ms", "…", line) for line in lines] == [
        "hook meson_step_kinds of bad (meson-bad 1.0) raised ZeroDivisionError in …",
        "hook meson_step_kinds of good (meson-good 1.0) answered [[<….Kind object at …>]] in …",
    ]


def test_a_distribution_without_metadata_is_still_listed(site: Site) -> None:
    """An interrupted removal leaves such a folder; it must not take the others down."""
    site.install("half", GOOD, distribution="meson-half")
    (site.folder / "meson_half-1.0.dist-info" / "METADATA").unlink()

    assert info(load_plugins(), "half").origin == "a distribution without a name"
