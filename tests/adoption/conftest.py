"""moto as AWS, as tests/aws has it, but with the members of an ECS service that moto forgets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws.conftest import clients, misleading_environment, running_moto
from tests.terraform.conftest import terraform

__all__ = ["clients", "misleading_environment", "moto_url", "terraform"]


@pytest.fixture(scope="session")
def moto_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    script = Path(__file__).with_name("moto_server.py")
    with running_moto(script, tmp_path_factory.mktemp("moto") / "moto.log") as url:
        yield url
