"""Owns the promises of the examination of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meson_core.plugins import diagnose, load_plugins

if TYPE_CHECKING:
    from tests.plugins.installed import Site

GOOD = """
    from meson_core.resources import Score
    class Matcher:
        name = "fair"
        def compile(self, request):
            return (lambda offers: [Score() for offer in offers]) if request.quantities else None
    @hookimpl
    def meson_step_kinds():
        return [Kind("good")]
    @hookimpl
    def meson_resource_matchers():
        return [Matcher()]
"""


def findings(name: str, core_version: str = "0.1.0") -> dict[str, str]:
    """Check → what is said, of one plugin; what is wrong begins with "not: "."""
    plugins = load_plugins(only={name})
    return {
        finding.check: finding.text if finding.ok else f"not: {finding.text}"
        for finding in diagnose(plugins, core_version)
        if finding.plugin.name == name
    }


def test_a_good_plugin_is_told_so(site: Site) -> None:
    site.install("good", GOOD)

    found = findings("good")

    assert found.pop("quick").endswith(" s")
    assert found == {
        "loads": "declares resource matcher fair, step kind good",
        "fits": "made for meson-core>=0.1",
        "options": "good: its options have a JSON Schema",
        "matches": "fair: answers with verdicts",
    }


def test_every_plugin_is_examined(site: Site) -> None:
    site.install("good", GOOD)
    site.install("off", GOOD)

    plugins = load_plugins(disabled=["off"], only={"good"})
    loads = {finding.plugin.name: finding.text for finding in diagnose(plugins, "0.1.0") if finding.check == "loads"}

    assert loads["off"] == "not loaded: the settings disable it"
    assert loads["shell"] == "not loaded: it was not needed"
    assert set(loads) == {info.name for info in plugins.listing}


def test_a_broken_one_is_told_why(site: Site) -> None:
    site.install("bad", "")

    assert findings("bad")["loads"] == "not: it implements no hook"


@pytest.mark.parametrize(
    ("requires", "text"),
    [
        ("meson-core>=2", "not: it asks for meson-core>=2, and this is meson-core 0.1.0"),
        ("meson_core~=0.1.0; python_version>'3'", "made for meson_core~=0.1.0; python_version>'3'"),
        ("Meson.Core <0.1", "not: it asks for Meson.Core <0.1, and this is meson-core 0.1.0"),
        ("requests", "not: its distribution does not say which meson-core it needs"),
        ("@!?", "not: its requirement '@!?' cannot be read"),
    ],
)
def test_the_version_that_a_plugin_is_made_for_is_compared(site: Site, requires: str, text: str) -> None:
    site.install("good", GOOD, requires=(requires,))

    assert findings("good")["fits"] == text


def test_the_built_ins_come_along() -> None:
    assert findings("shell")["fits"] == "comes with meson-core"


def test_a_plugin_that_prints_is_told(site: Site) -> None:
    site.install("loud", "print('hello')\nprint('world')")

    assert findings("loud")["quiet"] == "not: it printed while it was loaded: 'hello'"


def test_options_without_a_schema_are_told(site: Site) -> None:
    code = """
        class Odd: ...
        class Options(BaseModel, arbitrary_types_allowed=True):
            odd: Odd
        Kind.Options = Options
        @hookimpl
        def meson_step_kinds():
            return [Kind("odd")]
    """
    site.install("odd", code)

    assert findings("odd")["options"].startswith(
        "not: odd: no JSON Schema of its options: PydanticInvalidForJsonSchema: Cannot generate a JsonSchema for"
    )


@pytest.mark.parametrize(
    ("match", "text"),
    [
        ("lambda offers: []", "0 verdicts for 3 offers"),
        ("lambda offers: [5] * len(offers)", "a verdict is 5, expected a Refusal or a Score"),
        ("lambda offers: 1 / 0", "it failed for a request of {'cpus': 1.0}: ZeroDivisionError: division by zero"),
        (
            "lambda offers: [Score(o.free['cpus']) for o in offers]",
            "it failed for a request of {'cpus': 1.0}: KeyError: 'cpus'",
        ),
    ],
)
def test_a_matcher_that_does_not_answer_is_told(site: Site, match: str, text: str) -> None:
    code = f"""
        from meson_core.resources import Score
        class Matcher:
            name = "odd"
            def compile(self, request):
                return {match}
        @hookimpl
        def meson_resource_matchers():
            return [Matcher()]
    """
    site.install("odd", code)

    assert findings("odd")["matches"] == f"not: odd: {text}"


def test_a_plugins_own_checks_are_told(site: Site) -> None:
    code = """
        from meson_core.ports import DoctorCheck
        @hookimpl
        def meson_doctor():
            print("looking around")
            return [DoctorCheck("client", True, "1.4"), DoctorCheck("licence", False, "none in /etc/licences")]
    """
    site.install("careful", code)
    found = findings("careful")

    assert (found["client"], found["licence"]) == ("1.4", "not: none in /etc/licences")
    assert "quiet" not in found


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("1 / 0", "calling meson_doctor failed: ZeroDivisionError: division by zero"),
        ("None", "meson_doctor returned a NoneType, expected a list of DoctorChecks"),
        ("['all is well']", "meson_doctor: item 1 is a str, expected a DoctorCheck"),
        ("exit(1)", "calling meson_doctor ended with sys.exit(1)"),
    ],
)
def test_checks_that_fail_themselves_are_told(site: Site, answer: str, text: str) -> None:
    site.install("odd", f"@hookimpl\ndef meson_doctor():\n    return {answer}")
    found = findings("odd")

    assert found["loads"] == "declares nothing"
    assert found["doctor"].startswith(f"not: {text}")


def test_nobody_is_examined_unasked(site: Site) -> None:
    site.install("slow", "@hookimpl\ndef meson_doctor():\n    raise SystemExit")

    (info,) = [info for info in load_plugins(only={"slow"}).listing if info.name == "slow"]

    assert (info.state.value, info.error, info.provides) == ("loaded", None, ())
