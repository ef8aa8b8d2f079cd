"""Owns the tests of real notebooks: the page of the documentation, a view that follows a run, others who drive."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import meson_core
from tests.cli.command import Project
from tests.notebook.kernel import execute, said

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PAGE = Path(__file__).parents[2] / "docs" / "notebooks.md"
_BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project."""
    with Project.made(tmp_path / "project") as made:
        yield made


def test_the_page_shows_what_its_cells_say(project: Project) -> None:
    blocks = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    cells = [text for kind, text in blocks if kind == "python"]
    told = [blocks[at + 1][1] if blocks[at + 1 : at + 2] and blocks[at + 1][0] == "text" else None
            for at, (kind, _) in enumerate(blocks) if kind == "python"]  # fmt: skip
    outputs = execute(cells, project.folder)

    assert len(cells) > 5
    for cell, expected, found in zip(cells, told, outputs, strict=True):
        if expected is None:
            assert found == [], cell
            continue
        pattern = "[^\n]*?".join(map(re.escape, expected.strip().split("…")))
        assert re.fullmatch(pattern, said(found).strip()), f"{cell}\n---\n{said(found)}"


def test_a_chart_comes_as_vega_lite_and_as_a_picture(project: Project) -> None:
    outputs = execute(
        [
            "import meson_core\nfrom meson_core.artifacts import VegaLite, HtmlView\nmeson_core.connect()",
            "VegaLite({'data': {'values': [{'a': 1}]}, 'mark': 'bar', 'encoding': {'x': {'field': 'a', 'type': 'quantitative'}}})",
            "HtmlView('<script>alert(1)</script>')",
        ],
        project.folder,
    )
    chart, page = outputs[1][0]["data"], outputs[2][0]["data"]["text/html"]

    assert chart["application/vnd.vegalite.v5+json"]["mark"] == "bar"
    assert chart["image/png"].startswith("iVBOR")
    assert page.startswith('<iframe sandbox=""')
    assert "<script" not in page


WAITING = """
from meson_core import step, workflow

@step
def wait(place: str) -> str:
    with open(place) as opened:  # until somebody writes
        return opened.read()

run = project.run(workflow("waiting", wait(place=PLACE)))
"""


def test_the_view_follows_a_run_and_the_kernel_stays_free_of_its_steps(project: Project) -> None:
    place = project.folder.parent / "place"
    os.mkfifo(place)
    seen: list[str] = []

    def heard(message: dict[str, Any]) -> None:
        if message["msg_type"] not in ("display_data", "update_display_data"):
            return
        seen.append(message["content"]["data"]["text/plain"])
        if "● wait" in seen[-1]:
            with place.open("w") as opened:
                opened.write("done")

    outputs = execute(
        [
            "import meson_core\nproject = meson_core.connect()",
            WAITING.replace("PLACE", repr(str(place))),
            "print(run.output('wait'), run.state.value)",
        ],
        project.folder,
        heard=heard,
    )

    assert any("● wait" in text for text in seen), (seen, outputs)
    assert "✓ wait" in seen[-1]
    assert len(outputs[1]) == 1, "the view is written again, and not once more"
    assert said(outputs[2]) == "{'result': 'done'} succeeded\n"


FAILING = """
from meson_core import step, workflow

@step
def train(rate: float) -> float:
    raise ValueError("<b>no</b> ratings")

run = project.run(workflow("failing", train(rate=0.5)))
"""


def test_a_failure_is_shown_and_its_text_stays_text(project: Project) -> None:
    outputs = execute(
        ["import meson_core\nproject = meson_core.connect()", FAILING, "run.outputs", "project.close()"], project.folder
    )
    shown = outputs[1][-1]["data"]["text/html"]

    assert "ValueError: &lt;b&gt;no&lt;/b&gt; ratings" in shown
    assert "<b>no" not in shown
    assert said(outputs[2]).startswith("error[conflict]: run ")
    assert "it is failed: train: ValueError: <b>no</b> ratings" in said(outputs[2])
    assert project.mesonctl("runs", "--json").json[0]["state"] == "failed"


QUICK = """
from meson_core import step, workflow

@step
def quick() -> int:
    return 7

run = project.run(workflow("quick", quick()))
"""


def test_whoever_drives_the_project_gets_the_run(project: Project) -> None:
    project.serve()
    outputs = execute(
        ["import meson_core\nproject = meson_core.connect()", QUICK, "run.output('quick')['result']"], project.folder
    )

    assert said(outputs[1]).startswith("quick  run ")
    assert said(outputs[2]) == "7"


BLOCKED = """
name: blocked
params: {place: str}
body:
  first: {kind: shell, script: 'cat "$MESON_INPUT_place" > /dev/null', inputs: {place: '${place}'}}
  second: {kind: shell, script: 'echo second', after: [first]}
"""


def test_when_whoever_drives_leaves_the_notebook_takes_over(project: Project) -> None:
    place = project.folder.parent / "place"
    os.mkfifo(place)
    server = project.serve()
    with meson_core.connect(project.folder) as notebook:
        run = notebook.start(meson_core.load_yaml(BLOCKED), place=str(place))
        with place.open("w"):  # opens once the step has; the step goes on once this is closed
            server.signal(signal.SIGKILL)
            server.wait()
        run.wait(60)

        assert run.state == "succeeded"
        assert [row.run_id for row in notebook.client.runs()] == [run.run_id]
        assert notebook["last"].run_id == run.run_id


def test_a_project_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(meson_core.MesonError, match="there is no such folder"):
        meson_core.connect(tmp_path / "nowhere")


def test_what_is_no_workflow_is_told(project: Project) -> None:
    with meson_core.connect(project.folder) as notebook, pytest.raises(meson_core.MesonError) as caught:
        notebook.run(7)  # type: ignore[arg-type]

    assert "a project runs workflows, got 7" in str(caught.value)
