"""Owns the folder of published recommenders: one subfolder per version, and a file that names the latest."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from pathlib import Path

    from recommender.recommending import Recommendation

LATEST = "latest.json"


class Description(TypedDict):
    """What is said of a recommender."""

    alpha: float
    rmse: float
    baseline_rmse: float
    disagreement: float
    regions_with_own_model: list[str]


class Card(Description):
    """What is said of a published one."""

    version: int


def latest(folder: Path) -> Path | None:
    """The folder of the version that was published last; None when there is none."""
    try:
        card: Card = json.loads((folder / LATEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return folder / f"v{card['version']}"


def card_of(version: Path) -> Card:
    """The card of a published version."""
    card: Card = json.loads((version / "card.json").read_text(encoding="utf-8"))
    return card


def publish(folder: Path, model: Path, recommendations: list[Recommendation], card: Card) -> Path:
    """Add a version, and only when all of it is there make it the latest.

    Publishing the same version twice, as a second attempt may, leaves the same as publishing it once.

    Args:
        folder: of all versions; made if it is not there.
        model: the recommender's file; it is copied.
        recommendations: a taste of it.
        card: what is said of it.

    Returns:
        The folder of the version.
    """
    version = folder / f"v{card['version']}"
    version.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model, version / "model.npz")
    _write(version / "recommendations.json", recommendations)
    _write(version / "card.json", card)
    _write(folder / LATEST, card)
    return version


def _write(path: Path, value: object) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)
