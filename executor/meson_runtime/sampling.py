"""Owns which rows a fold or a resample has: functions of numbers alone, the same on every machine and every Python."""

from __future__ import annotations

from random import Random


def fold_rows(rows: int, fold: int, folds: int, seed: int = 0) -> tuple[list[int], list[int]]:
    """The rows to train on and the rows to validate on, in one fold of a cross-validation.

    Every row is validated on in exactly one of the folds, and their sizes differ by one at most.

    Args:
        rows: how many there are.
        fold: which fold, from 0.
        folds: how many there are.
        seed: of the order in which rows are dealt out.

    Raises:
        ValueError: there is no such fold, or fewer rows than folds.
    """
    if not 0 <= fold < folds:
        raise ValueError(f"there is no fold {fold}: there are {folds}, counted from 0")
    if rows < folds:
        raise ValueError(f"{rows} rows cannot be dealt out to {folds} folds")
    # random() of a seed is promised to stay as it is; shuffle() is not.
    draw = Random(seed).random  # noqa: S311 - no secret is made of it
    keys = [draw() for _ in range(rows)]
    order = sorted(range(rows), key=keys.__getitem__)
    held = set(order[fold::folds])
    return [row for row in range(rows) if row not in held], sorted(held)


def resampled_rows(rows: int, seed: int) -> list[int]:
    """As many rows as there are, drawn with replacement: one sample of a bootstrap.

    Args:
        rows: how many there are.
        seed: of the draw.
    """
    draw = Random(seed).random  # noqa: S311 - no secret is made of it
    return [int(draw() * rows) for _ in range(rows)]
