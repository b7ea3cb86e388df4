"""``audit list``, ``audit fetch`` and ``audit render``: from the audit store, and without one from the reports' folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from deployment.errors import CloudUnreachable, Refused
from deployment.evidence.attestation import ENVELOPE_FILE, SIGNED_FILES, SUMMARY_FILE
from deployment.evidence.data import content
from deployment.settings import load
from infrastructure.compose import Environment
from plugins.page import render
from scripts.commands.checks.line import Tools
from scripts.commands.evidence import line, stored
from scripts.commands.evidence.stored import Found
from tests.audit.evidence import ENVIRONMENT, Estate, Run, make_run
from tests.checkout import SETTINGS_FILE

FILES = {ENVELOPE_FILE, SUMMARY_FILE, *SIGNED_FILES}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "reports", Estate())


def in_store(run: Run) -> Found:
    """The store, on a machine that has lost the folder."""
    return Found(ENVIRONMENT, Path("/nowhere"), run.estate.store)


def in_folder(run: Run) -> Found:
    """The reports' folder of an environment without a store."""
    return Found(ENVIRONMENT, run.folder.parent, None)


@pytest.mark.parametrize("place", [in_store, in_folder])
def test_a_run_is_listed_fetched_and_rendered(
    run: Run, place: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(place)
    found, run_id = place(run), run.folder.name
    assert stored.show(found, as_json=True) == 0
    assert set(json.loads(capsys.readouterr().out)["runs"][run_id]) == FILES
    assert stored.fetch(found, run_id, tmp_path / "copy") == 0
    fetched = {path.name: path.read_bytes() for path in (tmp_path / "copy" / run_id).iterdir()}
    assert fetched == {name: (run.folder / name).read_bytes() for name in FILES}
    assert stored.fetch(found, run_id, tmp_path / "copy") == 0, "the same files again"
    page = tmp_path / "page.html"
    assert stored.render(found, run_id, page) == 0
    assert page.read_text() == render(content.read(run.folder))


def test_fetch_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "copy" / run.folder.name
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("mine")
    with pytest.raises(Refused, match="nothing was written"):
        stored.fetch(in_store(run), run.folder.name, tmp_path / "copy")
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    page = tmp_path / "page.html"
    page.write_text("mine")
    with pytest.raises(Refused, match="exists with other content"):
        stored.render(in_store(run), run.folder.name, page)
    assert page.read_text() == "mine"


@pytest.mark.parametrize("place", [in_store, in_folder])
def test_an_older_report_says_why_it_cannot_be_rendered(run: Run, place: object, tmp_path: Path) -> None:
    assert callable(place)
    run_id = run.folder.name
    del run.estate.store.kept[f"{ENVIRONMENT}/{run_id}/data.json"]
    (run.folder / "data.json").unlink()
    with pytest.raises(Refused, match=r"has no data\.json: the version that wrote it kept no data"):
        stored.render(place(run), run_id, tmp_path / "page.html")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff", "is not JSON"),
        (b"[]", "is not the data"),
        (b'{"schema_version": 99, "report": {}}', "schema version 99"),
        (b'{"schema_version": 1, "report": {}}', "cannot be rendered"),
    ],
)
def test_data_that_is_not_a_report_is_refused(run: Run, data: bytes, why: str, tmp_path: Path) -> None:
    (run.folder / "data.json").write_bytes(data)
    with pytest.raises(Refused, match=why):
        stored.render(in_folder(run), run.folder.name, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("versions", 1.5),
        ("versions", True),
        ("report.checklist", ["a"]),
        ("report.steps", [7]),
        ("coverage", [[]]),
        ("gates", [{}]),
    ],
)
def test_data_with_a_wrong_value_is_refused(run: Run, key: str, value: object, tmp_path: Path) -> None:
    data = content.read(run.folder)
    *outer, last = key.split(".")
    (data[outer[0]] if outer else data)[last] = value
    (run.folder / "data.json").write_text(json.dumps(data))
    with pytest.raises(Refused, match=r"data\.json of .* cannot be rendered: "):
        stored.render(in_folder(run), run.folder.name, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("run_id", ["none", "../reports/20261122-120000-green-abcdef", ".", "", "a/b", "/etc"])
@pytest.mark.parametrize("place", [in_store, in_folder])
def test_an_unknown_run_is_refused(run: Run, place: object, run_id: str, tmp_path: Path) -> None:
    assert callable(place)
    with pytest.raises(Refused, match="was not found in"):
        stored.fetch(place(run), run_id, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_run_that_only_this_machine_has_is_named(run: Run, tmp_path: Path) -> None:
    """The store of a temporary environment ends with it."""
    with pytest.raises(Refused, match=f"{run.folder} has it: `audit verify {run.folder.name}` checks that copy"):
        stored.fetch(Found(ENVIRONMENT, run.folder.parent, Estate().store), run.folder.name, tmp_path / "copy")


def test_runs_of_another_environment_are_not_listed(run: Run) -> None:
    assert Found("other", run.folder.parent, None).runs() == {}
    assert Found("other", run.folder.parent, run.estate.store).runs() == {}


def test_store_that_is_not_reached_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def unreached() -> Environment:
        raise CloudUnreachable("s3 ListObjectsV2: no answer")

    found = replace(Found.of(load(SETTINGS_FILE), run.folder.parent, unreached), environment=ENVIRONMENT)
    assert stored.show(found, as_json=False) == 0
    shown = capsys.readouterr()
    assert run.folder.name in shown.out
    assert "the audit store was not read: s3 ListObjectsV2: no answer" in shown.err


def test_the_command_line_reads_the_folder_of_an_environment_that_is_down(run: Run) -> None:
    from deployment.project import FRAMEWORK, Project

    def down(_: object) -> object:
        raise Refused("no environment is up")

    tools = Tools(lambda *_: None, lambda: Project(FRAMEWORK), down)  # type: ignore[arg-type]  # it never connects
    arguments = ["list", "--reports", str(run.folder.parent), "--json"]
    result = CliRunner().invoke(line.audit, arguments, obj=tools, catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["runs"] == {}, "this run is of another environment"
    assert "the audit store was not read: no environment is up" in result.stderr
