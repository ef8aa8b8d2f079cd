"""Owns the examination of plugins: everything that can be said about them without running a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from meson_core.plugins.record import KIND, MATCHER, SCHEDULER, STORE, TYPE, VISUALIZER, PluginInfo, PluginState
from meson_core.resources import Offer, Refusal, Request, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from meson_core.plugins.registry import Plugins

#: Seconds that loading a plugin should not exceed: everyone who types `mesonctl` waits for them.
QUICK_S = 0.25


class Finding(NamedTuple):
    """The result of one check of one plugin.

    Args:
        plugin: which one.
        check: what was looked at: "loads", "fits", "quick", "quiet", "options", "matches", "claims", or as the plugin calls it.
        ok: whether it is as it should be.
        text: one sentence.
    """

    plugin: PluginInfo
    check: str
    ok: bool
    text: str


def diagnose(plugins: Plugins, core_version: str) -> list[Finding]:
    """Examine every plugin.

    Args:
        plugins: with all of them loaded.
        core_version: of meson-core.
    """
    return [finding for info in plugins.listing for finding in _examine(info, plugins, core_version)]


def _examine(info: PluginInfo, plugins: Plugins, core_version: str) -> Iterator[Finding]:
    if info.state in (PluginState.disabled, PluginState.idle):
        why = "the settings disable it" if info.state is PluginState.disabled else "it was not needed"
        yield Finding(info, "loads", ok=True, text=f"not loaded: {why}")
        return
    declares = ", ".join(info.provides) or "nothing"
    yield Finding(info, "loads", info.error is None, f"declares {declares}" if info.error is None else info.error)
    yield _fits(info, core_version)
    slow = f"loading took {info.load_s:.2f} s; import clients when they are first used"
    yield Finding(info, "quick", info.load_s <= QUICK_S, slow if info.load_s > QUICK_S else f"{info.load_s:.3f} s")
    if info.printed:
        first = info.printed.strip().partition("\n")[0][:80]
        yield Finding(info, "quiet", ok=False, text=f"it printed while it was loaded: {first!r}")
    for (what, name), owners in plugins.owners.items():
        if info in owners and name in plugins.declared[what]:
            yield from _EXAMINATIONS[what](info, name, plugins.declared[what][name])
    if info.name in plugins.doctors:
        yield from (Finding(info, check.name, check.ok, check.text) for check in plugins.doctors[info.name]())


def _fits(info: PluginInfo, core_version: str) -> Finding:
    # Only the doctor compares versions; everyone else is spared the import.
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    for text in info.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            return Finding(info, "fits", ok=False, text=f"its requirement {text!r} cannot be read")
        if canonicalize_name(requirement.name) == "meson-core":
            if requirement.specifier.contains(core_version, prereleases=True):
                return Finding(info, "fits", ok=True, text=f"made for {text}")
            return Finding(info, "fits", ok=False, text=f"it asks for {text}, and this is meson-core {core_version}")
    if info.distribution == "meson-core":
        return Finding(info, "fits", ok=True, text="comes with meson-core")
    return Finding(info, "fits", ok=False, text="its distribution does not say which meson-core it needs")


def _options(info: PluginInfo, name: str, item: Any) -> Iterator[Finding]:
    """Editors, the terminal and the page make forms of the JSON Schema of options."""
    try:
        item.Options.model_json_schema()
    except Exception as error:  # noqa: BLE001 (a stranger's model)
        yield Finding(info, "options", ok=False, text=f"{name}: no JSON Schema of its options: {_told(error)}")
    else:
        yield Finding(info, "options", ok=True, text=f"{name}: its options have a JSON Schema")


_OFFERS = (
    Offer("1", "idle", {"cpus": 8.0, "memory": 1e10}, {"cpus": 8.0, "memory": 1e10}, {"zone": "a"}),
    Offer("2", "busy", {"cpus": 0.0, "memory": 0.0}, {"cpus": 8.0, "memory": 1e10}),
    Offer("3", "bare", {}, {}),
)
_REQUESTS = (Request(), Request(quantities=()), Request((("cpus", 4.0), ("gpus", 1.0)), ('zone == "a"',)))


def _matching(info: PluginInfo, name: str, matcher: Any) -> Iterator[Finding]:
    for request in _REQUESTS:
        try:
            match = matcher.compile(request)
            wrong = None if match is None else _wrong_verdicts(match, _OFFERS)
        except Exception as error:  # noqa: BLE001 (a stranger's matcher)
            wrong = f"it failed for a request of {dict(request.quantities)}: {_told(error)}"
        if wrong is not None:
            yield Finding(info, "matches", ok=False, text=f"{name}: {wrong}")
            return
    yield Finding(info, "matches", ok=True, text=f"{name}: answers with verdicts")


def _wrong_verdicts(match: Callable[[Sequence[Offer]], Sequence[Any]], offers: Sequence[Offer]) -> str | None:
    for asked in (offers, offers[:1], ()):
        verdicts = match(asked)
        if len(verdicts) != len(asked):
            return f"{len(verdicts)} verdicts for {len(asked)} offers"
        for verdict in verdicts:
            if not isinstance(verdict, Refusal | Score):
                return f"a verdict is {verdict!r}, expected a Refusal or a Score"
    return None


def _claims(info: PluginInfo, name: str, artifact_type: Any) -> Iterator[Finding]:
    """A suffix without its dot, or in capitals, would never be found at the end of a name."""
    wrong = [end for end in artifact_type.suffixes if not end.startswith(".") or end != end.lower()]
    if wrong:
        text = f"{name}: the suffix {wrong[0]!r} is no dot and small letters"
        yield Finding(info, "claims", ok=False, text=text)
    else:
        claims = ", ".join([*artifact_type.suffixes, *artifact_type.media]) or "only what names it"
        yield Finding(info, "claims", ok=True, text=f"{name}: {claims}")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


_EXAMINATIONS: Mapping[str, Callable[[PluginInfo, str, Any], Iterator[Finding]]] = {
    KIND: _options,
    SCHEDULER: _options,
    MATCHER: _matching,
    STORE: _options,
    TYPE: _claims,
    VISUALIZER: _options,
}
