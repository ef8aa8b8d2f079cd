"""Owns the proof that a version is published whole, once, or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from recommender.publishing import Card, card_of, latest, publish

if TYPE_CHECKING:
    from pathlib import Path


def card(version: int) -> Card:
    return Card(
        version=version, alpha=12.0, rmse=0.97, baseline_rmse=1.0, disagreement=0.3, regions_with_own_model=["8"]
    )


def test_the_latest_version_is_the_one_that_was_published_last(tmp_path: Path) -> None:
    """The next run compares itself with it."""
    model = tmp_path / "model.npz"
    model.write_bytes(b"numbers")
    shop = tmp_path / "published"

    assert latest(shop) is None
    for version in (1, 2):
        publish(shop, model, [], card(version))

    assert shop / "v2" == latest(shop)
    assert card(1) == card_of(shop / "v1")
    assert b"numbers" == (shop / "v2" / "model.npz").read_bytes()


def test_publishing_twice_is_publishing_once(tmp_path: Path) -> None:
    """A second attempt, after the first one's machine was lost, changes nothing."""
    model = tmp_path / "model.npz"
    model.write_bytes(b"numbers")
    shop = tmp_path / "published"

    publish(shop, model, [], card(1))
    once = {path.relative_to(shop): path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    publish(shop, model, [], card(1))

    assert once == {path.relative_to(shop): path.read_bytes() for path in shop.rglob("*") if path.is_file()}


def test_a_version_that_was_not_finished_is_not_the_latest(tmp_path: Path) -> None:
    """A kill in the middle leaves the last version in its place."""
    model = tmp_path / "model.npz"
    model.write_bytes(b"numbers")
    shop = tmp_path / "published"
    publish(shop, model, [], card(1))

    (shop / "v2").mkdir()
    (shop / "v2" / "model.npz").write_bytes(b"num")

    assert shop / "v1" == latest(shop)
    assert 1 == json.loads((shop / "latest.json").read_text(encoding="utf-8"))["version"]
