"""Owns what plugin authors test with: kits that plugins must pass, fakes of what is outside, and a clock that tests turn.

    class TestMyScheduler(ResourceSchedulerKit):
        definition = my_plugin.DEFINITION

    kinds             the kits for step kinds; `context` is what an async step sees
    schedulers        the kit for resource schedulers; `bench` opens them as an orchestrator does
    matchers          the kit for resource matchers
    artifact_stores   the kit for artifact stores
    artifacts         the kits for artifact types and visualizers; `versions` is what they are shown
    project           a folder in which `mesonctl` is run as people run it
    fake_service      a service outside of Meson that counts what is submitted to it
    clock             time that tests turn
    pytest_plugin     the same as fixtures; it comes with meson-core

Everything is imported when it is first used, for every pytest of an environment loads the pytest plugin.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meson_core.testing.artifact_stores import ArtifactStoreKit
    from meson_core.testing.artifacts import ArtifactTypeKit, VisualizerKit
    from meson_core.testing.clock import VirtualClock
    from meson_core.testing.context import FakeContext
    from meson_core.testing.fake_service import FakeService
    from meson_core.testing.kinds import ProgramKindKit, ServiceKindKit
    from meson_core.testing.matchers import ResourceMatcherKit
    from meson_core.testing.project import MesonProject
    from meson_core.testing.schedulers import ResourceSchedulerKit

__all__ = [
    "ArtifactStoreKit",
    "ArtifactTypeKit",
    "FakeContext",
    "FakeService",
    "MesonProject",
    "ProgramKindKit",
    "ResourceMatcherKit",
    "ResourceSchedulerKit",
    "ServiceKindKit",
    "VirtualClock",
    "VisualizerKit",
]

_MODULES = {
    "ArtifactStoreKit": "artifact_stores",
    "ArtifactTypeKit": "artifacts",
    "FakeContext": "context",
    "FakeService": "fake_service",
    "MesonProject": "project",
    "ProgramKindKit": "kinds",
    "ResourceMatcherKit": "matchers",
    "ResourceSchedulerKit": "schedulers",
    "ServiceKindKit": "kinds",
    "VirtualClock": "clock",
    "VisualizerKit": "artifacts",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
