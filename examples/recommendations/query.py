"""Runs a query of DuckDB for a step: `query.py cohort.sql INPUTS.json OUTPUTS.json`.

Every value in INPUTS is bound by its name; DuckDB does it, nothing is pasted into the query. The rows become a Parquet
file beside OUTPUTS, which then holds the path of that file, by the name of the query, and how many rows there are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Mapping


def run_query(sql: str, values: Mapping[str, str | int | float], target: Path) -> int:
    """Write the rows of a query to a Parquet file.

    Args:
        sql: one query, with `$name` for what is bound.
        values: by name; the query casts them to what it needs.
        target: the file to write.

    Returns:
        How many rows the file holds.

    Raises:
        duckdb.Error: the query is wrong, or what it reads is.
    """
    with duckdb.connect() as connection:
        connection.sql(sql, params=dict(values)).write_parquet(str(target))
        row = connection.execute("SELECT count(*) FROM read_parquet(?)", [str(target)]).fetchone()
    return int(row[0]) if row else 0


def main(arguments: list[str]) -> int:
    """Run the query that the arguments name; returns the exit code."""
    if len(arguments) != 3:
        print("usage: query.py QUERY.sql INPUTS.json OUTPUTS.json", file=sys.stderr)
        return 2
    query, inputs, outputs = map(Path, arguments)
    target = outputs.absolute().with_name(f"{query.stem}.parquet")
    try:
        rows = run_query(query.read_text(encoding="utf-8"), json.loads(inputs.read_text(encoding="utf-8")), target)
        outputs.write_text(json.dumps({query.stem: str(target), "rows": rows}), encoding="utf-8")
    except (OSError, ValueError, duckdb.Error) as error:
        print(f"query.py: {query.name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
