"""kill -9 and SIGTERM of the endpoint on ECS: living tasks are adopted, and deployments continue."""

from __future__ import annotations

import psutil
import pytest

from tests.embedded_aws.ecs_harness import Cluster
from tests.embedded_aws.harness import Endpoint, wait_for


def _pid(cluster: Cluster, group: str) -> int:
    (address,) = cluster.targets(group)
    return int(cluster.ask(address)["pid"])


def test_after_kill_9_living_tasks_are_adopted_and_dead_ones_replaced(own_ecs: Endpoint) -> None:
    cluster = Cluster(own_ecs.start())
    image = own_ecs.image("1", "exec python web.py")
    alive, dead = (cluster.service(name, image) for name in ("alive", "dead"))
    services = [cluster.deployed(name) for name in ("alive", "dead")]
    living, dying = _pid(cluster, alive), _pid(cluster, dead)
    files = sorted(own_ecs.folder.glob("listeners/*/*"))
    routes = {file: file.read_text() for file in files}
    own_ecs.kill()
    psutil.Process(dying).kill()
    assert {file: file.read_text() for file in files} == routes, "the proxy in front works without the endpoint"
    own_ecs.start()
    wait_for(lambda: len(cluster.targets(dead)) == 1 and set(cluster.targets(dead).values()) == {"healthy"})
    assert _pid(cluster, dead) != dying
    assert _pid(cluster, alive) == living
    after = [cluster.deployed(name) for name in ("alive", "dead")]
    assert [one["deployments"][0]["id"] for one in after] == [one["deployments"][0]["id"] for one in services]


def test_a_deployment_continues_after_kill_9(own_ecs: Endpoint) -> None:
    cluster = Cluster(own_ecs.start())
    group = cluster.service("rolls", own_ecs.image("1"), 2)
    cluster.deployed("rolls")
    wanted = cluster.definition("rolls", own_ecs.image("2"))
    cluster.update("rolls", taskDefinition=wanted)
    wait_for(lambda: len(cluster.tasks("rolls")) > 2)
    own_ecs.kill()
    own_ecs.start()
    assert cluster.deployed("rolls")["taskDefinition"] == wanted
    assert {cluster.ask(address)["version"] for address in cluster.targets(group)} == {"2"}
    assert len(cluster.tasks("rolls")) == 2
    shells = [process for process in own_ecs.leftovers() if process.name() == "sh"]
    assert len(shells) <= 2, "a task without a record still runs"


@pytest.mark.soak
def test_sigterm_stops_every_task_and_the_next_start_brings_them_back(own_ecs: Endpoint) -> None:
    own_ecs.settings |= {"stop_grace_s": 0.5}
    cluster = Cluster(own_ecs.start())
    group = cluster.service("stopped", own_ecs.image("1", web="trap '' TERM; python web.py; sleep 60"))
    cluster.deployed("stopped")
    assert own_ecs.stop() == 0
    assert own_ecs.leftovers() == []
    own_ecs.start()
    wait_for(lambda: set(cluster.targets(group).values()) == {"healthy"})
    assert cluster.deployed("stopped")["deployments"][0]["failedTasks"] == 0
