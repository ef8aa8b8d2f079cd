"""Owns the real data of the example for its tests: fetched once, cleansed once per test process."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import fetch_data
import query
from recommender.cleansing import Clean, cleanse

EXAMPLE = Path(fetch_data.__file__).parent


@functools.cache
def cleansed() -> Clean:
    """The whole cohort of MovieLens-100k, cleansed."""
    if fetch_data.wrong_files(fetch_data.TARGET):
        fetch_data.fetch(fetch_data.TARGET)
    sql = (EXAMPLE / "cohort.sql").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        cohort = Path(scratch) / "cohort.parquet"
        query.run_query(sql, {"source": str(fetch_data.TARGET), "min_age": 13, "min_ratings": 20}, cohort)
        return cleanse(cohort)
