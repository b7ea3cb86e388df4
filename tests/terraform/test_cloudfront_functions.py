"""The switch on CloudFront: the function reads the router's keys, and routes as the embedded edge does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from deployment.model import Colour, Routes
from infrastructure.aws.cloudfront import router
from infrastructure.embedded.aws.cloudfront import edge
from infrastructure.embedded.caddy import config
from tests.terraform.javascript import LAST_KNOWN, REQUEST, RESPONSE, request, run, source

HOSTS = {Colour.BLUE: "b.us-east-1.awsapprunner.com", Colour.GREEN: "g.us-east-1.awsapprunner.com"}
MOST_BYTES = 10 * 1024


def written(blue: int, generation: int = 7) -> dict[str, str]:
    """Return the store's content exactly as the router writes it."""
    live = Colour.BLUE if blue >= 50 else Colour.GREEN
    routes = Routes(live, {Colour.BLUE: blue, Colour.GREEN: 100 - blue}, generation, fence=3)
    return {put["Key"]: put["Value"] for put in router._puts(routes, HOSTS)}


def routed(keys: Mapping[str, str], **how: Any) -> tuple[str, str, str | None]:
    """Return the (colour, generation, pin) of a routed request; assert that its origin is that colour's."""
    cookie = how.pop("cookie", None)
    outcome = run(REQUEST, request(cookie), keys, **how)
    headers = outcome["answer"]["headers"]
    colour = headers["x-bg-color"]["value"]
    expected = {**{str(name): host for name, host in HOSTS.items()}}
    host = outcome["moved"][0]["domainName"]
    assert outcome["moved"] == [{"domainName": host, "hostHeader": host}]
    assert host == (LAST_KNOWN["host"] if headers["x-bg-generation"]["value"] == "0" else expected[colour])
    return colour, headers["x-bg-generation"]["value"], headers.get("x-bg-pin", {}).get("value")


@pytest.mark.parametrize(("blue", "colour"), [(100, "blue"), (0, "green")])
@pytest.mark.parametrize("draw", [0.0, 0.999])
def test_all_traffic_goes_to_the_live_colour(blue: int, colour: str, draw: float) -> None:
    assert routed(written(blue), draw=draw) == (colour, "7", None)


@pytest.mark.parametrize(("draw", "colour"), [(0.0, "green"), (0.099, "green"), (0.1, "blue"), (0.999, "blue")])
def test_weights_split_the_traffic(draw: float, colour: str) -> None:
    assert routed(written(90), draw=draw) == (colour, "7", f"7-{colour}")


@pytest.mark.parametrize("colour", ["blue", "green"])
def test_viewer_keeps_its_colour_while_the_routes_stay(colour: str) -> None:
    for draw in (0.0, 0.999):
        assert routed(written(50), cookie=f"7-{colour}", draw=draw)[0] == colour
    seen = {routed(written(50), cookie=f"6-{colour}", draw=draw)[0] for draw in (0.0, 0.999)}
    assert seen == {"blue", "green"}, "a pin of an earlier generation is ignored"


def test_pin_is_ignored_without_a_split() -> None:
    assert routed(written(100), cookie="7-green") == ("blue", "7", None)


BROKEN = {
    "no active": {"active": None},
    "an unknown colour": {"active": "red"},
    "no weights": {"weights": None},
    "weights that are not JSON": {"weights": "blue"},
    "weights that are null": {"weights": "null"},
    "weights that are a list": {"weights": "[100, 0]"},
    "weights beyond 100": {"weights": '{"blue": 100, "green": 100}'},
    "a negative weight": {"weights": '{"blue": 110, "green": -10}'},
    "half a percent": {"weights": '{"blue": 99.5, "green": 0.5}'},
    "weights as text": {"weights": '{"blue": "100", "green": "0"}'},
    "one weight alone": {"weights": '{"blue": 100}'},
    "no generation": {"generation": None},
    "a generation that is not a number": {"generation": "seven"},
    "no origin": {"origin.blue": None},
    "an origin with a path": {"origin.blue": "b.example/evil"},
    "an origin with a scheme": {"origin.blue": "https://b.example"},
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_last_known_colour_answers_if_the_store_is_invalid(change: Mapping[str, str | None]) -> None:
    """The embedded edge does the same: it keeps the last valid route."""
    keys = {key: value for key, value in {**written(100), **change}.items() if value is not None}
    assert routed(keys) == ("blue", "0", None)
    if change != {"weights": '{"blue": 100}'}:  # the embedded edge takes a missing weight for 0
        assert edge.route_line(keys) is None


def test_last_known_colour_answers_if_the_store_is_silent() -> None:
    assert routed(written(0), silent=True) == ("blue", "0", None)


def test_the_embedded_edge_reads_the_same_keys() -> None:
    """The function and the edge read the same colour, host and generation."""
    for blue in (0, 100):
        keys = written(blue)
        colour, generation, _ = routed(keys)
        assert str(edge.route_line(keys)).split()[:3] == [generation, colour, HOSTS[Colour(colour)]]


def test_rest_of_the_request_is_unchanged() -> None:
    """The function does not write Host: CloudFront would answer 502. It overwrites headers that a viewer forged."""
    sent = request(x_forwarded_host="forged.example", x_bg_color="green", x_bg_pin="9-green", accept="text/html")
    answer = run(REQUEST, sent, written(100))["answer"]
    headers = {name: value["value"] for name, value in answer["headers"].items()}
    assert headers == {
        "host": "api.telehealth.com",
        "accept": "text/html",
        "x-forwarded-host": "api.telehealth.com",
        "x-bg-color": "blue",
        "x-bg-generation": "7",
    }
    assert {key: answer[key] for key in ("method", "uri", "querystring", "cookies")} == {
        key: sent["request"][key] for key in ("method", "uri", "querystring", "cookies")
    }


def test_function_reads_only_the_keys_that_it_needs() -> None:
    assert run(REQUEST, request(), written(100))["asked"] == ["active", "generation", "weights", "origin.blue"]


@pytest.mark.parametrize("blue", [100, 90])
def test_response_names_the_colour_that_answered(blue: int) -> None:
    """The response has the headers that the deployer waits for, and the pin under the embedded edge's name."""
    sent = run(REQUEST, request(), written(blue), draw=0.0)["answer"]
    colour = "blue" if blue == 100 else "green"
    event = {"request": sent, "response": {"statusCode": 200, "headers": {"server": {"value": "x"}}, "cookies": {}}}
    answer = run(RESPONSE, event, {})["answer"]
    headers = {name: value["value"] for name, value in answer["headers"].items()}
    assert headers == {"server": "x", "x-bg-color": colour, "x-bg-generation": "7"}
    pins = {name: (value["value"], value["attributes"]) for name, value in answer["cookies"].items()}
    expected = {config.COOKIE: ("7-green", "Path=/; Secure; HttpOnly; SameSite=Lax")}
    assert pins == ({} if blue == 100 else expected)


@pytest.mark.parametrize("path", [REQUEST, RESPONSE], ids=lambda path: path.stem)
def test_function_obeys_cloudfronts_limits(path: Any) -> None:
    """The limits: size, syntax that the runtime lacks, and headers that a function may not write."""
    code = source(path)
    assert len(code.encode()) < MOST_BYTES
    plain = re.sub(r"//[^\n]*", "", code)
    unknown = (
        r"\bclass\b|\byield\b|\bof\b|\?\.|\?\?|\.\.\.|`|\b(?:const|let|var)\s*[\[{]|\bawait\b(?! [\w.]+\([^()]*\);)"
    )
    assert re.findall(unknown, plain.replace("const LAST_KNOWN = " + json.dumps(LAST_KNOWN), "")) == []
    assert not re.search(r"headers(?:\.host|\[['\"]host['\"]\])\s*=", plain)
    kept = (
        r"connection|expect|keep-alive|proxy-|trailer|upgrade|x-accel|x-amz|x-cache|x-edge|x-forwarded-proto|x-real-ip"
    )
    assert re.findall(rf"headers\[['\"](?:{kept})", plain) == []


def test_function_that_writes_host_is_detected(tmp_path: Any) -> None:
    """The stand-in refuses a write to Host, as CloudFront does."""
    bad = tmp_path / "bad.js"
    bad.write_text(source(REQUEST).replace("return request;", "request.headers.host = { value: 'x' }; return request;"))
    with pytest.raises(AssertionError, match="read only"):
        run(bad, request(), written(100))


@pytest.mark.parametrize("kept", [(), ("x-bg-color",), ("x-bg-generation",), ("x-bg-pin",)])
def test_answer_survives_missing_request_headers(kept: tuple[str, ...]) -> None:
    """An error in the function would turn the viewer's answer into a 503."""
    sent = {name: {"value": "7-blue"} for name in kept}
    event = {**request(), "request": {**request()["request"], "headers": {"host": {"value": "api"}, **sent}}}
    event["response"] = {"statusCode": 200, "headers": {"etag": {"value": "1"}}, "cookies": {}}
    answer = run(RESPONSE, event, {})["answer"]
    assert answer["statusCode"] == 200
    assert set(answer["headers"]) == {"etag", *(name for name in kept if name != "x-bg-pin")}
    assert set(answer["cookies"]) == ({"bg_track"} if "x-bg-pin" in kept else set())
