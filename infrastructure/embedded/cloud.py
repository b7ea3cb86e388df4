"""Start, stop and inspect an embedded environment; this is the interface that the rest of the project uses."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.embedded import images, passwords, statelock, status
from infrastructure.embedded import outputs as outputs_file
from infrastructure.embedded.caddy.listeners import AWSELB
from infrastructure.embedded.errors import (
    NotAnswering,
    NotRunning,
    StartFailed,
    StateForeign,
    StatePlatform,
    StateStores,
)
from infrastructure.embedded.estate.resources import Estate
from infrastructure.embedded.images import highest, lowest, tags
from infrastructure.embedded.layout import (
    Environment,
    Layout,
    Served,
    choose_ports,
    read_environment,
    write_environment,
)
from infrastructure.embedded.outputs import Outputs
from infrastructure.embedded.processes import postgres, supervisor
from infrastructure.embedded.processes.probes import http_answer, is_free
from infrastructure.embedded.status import CloudStatus

__all__ = [
    "Outputs",
    "Served",
    "Stopped",
    "down",
    "highest",
    "inspect",
    "lowest",
    "outputs",
    "refuse_other_environment",
    "refuse_strangers",
    "sleeps",
    "sync_registry",
    "tags",
    "up",
    "up_for",
]

PORT_ATTEMPTS = 3
"""Another process may take a port between its choice and its use; three attempts survive two such clashes in a row."""
SERVING_WITHIN_S = 30.0
"""Time for the endpoint to restart an instance that was killed, including its `release:` command."""


@dataclass(frozen=True)
class Stopped:
    """The processes that `down` stopped; false if none was running."""

    processes: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.processes)


@dataclass(frozen=True)
class _Wanted:
    """The requested properties of a new environment; `run` is the id of the run that owns it, or None."""

    served: Served
    platform: str
    image_tag: str | None = None
    run: str | None = None


def _silent(_: str) -> None:
    """Ignore a progress message; the default for `progress`."""


def up(
    state: Path,
    registry: Path,
    served: Served,
    *,
    image_tag: str | None = None,
    progress: Callable[[str], None] = _silent,
    platform: str = "apprunner",
) -> Outputs:
    """Start the environment, or restart those of its processes that died; return once the live domain answers.

    The first `up` deploys `image_tag`, or the lowest SemVer tag, on blue. Later ones keep data, ports, registry and
    colours. `progress` receives one line for each step.

    Raises UnknownTag, EmptyRegistry or BrokenImage before anything is started; StartFailed if a process does not start
    (after a failed first `up` nothing runs); StateForeign if the folder holds other files; StatePlatform if it holds an
    environment on the other platform; StateBusy while another `up` or `down` works on it; StateOwned if the environment
    belongs to one run; StateStores if the folder holds an environment without a store that ``served`` names.
    """
    layout = Layout(state.resolve())
    with statelock.locked(layout, "up"):
        statelock.refuse_strangers(layout)
        refuse_other_environment(state, platform, served.stores)
        environment = read_environment(layout)
        if environment is not None:
            layout.owner.unlink(missing_ok=True)  # of a dead run: the environment is the caller's from now on
            return _mend(layout, environment, progress)
        try:
            return _create(layout, registry.resolve(), _Wanted(served, platform, image_tag), progress)
        except BaseException:
            _leave_folder(layout)
            raise


def up_for(
    run: str,
    state: Path,
    registry: Path,
    served: Served,
    *,
    progress: Callable[[str], None] = _silent,
    platform: str = "apprunner",
) -> bool:
    """Start the environment for one run of this process, unless it is up; return whether that run has to stop it.

    An environment that `up` created, and whose processes have ended, is started again with its data and stays up. Raises
    what `up` raises; StateOwned also if another run began to start the environment a moment before.
    """
    layout = Layout(state.resolve())
    refuse_strangers(state)
    refuse_other_environment(state, platform, served.stores)
    if outputs(state) is not None:
        return False
    with statelock.locked(layout, "up"):
        statelock.refuse_strangers(layout)
        if outputs(state) is not None:
            return False
        environment = read_environment(layout)
        if environment is not None:
            of_a_run = layout.owner.exists()
            if of_a_run:  # of a dead one; `up` leaves no such file
                statelock.record_owner(layout, run)
            _mend(layout, environment, progress)
            return of_a_run
        try:
            _create(layout, registry.resolve(), _Wanted(served, platform, run=run), progress)
        except BaseException:
            _leave_folder(layout)
            raise
    return True


def refuse_strangers(state: Path) -> None:
    """Raise StateOwned if the environment belongs to a run of another process."""
    statelock.refuse_strangers(Layout(state.resolve()))


def refuse_other_environment(state: Path, platform: str, stores: Sequence[str]) -> None:
    """Refuse a folder that holds an environment of another kind, running or not.

    Raises StatePlatform if it is on another platform, StateStores if it lacks one of ``stores``. A store that the
    service no longer has keeps running: the environment's instances may still use it.
    """
    environment = read_environment(Layout(state.resolve()))
    if environment is None:
        return
    if environment.platform != platform:
        raise StatePlatform(state, environment.platform, platform)
    if missing := [one for one in stores if one not in environment.served.stores]:
        raise StateStores(state, missing)


def down(state: Path, *, under_a_run: bool = True) -> Stopped:
    """Stop every process and remove the environment's data; safe to repeat.

    Raises StateBusy; StateOwned, unless ``under_a_run``, if the environment belongs to a run of another process.
    """
    layout = Layout(state.resolve())
    if not layout.state.is_dir():
        return Stopped(())
    with statelock.locked(layout, "down"):
        if not under_a_run:
            statelock.refuse_strangers(layout)
        stopped = _destroy(layout)
        _leave_folder(layout)
        return Stopped(stopped)


def inspect(state: Path) -> CloudStatus | None:
    """Return the state of each process, or None if no process runs. Changes nothing and waits for no lock."""
    layout = Layout(state.resolve())
    environment, secrets = read_environment(layout), passwords.read(layout.secrets)
    return None if environment is None or secrets is None else status.describe(layout, environment, secrets)


def outputs(state: Path) -> Outputs | None:
    """Return the outputs of a running environment, or None if none of its processes runs."""
    return outputs_file.read(Layout(state.resolve()).outputs) if inspect(state) is not None else None


def sleeps(state: Path) -> bool:
    """Return whether the folder holds an environment without a running process, for instance after a reboot."""
    return read_environment(Layout(state.resolve())) is not None and inspect(state) is None


def sync_registry(state: Path) -> Sequence[str]:
    """Push new images of the environment's registry folder to ECR; return the new tags.

    Raises NotRunning if no environment is up, NotAnswering if its ECR does not answer. Raises ImageChanged (the content
    of a known tag has changed), BrokenImage or EmptyRegistry before anything is pushed.
    """
    layout = Layout(state.resolve())
    if outputs(state) is None:
        raise NotRunning(state)
    with statelock.locked(layout, "registry sync"):  # two concurrent pushes of a tag would conflict
        environment, secrets = read_environment(layout), passwords.read(layout.secrets)
        if environment is None or secrets is None:  # a `down` has removed it while this waited
            _leave_folder(layout)
            raise NotRunning(state)
        try:
            return Estate(layout, environment, secrets).push()
        except (BotoCoreError, ClientError) as error:
            raise NotAnswering(state, "ECR", type(error).__name__) from error


def _create(layout: Layout, registry: Path, wanted: _Wanted, progress: Callable[[str], None]) -> Outputs:
    image = images.choose(registry, wanted.served.repository, wanted.image_tag)
    for folder in images.scan(registry, wanted.served.repository):
        images.build(folder)  # refuse a broken image before anything is started
    foreign = [path.name for path in layout.state.iterdir() if path != layout.lock]
    if foreign:
        raise StateForeign(layout.state, f"holds {', '.join(sorted(foreign)[:3])}")
    progress(f"starting an embedded environment in {layout.state}, blue on {image.repository}:{image.tag}")
    for attempt in range(1, PORT_ATTEMPTS + 1):
        environment = Environment(
            registry=registry,
            image_tag=image.tag,
            served=wanted.served,
            ports=choose_ports(),
            postgres_home=postgres.choose_home(layout),
            key_value_store_id=str(uuid.uuid4()),
            platform=wanted.platform,
        )
        write_environment(layout, environment)
        if wanted.run is not None:
            statelock.record_owner(layout, wanted.run)
        try:
            return _bring_up(layout, environment, progress)
        except BaseException as exc:
            clashed = isinstance(exc, StartFailed) and _clashed(layout, environment)
            _destroy(layout)
            if not clashed or attempt == PORT_ATTEMPTS:
                raise
            progress("another process took one of the ports; trying others")
    raise AssertionError("unreachable: the last attempt returns or raises")


def _mend(layout: Layout, environment: Environment, progress: Callable[[str], None]) -> Outputs:
    known = outputs_file.read(layout.outputs)
    secrets = passwords.keep(layout.secrets)
    found = status.describe(layout, environment, secrets)
    if known is not None and found is not None and found.healthy and _serves(environment):
        progress(f"already up: {environment.live_url}")
        return known
    progress(f"repairing the embedded environment in {layout.state}")
    return _bring_up(layout, environment, progress)


def _bring_up(layout: Layout, environment: Environment, progress: Callable[[str], None]) -> Outputs:
    layout.make()
    secrets = passwords.keep(layout.secrets)
    wanted = supervisor.specs(layout, environment, secrets)
    with ThreadPoolExecutor(len(wanted)) as pool:
        starting = supervisor.start(layout, wanted, progress, pool)
        estate = Estate(layout, environment, secrets)  # loads boto3 while the servers start
        starting.wait_for("moto")
        arns = estate.ensure_data()
        starting.wait()
    progress("the servers are ready; waiting for the live service")
    estate.ensure_live(arns)
    _wait_until_serving(layout, environment)
    made = estate.outputs(arns)
    outputs_file.write(layout.outputs, made)
    progress("the live domain answers")
    return made


def _serves(environment: Environment) -> bool:
    """Return whether the edge knows a live colour and an instance of it answers; a 503 of the release itself counts."""
    port = environment.ports.edge
    answer = http_answer(port, environment.served.health_path, host=f"{environment.live_host}:{port}")
    if answer is None:
        return False
    if environment.platform == "ecs":
        return answer[1].get("server") != AWSELB
    return "x-bg-color" in answer[1] and answer[0] not in (404, 502)


def _wait_until_serving(layout: Layout, environment: Environment) -> None:
    deadline = time.monotonic() + SERVING_WITHIN_S
    while not _serves(environment):
        if time.monotonic() >= deadline:
            raise StartFailed("the live service", f"no answer through {environment.live_url}")
        time.sleep(0.05)
    secrets = passwords.keep(layout.secrets)
    while (found := status.describe(layout, environment, secrets)) is None or not all(
        one.alive for one in found.instances
    ):
        if time.monotonic() >= deadline:
            raise StartFailed("an instance", f"not running again after {SERVING_WITHIN_S:.0f} s")
        time.sleep(0.1)


def _clashed(layout: Layout, environment: Environment) -> bool:
    """Stop our own processes, then return whether another program still listens on one of our ports."""
    supervisor.stop_all(layout, environment)
    return not all(is_free(port) for port in vars(environment.ports).values())


def _destroy(layout: Layout) -> tuple[str, ...]:
    """Stop the environment's processes and remove its files; do nothing if the folder holds no environment."""
    environment = read_environment(layout)
    if environment is None:
        return ()
    stopped = supervisor.stop_all(layout, environment)
    postgres.remove_home(layout, environment.postgres_home)
    for path in layout.owned():
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return stopped


def _leave_folder(layout: Layout) -> None:
    """Remove the lock, and the folder if it is empty then and may be removed: a disk that is mounted there stays."""
    layout.lock.unlink(missing_ok=True)
    if not any(layout.state.iterdir()):
        with suppress(OSError):
            layout.state.rmdir()
