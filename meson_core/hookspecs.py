"""Owns every hook of Meson, with its documentation; the hook reference in the docs is made from this file.

A plugin is a module or object named in the entry-point group `meson.plugins`; it implements any of these with
`@meson_core.hookspecs.hookimpl`. All hooks but the last are *declare* hooks: they are called once, when the plugin is
loaded, and return definitions. `meson_doctor` *answers*: it is called when somebody asks. Importing a plugin must be
cheap: client libraries are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.artifacts import ArtifactType, Visualizer
    from meson_core.ports import ArtifactStoreDefinition, DoctorCheck, ResourceMatcher, SchedulerDefinition, StepKind

#: Entry-point group in which plugins are found.
GROUP = "meson.plugins"
#: Name of the pluggy project.
PROJECT = "meson"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- running steps ------------------------------------------------------------------------------------------------


@hookspec
def meson_step_kinds() -> Sequence[StepKind]:
    """Adds step kinds: what a step of a workflow can be.

    When: terminal, orchestrator and host; once per process, when the plugin is loaded. Not called in executors,
        nor when the plugin is disabled.
    Returns: step kinds, each a `ProgramKind` or a `ServiceKind`. All answers of all plugins are used; an empty list
        means none. A name that two plugins declare is an error that names both distributions.
    Errors: the plugin is listed as broken with its error; only workflows that use one of its step kinds are refused.

    Example:
        from pydantic import BaseModel

        from meson_core.hookspecs import hookimpl
        from meson_core.ports import Program, StepCapabilities


        class Greet:
            name = "greet"
            capabilities = StepCapabilities()

            class Options(BaseModel):
                whom: str

            def work(self, options):
                return Program(argv=("echo", f"hello {options.whom}"))


        @hookimpl
        def meson_step_kinds():
            return [Greet()]

    Since: 0.1
    """
    raise NotImplementedError


# --- placing attempts ---------------------------------------------------------------------------------------------


@hookspec
def meson_resource_schedulers() -> Sequence[SchedulerDefinition]:
    """Adds resource schedulers: what places attempts on machines, chosen by name in the settings.

    When: orchestrator; once per process, when the plugin is loaded. `open` is called only for the one that the
        settings choose. Not called in executors or hosts.
    Returns: definitions. All answers are used; a name that two plugins declare is an error that names both.
    Errors: the plugin is listed as broken; the orchestrator refuses to start only when its settings choose it.

    Example:
        from contextlib import asynccontextmanager

        from pydantic import BaseModel

        from meson_core.hookspecs import hookimpl
        from meson_core.ports import SchedulerCapabilities, SchedulerDefinition


        class Options(BaseModel):
            queue: str = "default"


        @asynccontextmanager
        async def open_scheduler(options, setting):
            from my_scheduler.client import Scheduler  # imported when chosen, not before

            async with Scheduler(options.queue, setting) as scheduler:
                yield scheduler


        @hookimpl
        def meson_resource_schedulers():
            return [SchedulerDefinition("mine", Options, SchedulerCapabilities(offers=False), open_scheduler)]

    Since: 0.1
    """
    raise NotImplementedError


@hookspec
def meson_resource_matchers() -> Sequence[ResourceMatcher]:
    """Adds resource matchers: they refuse, with a reason, or score pairs of request and offer.

    When: orchestrator; once per process, when the plugin is loaded. `compile` is called once per request class; the
        function that it returns is asked about the offers that have changed since it was asked last, and again about
        an offer that got an attempt while there is a choice. What waits costs it nothing.
    Returns: matchers. All answers are used: one refusal refuses the pair, scores add up.
    Errors: the plugin is listed as broken and its matchers are left out; a matcher that raises while matching refuses
        the pair with its error as the reason, visible in `mesonctl why`.

    Example:
        from meson_core.hookspecs import hookimpl
        from meson_core.resources import Refusal, Score


        class NotOnMondays:
            name = "not_on_mondays"

            def compile(self, request):
                if request.amount("gpus") == 0:
                    return None

                def match(offers):
                    return [
                        Refusal(self.name, 'day != "monday"', "monday") if offer.attributes.get("day") == "monday" else Score()
                        for offer in offers
                    ]

                return match


        @hookimpl
        def meson_resource_matchers():
            return [NotOnMondays()]

    Since: 0.1
    """
    raise NotImplementedError


# --- keeping artifacts --------------------------------------------------------------------------------------------


@hookspec
def meson_artifact_stores() -> Sequence[ArtifactStoreDefinition]:
    """Adds artifact stores: where the bytes of artifacts are kept, chosen by name in the settings.

    When: terminal and orchestrator; once per process, when the plugin is loaded. `open` is called for the one that
        the settings choose.
    Returns: definitions. All answers are used; a name that two plugins declare is an error that names both.
    Errors: the plugin is listed as broken; only settings that choose it are refused.

    Example:
        from pathlib import Path

        from pydantic import BaseModel

        from meson_core.hookspecs import hookimpl
        from meson_core.ports import ArtifactStoreDefinition


        class Options(BaseModel):
            folder: Path = Path("/srv/artifacts")


        def open_store(options, directory):
            from my_store.shared import SharedFolder  # imported when chosen, not before

            return SharedFolder(options.folder)


        @hookimpl
        def meson_artifact_stores():
            return [ArtifactStoreDefinition("shared", Options, open_store)]

    Since: 0.1
    """
    raise NotImplementedError


# --- examining ----------------------------------------------------------------------------------------------------


@hookspec
def meson_doctor() -> Sequence[DoctorCheck]:
    """Adds checks to `mesonctl plugins doctor`: whether what the plugin needs around it is there.

    When: terminal; each time that somebody asks `mesonctl plugins doctor` about the plugin, and never otherwise. It may
        take a second or two; it changes nothing.
    Returns: what was found, one `DoctorCheck` for each thing looked at. Names need not differ from those of other
        plugins.
    Errors: an exception is shown as a check that failed. The plugin stays loaded: steps may run on machines that have
        what this one has not.

    Example:
        import shutil

        from meson_core.hookspecs import hookimpl
        from meson_core.ports import DoctorCheck


        @hookimpl
        def meson_doctor():
            found = shutil.which("Rscript")
            missing = "there is no Rscript on the PATH: install r-base-core where steps run"
            return [DoctorCheck("rscript", found is not None, found or missing)]

    Since: 0.1
    """
    raise NotImplementedError


# --- showing artifacts --------------------------------------------------------------------------------------------


@hookspec
def meson_artifact_types() -> Sequence[ArtifactType]:
    r"""Adds artifact types: what the bytes of some artifacts mean, and how they are shown, compared and followed over time.

    When: terminal, and wherever a client shows artifacts; once per process, when the plugin is loaded. Their methods are
        called when somebody looks at an artifact. Not called in orchestrators, executors or hosts: bytes do not go there.
    Returns: artifact types. All answers are used; a name that two plugins declare is an error that names both. An artifact
        says its type itself, else the type with the longest suffix of its name has it, else one with its media type.
    Errors: the plugin is listed as broken; artifacts of its types are shown as files. A method that raises hurts only the
        command that called it.

    Example:
        from meson_core.artifacts import TextView
        from meson_core.hookspecs import hookimpl


        class Fasta:
            name = "fasta"
            media = ("text/x-fasta",)
            suffixes = (".fasta", ".fa")

            def fingerprint(self, file):
                return str(sorted(line.strip() for line in file))

            def preview(self, version):
                return TextView("\n".join(self.names(version)), version.record.name)

            def diff(self, old, new):
                gone, come = set(self.names(old)), set(self.names(new))
                lines = [f"-{name}" for name in sorted(gone - come)] + [f"+{name}" for name in sorted(come - gone)]
                return TextView("\n".join(lines), new.record.name, "diff")

            def over_time(self, versions):
                return None

            def names(self, version):
                with version.open() as file:
                    return [line[1:].split()[0].decode() for line in file if line.startswith(b">")]


        @hookimpl
        def meson_artifact_types():
            return [Fasta()]

    Since: 0.1
    """
    raise NotImplementedError


@hookspec
def meson_visualizers() -> Sequence[Visualizer]:
    """Adds visualizers: they turn one or many versions of artifacts into a picture.

    When: terminal, and wherever a client shows artifacts; once per process, when the plugin is loaded. `draw` is called
        when somebody asks for the picture. Not called in orchestrators, executors or hosts.
    Returns: visualizers. All answers are used; a name that two plugins declare is an error that names both.
    Errors: the plugin is listed as broken, and its visualizers are not there. An `ArtifactError` of `draw` is told to who
        asked; anything else that it raises is told as a fault of the plugin.

    Example:
        from pydantic import BaseModel

        from meson_core.artifacts import VegaLite
        from meson_core.hookspecs import hookimpl


        class Sizes:
            name = "sizes"
            types = ()

            class Options(BaseModel):
                colour: str = "#4c78a8"

            def draw(self, versions, options):
                values = [{"number": one.record.number, "bytes": one.record.size} for one in versions]
                x = {"field": "number", "type": "ordinal"}
                y = {"field": "bytes", "type": "quantitative", "title": "size (bytes)"}
                mark = {"type": "bar", "color": options.colour}
                return VegaLite({"data": {"values": values}, "mark": mark, "encoding": {"x": x, "y": y}})


        @hookimpl
        def meson_visualizers():
            return [Sizes()]

    Since: 0.1
    """
    raise NotImplementedError
