"""Owns the proof that the built-in artifact store passes the kit, and that each check can fail: by a store wrong in just that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from meson_core.builtin.files import meson_artifact_stores
from meson_core.testing.artifact_stores import ArtifactStoreKit
from tests.testing import wrong_stores as wrong
from tests.testing.judging import checks_of, found_out_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.slow]


class TestFiles(ArtifactStoreKit):
    definition = meson_artifact_stores()[0]
    wrong_options: ClassVar[Sequence[Mapping[str, Any]]] = ({"folder": 3},)


class TestFilesElsewhere(ArtifactStoreKit):
    definition = meson_artifact_stores()[0]
    options: ClassVar[Mapping[str, Any]] = {"folder": "größe/artifacts"}


FOUND_OUT_BY: dict[type[wrong.Right], str] = {
    wrong.WithoutOpen: "it_is_what_its_hook_declares",
    wrong.WithoutSchema: "its_options_have_a_schema",
    wrong.WithAnyOptions: "it_refuses_options_that_it_does_not_have",
    wrong.WithoutUrl: "its_url_says_where_it_is",
    wrong.HasUrlsOfItsOwn: "its_url_says_where_it_is",
    wrong.CallsThemOtherwise: "what_is_put_is_there",
    wrong.RefusesNothing: "nothing_is_something",
    wrong.GoesByName: "equal_bytes_are_one_artifact",
    wrong.KeepsItToItself: "others_find_what_one_has_put",
    wrong.Links: "what_is_kept_does_not_change_with_its_source",
    wrong.TakesTheFile: "its_source_stays_as_it_is",
    wrong.ReadsAllOfIt: "large_files_pass_through",
    wrong.HasOnePlaceAside: "many_may_put_the_same_at_once",
    wrong.FindsEmptiness: "what_is_not_there_is_told",
    wrong.IsSilentAboutWhat: "what_is_not_there_is_told",
    wrong.FailsInItsOwnWords: "a_file_that_is_not_there_is_told",
    wrong.Climbs: "what_is_no_digest_is_refused",
    wrong.KeepsAll: "what_is_deleted_is_gone",
    wrong.IsSurprised: "deleting_what_is_not_there_is_fine",
    wrong.MixesFolders: "a_folder_is_one_artifact",
    wrong.ListsTwice: "what_is_there_is_listed",
    wrong.ClaimsWithoutAWord: "a_claim_counts_as_a_put",
    wrong.DeletesAnyway: "what_was_touched_since_is_not_deleted",
    wrong.NeverTidies: "what_interrupted_uploads_left_is_removed",
    wrong.TidiesTooMuch: "what_interrupted_uploads_left_is_removed",
    wrong.LeavesHalf: "a_full_disk_leaves_nothing_half_there",
    wrong.WritesInPlace: "a_host_that_is_killed_leaves_nothing_half_there",
    wrong.NeedsItsLock: "a_host_that_is_killed_leaves_nothing_half_there",
}
#: What cannot be wrong by itself: the kit of faults deletes between two deaths.
ALSO: dict[type[wrong.Right], set[str]] = {wrong.IsSurprised: {"a_host_that_is_killed_leaves_nothing_half_there"}}


def test_what_is_right_passes(tmp_path: Path) -> None:
    kit = ArtifactStoreKit()
    kit.definition = wrong.Right.definition()  # type: ignore[misc]

    assert found_out_by(lambda: kit, tmp_path) == set()


@pytest.mark.parametrize("store", FOUND_OUT_BY, ids=[one.__name__ for one in FOUND_OUT_BY])
def test_what_is_wrong_is_found_out_by_its_check(store: type[wrong.Right], tmp_path: Path) -> None:
    kit = ArtifactStoreKit()
    kit.definition = store.definition()  # type: ignore[misc]

    assert found_out_by(lambda: kit, tmp_path) - ALSO.get(store, set()) == {FOUND_OUT_BY[store]}


def test_every_check_can_fail() -> None:
    assert checks_of(ArtifactStoreKit) == set(FOUND_OUT_BY.values())


def test_faults_are_not_tried_where_the_author_says_so(tmp_path: Path) -> None:
    kit = ArtifactStoreKit()
    kit.definition = wrong.WritesInPlace.definition()  # type: ignore[misc]
    kit.faults = False  # type: ignore[misc]

    assert found_out_by(lambda: kit, tmp_path) == set()
