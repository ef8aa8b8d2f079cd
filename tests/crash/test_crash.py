"""Owns the short form of the crash equivalence; `python -m tests.crash` is the long one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meson_core.spec.check import check
from meson_core.spec.model import Constant, Retry, Step, Workflow
from tests.crash.faults import Fault, inflict
from tests.crash.running import crash_run
from tests.crash.services import Person, open_services
from tests.crash.yard import Yard

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("seed", range(1, 7))
def test_a_run_that_was_hurt_ends_as_the_uninterrupted_one(seed: int, tmp_path: Path) -> None:
    outcome = crash_run(seed, tmp_path / "yard")

    assert outcome.wrong == []


def test_a_crash_in_the_gap_is_an_unknown_outcome_and_never_a_second_job(tmp_path: Path) -> None:
    """The service neither deduplicates nor can be asked: only a person knows, and the run waits for one."""
    with open_services() as services:
        step = Step(
            name="submit",
            kind="crash_job_blind",
            options={"socket": services.sockets["crash_job_blind"]},
            inputs={"seed": Constant(value=1), "gives": Constant(value={"n": "int"})},
            outputs={"n": "int"},
            retry=Retry(platform=None, backoff_s=0),
        )
        yard = Yard(tmp_path / "yard")
        person = Person(yard, services)
        happened: list[Fault] = []
        try:
            run_id = yard.submit(check(Workflow(name="gap", body=(step,))))
            inflict(yard, run_id, [Fault("gap", 1, 1)], person, happened)
            row = yard.row(run_id)
            assert row is not None
            assert (row.state.value, [fault.kind for fault in happened]) == ("succeeded", ["gap"])
            assert [instance for instance, _ in person.settled] == [(0,)]
            assert (services.jobs(), services.wrong()) == (1, [])
        finally:
            yard.close()
