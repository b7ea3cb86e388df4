"""The audit store as a folder: it receives the whole folder of a run, overwrites nothing, and serves every `audit` command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deployment.errors import CloudError, Refused, StoredOtherwise
from deployment.evidence.attestation import ENVELOPE_FILE, SIGNED_FILES, SUMMARY_FILE, Signer
from deployment.evidence.data import content
from deployment.project import Project
from deployment.settings import load
from infrastructure.audit_folder import FolderAuditStore, folder_of
from infrastructure.estate import audit_folder
from plugins.page import render as page_of
from scripts.commands.checks.line import Tools
from scripts.commands.evidence import line
from tests.audit.evidence import ENVIRONMENT, Estate, Run, make_run
from tests.checkout import CHECKOUT

FILES = {ENVELOPE_FILE, SUMMARY_FILE, *SIGNED_FILES}
SETTINGS = """
default_environment = "{name}"
service = "{service}"
[environments.{name}]
provider = "embedded"
audit_folder = "{folder}"
"""


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A folder whose name needs quoting in a URL."""
    folder = tmp_path / "audit share"
    folder.mkdir()
    return folder


@pytest.fixture
def run(tmp_path: Path, share: Path) -> Run:
    """A run whose evidence went to the folder."""
    estate, started = Estate(store=FolderAuditStore(share)), {"started_at": "2026-11-22T12:00:00+00:00"}
    return make_run(tmp_path / "reports", estate, opened=started)


def test_folder_receives_every_file_of_the_run(run: Run, share: Path) -> None:
    kept = {path.name: path for path in (share / ENVIRONMENT / run.folder.name).iterdir()}
    assert set(kept) == FILES
    for name, path in kept.items():
        assert path.read_bytes() == (run.folder / name).read_bytes()
        assert path.stat().st_mode & 0o777 == 0o444


def test_equal_content_is_accepted_and_other_content_refused(share: Path) -> None:
    store = FolderAuditStore(share)
    store.put("env/run/one", b"a")
    store.put("env/run/one", b"a")
    with pytest.raises(StoredOtherwise, match="one exists already with other content"):
        store.put("env/run/one", b"b")
    assert store.get("env/run/one") == b"a"
    assert store.get("env/run/two") is None
    assert store.get("env/run/one/two") is None
    assert list(store.names("env/")) == ["env/run/one"]
    assert list(store.names("other/")) == []


def test_one_of_eight_racing_writers_wins_and_no_other_file_stays(share: Path) -> None:
    store = FolderAuditStore(share)

    def race(number: int) -> bool:
        try:
            store.put("env/run/one", f"content {number}".encode())
        except StoredOtherwise:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(race, range(8)))
    assert won.count(True) == 1
    assert store.get("env/run/one") == f"content {won.index(True)}".encode()
    assert os.listdir(share / "env" / "run") == ["one"]


def test_share_that_is_not_mounted_is_not_created(tmp_path: Path) -> None:
    store = FolderAuditStore(tmp_path / "mnt" / "audit")
    for act in (
        lambda: store.put("env/run/one", b"a"),
        lambda: store.get("env/run/one"),
        lambda: list(store.names("env/")),
    ):
        with pytest.raises(CloudError, match="is not a folder: mount it, or create it"):
            act()
    assert not (tmp_path / "mnt").exists()


def test_name_that_leaves_the_folder_and_errors_of_the_disk_are_refused(share: Path, tmp_path: Path) -> None:
    store = FolderAuditStore(share)
    with pytest.raises(CloudError, match="is not a name in the audit folder"):
        store.put("../one", b"a")
    (share / "env").write_text("a file where a folder must be")
    with pytest.raises(CloudError, match=r"audit folder .*: env/run/one: "):
        store.put("env/run/one", b"a")
    assert sorted(os.listdir(tmp_path)) == ["audit share"]


@pytest.mark.parametrize(
    ("setting", "folder"),
    [
        ("file:///mnt/a%20share", "/mnt/a share"),
        ("file://localhost/mnt/audit", "/mnt/audit"),
        ("/mnt/audit", "/mnt/audit"),
        ("kept/audit", "/project/kept/audit"),
    ],
)
def test_folder_of_a_setting(setting: str, folder: str) -> None:
    assert folder_of(setting, Path("/project")) == Path(folder)


# -- the commands ----------------------------------------------------------------------------------------------------------


def project(tmp_path: Path, folder: str) -> Project:
    service = CHECKOUT.root / "suites" / "service.yaml"
    text = SETTINGS.format(name=ENVIRONMENT, service=service, folder=folder)
    (tmp_path / "deployment.toml").write_text(text)
    return Project(tmp_path)


@pytest.fixture
def audit(tmp_path: Path, share: Path, run: Run) -> Callable[..., Result]:
    """The command line on a machine that has lost its reports, and cannot reach the environment."""

    def down(_: object) -> object:
        raise Refused("no environment is up")

    found = project(tmp_path, share.as_uri())
    tools = Tools(lambda *_: None, lambda: found, down)  # type: ignore[arg-type]  # it never connects

    def call(*arguments: str) -> Result:
        given = [*arguments, "--reports", str(tmp_path / "lost")]
        return CliRunner().invoke(line.audit, given, obj=tools, catch_exceptions=False)

    return call


def test_every_command_reads_the_folder_without_the_environment(
    audit: Callable[..., Result], run: Run, tmp_path: Path
) -> None:
    run_id = run.folder.name
    listed = audit("list", "--json")
    assert (listed.exit_code, listed.stderr) == (0, "")
    assert set(json.loads(listed.stdout)["runs"][run_id]) == FILES
    assert audit("fetch", run_id, "--to", str(tmp_path / "copy")).exit_code == 0
    assert {path.name for path in (tmp_path / "copy" / run_id).iterdir()} == FILES
    assert audit("render", run_id, "--to", str(tmp_path / "page.html")).exit_code == 0
    assert (tmp_path / "page.html").read_text() == page_of(content.read(run.folder))
    bundle = tmp_path / "evidence.tar"
    exported = audit("export", "--to", str(bundle))
    assert exported.exit_code == 0, exported.output
    key = tmp_path / "key.pem"
    (public,) = Signer(run.estate.pem).checker.pems.values()
    key.write_text(public)
    checked = CliRunner().invoke(line.audit, ["verify", str(bundle), "--key", str(key)], catch_exceptions=False)
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize("setting", ["s3://bucket/audit", "file:audit", "file://host/audit", ""])
def test_setting_that_names_no_folder_is_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(Refused, match="audit_folder"):
        load(project(tmp_path, setting).settings_file)


def test_bucket_and_folder_together_are_refused(tmp_path: Path) -> None:
    text = CHECKOUT.settings_file.read_text()
    own = 'lease_table = "production-telehealth-deploy-state"\n'
    (tmp_path / "deployment.toml").write_text(
        text.replace(own, f'{own}audit_folder = "/mnt"\naudit_bucket = "bucket"\n', 1)
    )
    with pytest.raises(Refused, match="audit_bucket is not allowed: audit_folder is set as well"):
        load(tmp_path / "deployment.toml", "production")


def test_settings_without_a_folder_have_no_such_store() -> None:
    assert audit_folder(load(CHECKOUT.settings_file)) is None
