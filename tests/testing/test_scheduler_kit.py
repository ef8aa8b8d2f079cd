"""Owns the proof that each check of the kit for resource schedulers can fail: by a scheduler that is wrong in just that."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

import psutil
import pytest

from meson_core.testing.bench import Bench
from meson_core.testing.schedulers import ResourceSchedulerKit
from tests.testing import wrong_schedulers as wrong
from tests.testing.test_local_scheduler import executors_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: A scheduler that is wrong → the checks that must find it out.
FOUND_OUT_BY: dict[type[wrong.Right], list[str]] = {
    wrong.OptionsWithoutSchema: ["its_options_have_defaults_and_a_schema"],
    wrong.OffersNothing: ["it_offers_what_there_is"],
    wrong.OffersMoreThanThereIs: ["it_offers_what_there_is"],
    wrong.LosesOutputs: ["a_program_succeeds_with_its_outputs"],
    wrong.LosesDetails: [
        "a_program_that_fails_tells_its_exit_code",
        "a_program_that_crashes_tells_its_signal",
        "a_program_that_is_not_there_fails",
    ],
    wrong.SwallowsFailures: ["a_program_that_is_not_there_fails"],
    wrong.KnowsNoTimeouts: ["a_program_that_takes_too_long_is_stopped"],
    wrong.TellsTwice: ["many_at_once_end_once_each", "a_message_that_comes_twice_counts_once"],
    wrong.NeverKills: [
        "what_runs_is_killed_with_all_its_processes",
        "what_is_queued_is_killed_before_it_begins",
    ],
    wrong.SaysKilledAtOnce: ["what_runs_is_killed_with_all_its_processes", "killing_twice_is_killing_once"],
    wrong.WaitsForEver: ["what_does_not_listen_is_killed_after_its_grace"],
    wrong.DoesNotAnswerKills: ["killing_what_has_ended_is_answered"],
    wrong.TakesNothingBack: ["what_is_queued_can_be_taken_back"],
    wrong.LaunchesTwice: ["one_key_is_launched_once"],
    wrong.ReconcilesNothing: ["what_runs_is_found_again_after_a_restart", "what_nobody_knows_is_gone"],
    wrong.TakesItsPrograms: ["what_runs_is_found_again_after_a_restart", "what_ended_while_nobody_listened_is_told"],
    wrong.AcknowledgesByItself: ["what_was_not_acknowledged_is_told_again"],
    wrong.RepeatsItself: ["what_was_acknowledged_is_not_told_again"],
    wrong.SaysGoneTooEarly: ["a_broken_executor_is_found_out_and_what_it_ran_is_ended"],
    wrong.ForgetsWhoWasFirst: ["a_message_that_is_lost_is_told_again"],
    wrong.SaysGoneWhenCutOff: ["a_connection_that_is_cut_loses_nothing"],
    wrong.SaysGoneWhenSilent: ["late_heartbeats_neither_revive_nor_kill"],
    wrong.KillsTheSilent: ["late_heartbeats_neither_revive_nor_kill"],
    wrong.CutsLargeValues: ["large_outputs_and_logs_do_no_harm"],
    wrong.KnowsAsciiOnly: ["names_and_values_are_text_of_any_language"],
    wrong.PutsSecretsIntoArguments: ["secrets_are_neither_among_arguments_nor_in_files"],
    wrong.WritesSecretsDown: ["secrets_are_neither_among_arguments_nor_in_files"],
    wrong.LeavesAThread: ["closing_leaves_nothing_behind"],
    wrong.LeavesATask: ["closing_leaves_nothing_behind"],
    wrong.LeavesAFileOpen: ["closing_leaves_nothing_behind"],
}
CASES = [(scheduler, check) for scheduler, checks in FOUND_OUT_BY.items() for check in checks]


class Kit(ResourceSchedulerKit):
    """The kit with little patience, for what never comes."""

    options: ClassVar[Mapping[str, Any]] = {"cpus": 2, "idle_exit_s": 5.0}
    deadline_s = 1.5
    #: A lease has to run out there, and the executor to be found again.
    patience: ClassVar[Mapping[str, float]] = {
        "late_heartbeats_neither_revive_nor_kill": 10.0,
        "a_message_that_is_lost_is_told_again": 4.0,
    }

    def options_with_secret(self, folder: Path, name: str, value: str) -> Mapping[str, Any]:
        (folder / name).write_text(value)
        return {**self.options, "secrets": str(folder)}

    def executor_directory(self, directory: Path) -> Path:
        return directory / "executor"

    def break_executor(self, directory: Path) -> None:
        """Nothing: a scheduler that knows better waits."""


def end_all(executors: list[int], folder: Path) -> None:
    """End executors, and what they started: a scheduler that is wrong leaves it running, on purpose."""
    left = [psutil.Process(pid) for pid in executors if psutil.pid_exists(pid)]
    left += [child for executor in left for child in executor.children(recursive=True)]
    for process in psutil.process_iter(["cmdline"]):
        # Programs of the kit name files of the folder, also when their executor is gone already.
        if any(str(folder) in argument for argument in process.info["cmdline"] or ()):
            left.append(process)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize(("scheduler", "check"), CASES, ids=[f"{one.__name__}-{check}" for one, check in CASES])
def test_what_is_wrong_is_found_out(scheduler: type[wrong.Right], check: str, tmp_path: Path) -> None:
    kit = Kit()
    kit.definition = scheduler.definition()  # type: ignore[misc]
    kit._bench = Bench(kit.definition, kit.options, tmp_path, kit.patience.get(check, kit.deadline_s))
    try:
        with pytest.raises(AssertionError):
            getattr(kit, f"test_{check}")()
    finally:
        end_all(executors_of(tmp_path / ".meson"), tmp_path)


def test_every_check_can_fail() -> None:
    checks = {name.removeprefix("test_") for name in vars(ResourceSchedulerKit) if name.startswith("test_")}

    assert checks == {check for checks in FOUND_OUT_BY.values() for check in checks}
