"""Owns the page: one HTML file that shows a view, needs no network, and lets nothing in the view reach out or run.

A chart is there at once, as SVG; the script that makes it answer to the mouse is in the page, and the policy of the page names
it by its digest, so nothing else runs. Pages of strangers (`HtmlView`) live in a frame without an origin, under a policy that
fetches nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

from meson_core.artifacts import HtmlView, ImageView, TableView, VegaLite
from meson_core.showing.charts import javascript, svg_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from meson_core.artifacts import ArtifactRecord, View

#: Rows of a chart's data, of a table, and versions that a page lists.
_ROWS, _VERSIONS = 2000, 400
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
)
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 "Liberation Sans", Arial, Helvetica, sans-serif; color: #1a1a1a; background: #fff; margin: 2rem; }
main { max-width: 70rem; }
h1 { font-size: 1.2rem; }
figure { margin: 0; overflow-x: auto; }
figure svg, figure img { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #e3e3e3; vertical-align: top; }
td.number { text-align: right; }
pre { font-size: 13px; overflow-x: auto; background: #f6f6f6; padding: 1rem; }
ins, del { text-decoration: none; display: block; }
ins { background: #d9eafc; } del { background: #fbe3d2; }
iframe { width: 100%; height: 40rem; border: 1px solid #ccc; }
details { margin-top: 1.2rem; }
summary { cursor: pointer; }
.quiet { color: #555; }
"""


def page(view: View, records: Sequence[ArtifactRecord]) -> str:
    """A view as a page.

    Args:
        view: what to show.
        records: the versions that it shows.

    Raises:
        ArtifactError: a chart cannot be drawn.
    """
    policy, scripts = _POLICY, ""
    if isinstance(view, VegaLite):
        sources = [javascript(), _starter(view.spec)]
        policy += "; script-src " + " ".join(f"'sha256-{_digest(source)}'" for source in sources)
        scripts = "".join(f"<script>{source}</script>\n" for source in sources)
    elif isinstance(view, HtmlView):
        # The frame has the policy of the page around it: it may run what it brings, and fetch nothing.
        policy += "; script-src 'unsafe-inline'"
    title = escape(_title(view))
    heading = "" if isinstance(view, VegaLite) else f"<h1>{title}</h1>\n"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{heading}{_body(view)}\n{_origin(records)}</main>\n{scripts}</body>\n</html>\n"
    )


def _body(view: View) -> str:
    if isinstance(view, VegaLite):
        return f'<figure id="chart">{svg_of(view.spec)}</figure>\n{_data(view.spec)}'
    if isinstance(view, TableView):
        rest = view.total - len(view.rows)
        more = f'<p class="quiet">… and {rest:,} more rows</p>' if rest > 0 else ""
        return _table(view.columns, view.rows) + more
    if isinstance(view, ImageView):
        data = base64.b64encode(view.data).decode()
        return f'<figure><img alt="{escape(_title(view))}" src="data:{escape(view.media)};base64,{data}"></figure>'
    if isinstance(view, HtmlView):
        return f'<iframe sandbox="allow-scripts" title="{escape(_title(view))}" srcdoc="{escape(view.html)}"></iframe>'
    if view.syntax == "diff":
        return f"<pre>{''.join(map(_changed, view.text.splitlines()))}</pre>"
    return f"<pre>{escape(view.text)}</pre>"


def _changed(line: str) -> str:
    tag = {"+": "ins", "-": "del"}.get(line[:1])
    return f"<{tag}>{escape(line)}</{tag}>" if tag else f"{escape(line)}\n"


def _title(view: View) -> str:
    if isinstance(view, VegaLite):
        title = view.spec.get("title", "")
        text = title.get("text", "") if isinstance(title, dict) else title
        return " ".join(text) if isinstance(text, list) else str(text)
    return view.title or "artifact"


def _starter(spec: Mapping[str, Any]) -> str:
    """What draws the chart: expressions are interpreted, as the policy allows no code made of text; nothing is loaded."""
    # Inside a script, nothing may look like the end of it.
    text = json.dumps(spec, ensure_ascii=True).replace("<", "\\u003c")
    return f'vegaEmbed("#chart", {text}, {{actions: false, renderer: "svg", ast: true}}).catch(console.error);'


def _digest(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _data(spec: Mapping[str, Any]) -> str:
    """The numbers behind a chart, for those who cannot see it or do not believe it."""
    data = spec.get("data")
    values = data.get("values") if isinstance(data, dict) else None
    if not isinstance(values, list) or not values or not all(isinstance(row, dict) for row in values):
        return ""
    columns = list(dict.fromkeys(name for row in values for name in row))
    rows = [[row.get(name) for name in columns] for row in values[:_ROWS]]
    more = f'<p class="quiet">… and {len(values) - _ROWS:,} more rows</p>' if len(values) > _ROWS else ""
    return f"<details><summary>The data ({len(values):,} rows)</summary>\n{_table(columns, rows)}{more}</details>\n"


def _origin(records: Sequence[ArtifactRecord]) -> str:
    """Where it comes from."""
    columns = ("number", "artifact", "made (UTC)", "run", "workflow", "digest")
    rows = [
        (one.number, one.name, _moment(one.at), one.run_id or "put by a person", one.workflow, one.digest)
        for one in records[:_VERSIONS]
    ]
    more = f'<p class="quiet">… and {len(records) - _VERSIONS:,} more</p>' if len(records) > _VERSIONS else ""
    count = "1 version" if len(records) == 1 else f"{len(records):,} versions"
    return f"<details><summary>Made of {count}</summary>\n{_table(columns, rows)}{more}</details>\n"


def _table(columns: Iterable[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in columns)
    body = "\n".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (
            f'<td class="number">{value:.10g}</td>' if isinstance(value, float) else f'<td class="number">{value}</td>'
        )
    return f"<td>{escape(cell_text(value))}</td>"


def cell_text(value: Any) -> str:
    """A JSON value in a cell of a table."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
