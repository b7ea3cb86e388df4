"""A failed check on the page: its requests with the answers, its values, and commands that show the failure again."""

from __future__ import annotations

import json
import shlex
from typing import Any

from plugins.page import view
from tests.plugins.project import Project
from tests.plugins.test_verify_an_address import Shopping, shopping

__all__ = ["shopping"]

YAML = """
checks:
  - name: goods are free
    request: GET /goods
    expect: {status: 402, contract: false}
"""
PYTHON = """
def test_goods(client, measure):
    status = client.get("/goods").status_code
    measure("status", status, limit=402)
    assert status == 402, f"GET /goods: status {status}, expected 402"
"""


def failures(folder: Any) -> dict[str, dict[str, Any]]:
    """Return the failures that the page shows, by the name of the check."""
    return {one["name"]: one for one in view.failures(json.loads((folder / "data.json").read_text()))}


def test_every_kind_of_check(shopping: Shopping) -> None:
    """A check in YAML, one in Python and one of the description."""
    folder = shopping.path / "suites" / "goods"
    folder.mkdir()
    (folder / "free.yaml").write_text(YAML)
    (folder / "test_goods.py").write_text(PYTHON)
    shopping.shop.fail["/goods"] = 500
    code, output, _ = shopping.run("suites/goods", "suites/endpoints")
    assert code == 1, output
    found = failures(shopping.path / "reports" / "latest")
    described = [one for one in found.values() if one["id"].startswith("suites/service.yaml::")]
    assert described
    for one in found.values():
        assert ("GET", "/goods", 500) in [(seen["method"], seen["path"], seen["status"]) for seen in one["exchanges"]]
        assert "expected" in one["message"], one
        assert one["commands"][-1] == f"pytest --base-url=URL {shlex.quote(one['id'])}"
    asks = f"curl -i {shopping.shop.url}/goods"
    assert found["goods/free.yaml::goods are free"]["commands"][0] == asks
    assert all(one["commands"][0].startswith(asks) for one in described), described
    [value] = found["goods/test_goods.py::test_goods"]["measured"]
    assert view.value_text(value) == "status: 500, limit 402"
    for check in [described[0]["id"], "suites/goods/free.yaml::goods are free"]:
        assert shopping.run(check)[0] == 1, "the command runs the check alone, and it fails again"
        assert [one["id"] for one in failures(shopping.path / "reports" / "latest").values()] == [check]


def test_in_a_deployment(project: Project) -> None:
    path = project.path / "suites" / "health" / "pages.yaml"
    path.write_text(YAML.replace("/goods", "/health"))
    run = project.run()
    [one] = failures(run.folder).values()
    assert one["commands"][0].startswith("curl -i http://127.0.0.1:")
    html = (run.folder / "report.html").read_text()
    assert one["commands"][0] in html
    assert "<td><code>GET /health</code></td><td>200</td>" in html
