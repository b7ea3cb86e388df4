"""The folder of App Runner's ingress."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.embedded.aws.apprunner.ingress import Ingress


def test_point_switch_and_remove(tmp_path: Path) -> None:
    ingress = Ingress(tmp_path / "ingress")
    assert ingress.port_of("a.localhost") is None
    ingress.point("a.localhost:41003", 1001)
    ingress.point("a.localhost", 1002)
    ingress.point("a.localhost", 1002)
    assert [path.name for path in (tmp_path / "ingress" / "a.localhost").iterdir()] == ["127.0.0.1:1002"]
    assert ingress.port_of("A.localhost") == 1002
    ingress.remove("a.localhost")
    ingress.remove("a.localhost")
    assert ingress.port_of("a.localhost") is None


def test_leftovers_are_cleared(tmp_path: Path) -> None:
    ingress = Ingress(tmp_path)
    ingress.point("a", 1)
    for port in (2, 3):
        (tmp_path / "a" / f"127.0.0.1:{port}").touch()
    ingress.point("a", 3)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["127.0.0.1:3"]


@pytest.mark.parametrize("host", ["", "..", "../up", "a/b", "*", "a..b", "-a"])
def test_an_invalid_host_creates_no_folder(host: str, tmp_path: Path) -> None:
    ingress = Ingress(tmp_path / "ingress")
    with pytest.raises(ValueError, match="not a host name"):
        ingress.point(host, 1)
    assert not list((tmp_path / "ingress").iterdir())
