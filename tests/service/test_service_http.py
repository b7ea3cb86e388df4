"""Rules for every request: errors as problem documents, CORS, the rate limit."""

from collections.abc import Iterator

import httpx
import pytest

from tests.service.shapes import expect_problem
from tests.service.support import Image, Service, serve
from tests.service.users import ALICE, SignedIn, log_in

LIMIT = 5


@pytest.mark.parametrize(
    "path",
    ["/", "/healthz", "/health/", "/consults/", "/consults/a/b", "/auth", "/openapi.json", "/%00", "/../etc/passwd"],
)
def test_unknown_path(service: Service, path: str) -> None:
    expect_problem(service.client.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/health"),
        ("DELETE", "/health/database"),
        ("PUT", "/health/redis"),
        ("GET", "/auth/login"),
        ("GET", "/auth/logout"),
        ("PATCH", "/consults"),
        ("PUT", "/consults/00000000-0000-4000-8000-000000000000"),
        ("OPTIONS", "/consults"),
    ],
)
def test_wrong_method(service: Service, method: str, path: str) -> None:
    response = service.client.request(method, path)
    expect_problem(response, 405)
    assert response.headers["allow"]


def test_answers_with_health_records_are_not_cached(alice: SignedIn) -> None:
    assert alice.request("GET", "/consults").headers["cache-control"] == "no-store"
    assert alice.request("GET", f"/consults/{alice.book()['id']}").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("origin", ["https://app.telehealth.com", "https://admin.telehealth.com"])
def test_configured_origins_may_call(service: Service, origin: str) -> None:
    assert service.client.get("/health", headers={"Origin": origin}).headers["access-control-allow-origin"] == origin
    refused = service.client.get("/consults", headers={"Origin": origin})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, origin)
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = service.client.options("/consults", headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, origin)


def test_other_origins_may_not_call(service: Service) -> None:
    origin = {"Origin": "https://evil.example"}
    assert "access-control-allow-origin" not in service.client.get("/health", headers=origin).headers
    expect_problem(service.client.options("/consults", headers={**origin, "Access-Control-Request-Method": "GET"}), 400)


@pytest.fixture(scope="module")
def limited(
    colours: dict[str, Service],
    images: dict[str, Image],
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Service, Service]]:
    """Run both releases with a limit and a shared count; the unlimited colours have migrated the database."""
    settings, logs = {**environment, "RATE_LIMIT_MAX_REQUESTS": str(LIMIT)}, tmp_path_factory.mktemp("limited")
    with serve(images["1.0.0"], settings, logs / "a") as one, serve(images["1.1.0"], settings, logs / "b") as two:
        yield one, two


def test_limit_is_per_token_shared_by_colours_and_excludes_health(
    limited: tuple[Service, Service], colours: dict[str, Service]
) -> None:
    first, second = log_in(colours["1.0.0"], ALICE), log_in(colours["1.0.0"], ALICE)  # unlimited colours count no login
    answers = [first.request("GET", "/consults", at=limited[number % 2]) for number in range(LIMIT + 2)]
    assert [answer.status_code for answer in answers] == [200] * LIMIT + [429] * 2
    expect_problem(answers[-1], 429)
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert second.request("GET", "/consults", at=limited[0]).status_code == 200
    for path in ("/health", "/health/database", "/health/redis"):
        statuses = {service.client.get(path).status_code for service in limited for _ in range(LIMIT + 2)}
        assert statuses == {200}, path


def test_limit_is_per_address_without_a_valid_token(limited: tuple[Service, Service]) -> None:
    def ask(number: int, address: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer forged-{number}", "X-Forwarded-For": address}
        return limited[number % 2].client.get("/consults", headers=headers)

    here = "192.0.2.7"
    assert [ask(number, here).status_code for number in range(LIMIT + 1)] == [401] * LIMIT + [429]
    assert ask(0, "198.51.100.7").status_code == 401
