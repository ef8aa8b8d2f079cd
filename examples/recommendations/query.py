"""Runs a query of DuckDB and writes its rows to a Parquet file: `query.py cohort.sql OUT.parquet name=value ...`.

Values are bound by DuckDB, never pasted into the query. Prints how many rows there are.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb


def run_query(sql: str, values: dict[str, str], target: Path) -> int:
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
        connection.sql(sql, params=values).write_parquet(str(target))
        row = connection.execute("SELECT count(*) FROM read_parquet(?)", [str(target)]).fetchone()
    return int(row[0]) if row else 0


def main(arguments: list[str]) -> int:
    """Run the query that the arguments name; returns the exit code."""
    if len(arguments) < 2 or not all("=" in pair for pair in arguments[2:]):
        print("usage: query.py QUERY.sql OUT.parquet [name=value ...]", file=sys.stderr)
        return 2
    query, target, *pairs = arguments
    try:
        rows = run_query(
            Path(query).read_text(encoding="utf-8"), dict(pair.split("=", 1) for pair in pairs), Path(target)
        )
    except (OSError, duckdb.Error) as error:
        print(f"query.py: {query}: {error}", file=sys.stderr)
        return 1
    print(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
