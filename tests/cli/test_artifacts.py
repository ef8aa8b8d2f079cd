"""Owns the tests of `mesonctl artifacts`: what is listed, shown, fetched, put and traced, in a project that has run."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from meson_core.client import connect
from tests.cli.command import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

FLOW = """
name: report
params: {rows: {type: int, default: 3}}
sequence:
  - base: {kind: shell, script: 'echo hello > a.csv; echo "{\\"data\\": \\"a.csv\\"}" > "$MESON_OUTPUTS"', outputs: {data: artifact}}
  - each_day:
      for_each: {date: ['2026-01-01', '2026-01-02']}
      body:
        train:
          kind: shell
          script: |
            mkdir m; cat "$MESON_INPUT_data" > m/x; echo $MESON_INPUT_date >> m/x
            echo "{\\"model\\": \\"m\\"}" > "$MESON_OUTPUTS"
          inputs: {date: '${date}', data: '${base.data}'}
          outputs: {model: artifact}
  - choose:
      kind: shell
      script: 'echo 1 > all.json; echo "{\\"all\\": \\"all.json\\"}" > "$MESON_OUTPUTS"'
      inputs: {models: '${train.model}'}
      outputs: {all: artifact}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with Project.made(tmp_path_factory.mktemp("artifacts") / "project") as made:
        made.write("flow.yaml", FLOW)
        assert made.mesonctl("run", "flow.yaml").code == 0
        yield made


def test_versions_are_listed_the_latest_first(project: Project) -> None:
    found = project.mesonctl("artifacts", "list", "--json").json
    told = project.mesonctl("artifacts", "list", "train.model").out.splitlines()

    assert [each["name"] for each in found] == ["choose.all", "train.model", "train.model", "base.data"]
    assert found[0]["type"] == "json"
    assert found[-1]["params"] == {"rows": 3}
    assert {each["items"].get("date") for each in found[1:3]} == {"2026-01-01", "2026-01-02"}
    assert told[0].split() == ["number", "artifact", "of", "type", "size", "at", "run", "digest"]
    assert [line.split()[1] for line in told[1:]] == ["train.model"] * 2


def test_lists_come_in_pages_and_by_what_is_asked(project: Project) -> None:
    def numbers(*arguments: str) -> list[int]:
        return [each["number"] for each in project.mesonctl("artifacts", "list", "--json", *arguments).json]

    assert numbers("--limit", "2") == [4, 3]
    assert numbers("--before", "3") == [2, 1]
    assert "older ones: --before 3" in project.mesonctl("artifacts", "list", "--limit", "2").err
    assert numbers("--type", "json") == [4]
    assert numbers("--workflow", "report", "--run", "last", "base.data") == [1]
    assert numbers("--since", "1 h") == [4, 3, 2, 1]
    assert numbers("--since", "0") == []
    assert project.mesonctl("artifacts", "list", "--key", "x").out == "there are no artifacts like that\n"


def test_a_length_of_time_that_is_none_is_told(project: Project) -> None:
    done = project.mesonctl("artifacts", "list", "--since", "7x")

    assert done.code == 2
    assert "there is no unit 'x'" in done.err


@pytest.mark.parametrize("ref", ["2", "#2", "train.model@last"])
def test_a_version_is_found_by_what_is_typed(project: Project, ref: str) -> None:
    found = project.mesonctl("artifacts", "show", ref, "--json").json["artifact"]
    told = project.mesonctl("artifacts", "show", ref).out

    assert found["name"] == "train.model"
    assert f"digest  {found['digest']}" in told
    assert project.mesonctl("artifacts", "show", found["digest"][:14], "--json").json["artifact"] == found


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        ("train.modle", "did you mean 'train.model'?"),
        ("99", "there is no artifact number 99"),
        ("sha256:0000", "there is no artifact with the digest sha256:0000"),
        ("train.model@nobody", "did you mean 'train.model'?"),
    ],
)
def test_what_is_not_there_is_told(project: Project, ref: str, told: str) -> None:
    done = project.mesonctl("artifacts", "show", ref)

    assert done.code == 4
    assert told in done.err


def test_bytes_and_folders_are_fetched(project: Project) -> None:
    assert project.mesonctl("artifacts", "get", "base.data", "-").out == "hello\n"
    done = project.mesonctl("artifacts", "get", "base.data")
    again = project.mesonctl("artifacts", "get", "base.data")
    project.mesonctl("artifacts", "get", "2", "model")
    project.write("model/more", "of a former one")
    forced = project.mesonctl("artifacts", "get", "2", "model", "--force", "--json").json

    assert (done.code, (project.folder / "a.csv").read_text()) == (0, "hello\n")
    assert again.code != 0
    assert "a.csv is there already" in again.err
    assert forced["path"] == str(project.folder / "model")
    assert [path.name for path in (project.folder / "model").iterdir()] == ["x"]
    assert not list(project.folder.glob(".meson-*"))


def test_what_cannot_be_written_is_told(project: Project) -> None:
    done = project.mesonctl("artifacts", "get", "base.data", "nowhere/file")

    assert done.code == 6
    assert "cannot be written: No such file or directory" in done.err


def test_lineage_goes_back_to_the_beginning_and_forward(project: Project) -> None:
    found = project.mesonctl("artifacts", "lineage", "choose.all", "--json").json
    told = project.mesonctl("artifacts", "lineage", "choose.all").out
    forward = project.mesonctl("artifacts", "lineage", "base.data").out

    assert [each["place"] for each in found["inputs"]] == ["models[0]", "models[1]"]
    assert [each["artifact"]["items"]["date"] for each in found["inputs"]] == ["2026-01-01", "2026-01-02"]
    assert [deep["artifact"]["name"] for each in found["inputs"] for deep in each["inputs"]] == ["base.data"] * 2
    assert found["code"]
    assert "models[0]: train.model #" in told
    assert "used by: nothing" in told
    assert "train[0] as data, run" in forward
    assert "train[1] as data, run" in forward


def test_a_file_is_put_by_hand(tmp_path: Path) -> None:
    """Also where nothing was ever run."""
    with Project.made(tmp_path / "fresh") as fresh:
        fresh.write("rates.json", "{}")
        fresh.write("folder/a", "1")
        record = fresh.mesonctl("artifacts", "put", "rates.json", "--json").json
        named = fresh.mesonctl("artifacts", "put", "folder", "--name", "rates.json", "--type", "mine", "--json").json
        missing = fresh.mesonctl("artifacts", "put", "nowhere")
        told = fresh.mesonctl("artifacts", "show", "rates.json").out

        assert (record["name"], record["type"], record["size"], record["run_id"]) == ("rates.json", "json", 2, "")
        assert record["digest"] == f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
        assert (named["name"], named["number"], named["type"]) == ("rates.json", 2, "mine")
        assert "put by hand" in told
        assert missing.code == 6
        assert "nowhere cannot be stored" in missing.err
        assert fresh.mesonctl("artifacts", "get", "1", "-").out == "{}"


def test_notebooks_ask_the_same(project: Project) -> None:
    with connect(project.folder) as client:
        (base,) = client.artifacts(name="base.data")
        with client.artifact("base.data").open() as file:
            assert file.read() == b"hello\n"
        assert client.artifact(base.number).record == base
        assert client.lineage(base.number).uses[0].step == "train"
        put = client.put_artifact(project.folder / "flow.yaml", name="the flow")
        assert client.artifacts(limit=1) == [put]
