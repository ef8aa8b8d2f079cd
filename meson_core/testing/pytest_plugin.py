"""Owns the pytest plugin that comes with meson-core: fixtures for plugin authors, and checks of kits that tell what they saw.

Every pytest of an environment loads it, so it imports nothing until a fixture is used.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from meson_core.testing.clock import VirtualClock
    from meson_core.testing.fake_service import FakeService
    from meson_core.testing.project import MesonProject

# The asserts of the kits are those of their users' tests.
_KITS = ("artifact_stores", "artifacts", "kinds", "matchers", "schedulers")
pytest.register_assert_rewrite(*(f"meson_core.testing.{kit}" for kit in _KITS))


@pytest.fixture
def meson_clock() -> VirtualClock:
    """A clock that the test turns; `meson_clock.run(main())` makes asyncio live by it."""
    from meson_core.testing.clock import VirtualClock  # noqa: PLC0415

    return VirtualClock()


@pytest.fixture
def meson_project(tmp_path: Path) -> MesonProject:
    """An empty project: `meson_project.write("flow.py", …)`, `meson_project.mesonctl("run", "flow.py")`."""
    from meson_core.testing.project import MesonProject  # noqa: PLC0415

    return MesonProject(tmp_path)


@pytest.fixture
def meson_fake_service() -> Iterator[Callable[..., FakeService]]:
    """Starts fake outside services: `meson_fake_service(deduplicates=False, finds=True)`; they end with the test."""
    from meson_core.testing.fake_service import FakeService  # noqa: PLC0415

    with ExitStack() as services:

        def start(*, deduplicates: bool = True, finds: bool = True) -> FakeService:
            return services.enter_context(FakeService.running(deduplicates=deduplicates, finds=finds))

        yield start
