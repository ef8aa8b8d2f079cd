"""Tests of what importing costs: the door to the store is cheap, and Alembic is for upgrades only."""

from __future__ import annotations

import pytest

import meson_core.store
from tests.store.building import python


def imported_by(code: str) -> set[str]:
    process = python(f"import sys\n{code}\nprint(*sys.modules)")
    output, errors = process.communicate()
    assert errors == ""
    return {name.partition(".")[0] for name in output.split()}


def test_the_door_is_cheap() -> None:
    """`mesonctl --help` may pass it."""
    assert not {"sqlalchemy", "alembic", "pydantic"} & imported_by("import meson_core.store, meson_core.client")


def test_alembic_is_for_upgrades() -> None:
    """Neither making a store nor using one needs it, and it costs more than the rest together."""
    code = (
        "import tempfile; from meson_core.store import open_store\n"
        "with tempfile.TemporaryDirectory() as folder, open_store(folder) as store: store.acquire('c', 'x')"
    )
    found = imported_by(code)
    assert "sqlalchemy" in found
    assert not {"alembic", "mako"} & found


def test_no_other_database_system_is_imported() -> None:
    process = python("import sys, meson_core.store.store\nprint(*sys.modules)")
    output, _ = process.communicate()

    assert {name for name in output.split() if name.startswith("sqlalchemy.dialects.")} >= {
        "sqlalchemy.dialects.sqlite"
    }
    assert "sqlalchemy.dialects.postgresql" not in output.split()


def test_all_that_the_door_shows_is_there() -> None:
    for name in meson_core.store.__all__:
        assert getattr(meson_core.store, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = meson_core.store.nonsense
