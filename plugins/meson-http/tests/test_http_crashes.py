"""Owns the promise that a job is submitted once, whatever is killed: whole runs, and a service that counts."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

import psutil
import pytest

from http_project import Project, until
from http_service import HttpService, hangs_up, refuses, says_half, stalls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

FLOW = """
from meson_core import Retry, kind, param, workflow

where = param("where", str)
train = kind(
    "http", name="train", method="POST", url="${where}/jobs", json={"alpha": 0.1},
    poll={"job": "$.id", "url": "${where}/jobs/${meson.job}", "state": "$.state", "interval_s": 0.02, "max_interval_s": 0.05},
    returns={"state": "$.state"}, outputs={"state": str}, retries=Retry(platform=5, backoff_s=0),
    MORE
)(where=where)
wf = workflow("crashes", train, outputs={"state": train.output["state"]})
"""
FAN_OUT = """
from meson_core import Retry, for_each, kind, param, workflow

where = param("where", str)
each = for_each(item=list(range(10)))
train = kind(
    "http", name="train", method="POST", url="${where}/jobs", json={"item": "${item}"}, deduplicates=True,
    poll={"state": "$.state", "interval_s": 0.05, "max_interval_s": 0.05}, returns={"state": "$.state"},
    outputs={"state": str}, retries=Retry(platform=None, backoff_s=0), cpus=0.1,
)(where=where, item=each.item)
wf = workflow("crashes", each(train))
"""
FINDS = 'find={"url": "${where}/jobs?key=${meson.job_key}", "job": "$[0].id"},'


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.made(tmp_path / "project") as made:
        yield made


def begin(project: Project, service: HttpService, more: str = "") -> Any:
    project.write("flow.py", FLOW.replace("MORE", more))
    return project.start("run", "flow.py", "-p", f"where={service.base}")


@pytest.mark.parametrize("victim", ["meson_core.host", "meson_executor"])
@pytest.mark.parametrize(
    ("more", "deduplicates"), [("deduplicates=True,", True), (FINDS, False)], ids=["deduplicates", "finds"]
)
def test_a_kill_between_submission_and_remembering_makes_no_second_job(
    project: Project, victim: str, more: str, deduplicates: bool
) -> None:
    """The service has begun the job, and nobody has heard of it when everything that could is dead."""
    with HttpService.running(deduplicates=deduplicates) as service:
        service.misbehave("POST", stalls)
        run = begin(project, service, more)
        service.wait_for("POST /jobs")
        project.kill(victim)
        service.released.set()
        code, out = project.ended(run)

        assert (code, list(service.jobs)) == (0, ["1"]), out
        assert set(service.submissions) == {service.jobs["1"].key}
        assert service.submissions[1:] == ([service.jobs["1"].key] if deduplicates else [])


def test_where_nobody_can_know_a_person_is_asked(project: Project) -> None:
    """The service makes a job of every submission, and cannot be asked: no second one is ever sent by itself."""
    with HttpService.running(deduplicates=False) as service:
        service.misbehave("POST", stalls)
        run = begin(project, service)
        service.wait_for("POST /jobs")
        project.kill("meson_core.host")
        service.released.set()
        until(lambda: "outcome unknown" in project.shown(), "outcome unknown")

        assert len(service.submissions) == 1
        run.kill()


@pytest.mark.parametrize("how", [hangs_up, says_half], ids=["hangs up", "says half"])
def test_an_answer_that_is_lost_on_its_way_is_for_a_person_too(project: Project, how: Any) -> None:
    with HttpService.running(deduplicates=False) as service:
        service.misbehave("POST", how)
        run = begin(project, service)
        until(lambda: "outcome unknown" in project.shown(), "outcome unknown")

        assert len([one for one in service.asked if one.method == "POST"]) == 1
        run.kill()


def test_a_service_that_refuses_has_begun_nothing_and_is_asked_again(project: Project) -> None:
    with HttpService.running(deduplicates=False) as service:
        service.misbehave("POST", refuses(503), times=2)
        code, out = project.ended(begin(project, service))

        assert (code, len(service.submissions)) == (0, 1), out
        assert len({one.headers["Idempotency-Key"] for one in service.asked if one.method == "POST"}) == 1


@pytest.mark.parametrize("victim", ["meson_core.host", "meson_executor"])
def test_a_kill_after_remembering_goes_on_with_the_job(project: Project, victim: str) -> None:
    with HttpService.running(deduplicates=False, questions=None) as service:
        run = begin(project, service)
        service.wait_for("GET /jobs/1", 2)
        project.kill(victim)
        until(lambda: not project.processes("meson_core.host") or service.jobs["1"].questions > 4, "it is dead")
        service.questions = service.jobs["1"].questions + 2
        code, out = project.ended(run)

        assert (code, service.submissions) == (0, [service.jobs["1"].key]), out


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_killed_at_whatever_moment_each_key_is_one_job(project: Project, seed: int) -> None:
    rng = random.Random(seed)
    project.write("flow.py", FAN_OUT)
    with HttpService.running(questions=4) as service:
        run = project.start("run", "flow.py", "-p", f"where={service.base}")
        for number in range(6):
            service.misbehave("POST", rng.choice([stalls, hangs_up, says_half, refuses(503)]))
            service.wait_for("", (number + 1) * 4)
            for process in project.processes(rng.choice(["meson_core.host", "meson_executor"])):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            service.released.set()
        code, out = project.ended(run)

        keys = [job.key for job in service.jobs.values()]
        assert (code, len(keys), len(set(keys))) == (0, 10, 10), out
        assert set(service.submissions) == set(keys)


def test_a_run_that_is_cancelled_stops_its_job(project: Project) -> None:
    with HttpService.running(questions=None) as service:
        run = begin(project, service, "cancel={},")
        service.wait_for("GET /jobs/1", 2)
        project.mesonctl("cancel", project.run_id())
        code, _ = project.ended(run)

        assert code != 0
        assert service.kills == ["1"]
