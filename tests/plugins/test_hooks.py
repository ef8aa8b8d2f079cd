"""Owns a test for each hook: the example of its documentation, installed as a plugin and used."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from meson_core.artifacts import ArtifactRecord, ArtifactType, ArtifactVersion, TextView, VegaLite, Visualizer
from meson_core.plugins import PluginState, load_plugins
from meson_core.plugins.reference import hook_docs
from meson_core.ports import DoctorCheck, Program, ProgramKind, SchedulerCapabilities
from meson_core.resources import Offer, Refusal, Request, Score

if TYPE_CHECKING:
    import pytest

    from meson_core.plugins import Plugins
    from tests.plugins.installed import Site

EXAMPLES = {hook.name: hook.sections["Example"] for hook in hook_docs()}


def loaded(site: Site, hook: str) -> Plugins:
    site.install("example", EXAMPLES[hook], shared="")
    plugins = load_plugins(only={"example"})
    (info,) = (found for found in plugins.listing if found.name == "example")
    assert (info.state, info.error, info.hooks) == (PluginState.loaded, None, (hook,))
    return plugins


def test_meson_step_kinds(site: Site) -> None:
    kind = loaded(site, "meson_step_kinds").kind("greet")

    assert isinstance(kind, ProgramKind)
    assert kind.work(kind.Options(whom="world")) == Program(("echo", "hello world"))


def test_meson_resource_schedulers(site: Site) -> None:
    definition = loaded(site, "meson_resource_schedulers").scheduler("mine")

    assert definition.capabilities == SchedulerCapabilities(offers=False)
    assert definition.Options().model_dump() == {"queue": "default"}


def test_meson_resource_matchers(site: Site) -> None:
    matcher = loaded(site, "meson_resource_matchers").matchers["not_on_mondays"]
    offers = [Offer("1", "m", {}, {}, {"day": "monday"}), Offer("2", "m", {}, {}, {"day": "friday"})]
    match = matcher.compile(Request((("gpus", 1.0),)))

    assert matcher.compile(Request()) is None
    assert match is not None
    assert match(offers) == [Refusal("not_on_mondays", 'day != "monday"', "monday"), Score()]


def test_meson_artifact_stores(site: Site) -> None:
    definition = loaded(site, "meson_artifact_stores").artifact_store("shared")

    assert definition.Options().model_dump() == {"folder": Path("/srv/artifacts")}


def test_meson_doctor(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(site.folder))
    doctor = loaded(site, "meson_doctor").doctors["example"]

    (missing,) = doctor()
    rscript = site.folder / "Rscript"
    rscript.touch(mode=0o755)

    assert missing == DoctorCheck(
        "rscript", ok=False, text="there is no Rscript on the PATH: install r-base-core where steps run"
    )
    assert list(doctor()) == [DoctorCheck("rscript", ok=True, text=str(rscript))]


def version(number: int, data: bytes) -> ArtifactVersion:
    record = ArtifactRecord(
        number=number, name="align.reads", type="fasta", digest="sha256:", size=len(data), media="text/x-fasta", at=0.0
    )
    return ArtifactVersion(record, lambda: io.BytesIO(data))


def test_meson_artifact_types(site: Site) -> None:
    fasta = loaded(site, "meson_artifact_types").artifact_type("fasta")
    old, new = version(1, b">a one\nACGT\n>b\nAC\n"), version(2, b">b\nAC\n>c\nGT\n")

    assert isinstance(fasta, ArtifactType)
    assert fasta.preview(old) == TextView("a\nb", "align.reads")
    assert fasta.diff(old, new) == TextView("-a\n+c", "align.reads", "diff")
    assert fasta.over_time([old, new]) is None
    with old.open() as one, io.BytesIO(b">b\nAC\n>a one\nACGT\n") as other:
        assert fasta.fingerprint(one) == fasta.fingerprint(other)


def test_meson_visualizers(site: Site) -> None:
    sizes = loaded(site, "meson_visualizers").visualizer("sizes")

    assert isinstance(sizes, Visualizer)
    view = sizes.draw([version(1, b"four")], sizes.Options(colour="red"))
    assert isinstance(view, VegaLite)
    assert view.spec["data"] == {"values": [{"number": 1, "bytes": 4}]}
    assert view.spec["mark"] == {"type": "bar", "color": "red"}
