"""The pictures of the measured series, drawn by Vega-Lite as SVG that needs no script to be seen.

Each colour is a placeholder that page.css replaces, so that a picture follows the light, the dark and the print style.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from deployment.evidence.verdict import LIVE as LIVE_GATE
from plugins.page.view import traffic_moves

DEADLINE_S = 20.0
"""How long drawing may take in all; the page then says which pictures are missing."""
VEGA_LITE = "5.20"
WIDTH = 860
# page.css names these colours again.
INK, GRID, GOOD, BAD, CANDIDATE, LIVE, LIMIT, OTHER = (f"#0{n}0{n}0{n}" for n in range(1, 9))
COLOURS = {"blue": LIVE, "green": CANDIDATE}

Spec = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """A drawn picture: ``svg`` is empty if it was not drawn in time; ``says`` is what it shows in a sentence."""

    name: str
    title: str
    says: str
    svg: Markup


def pictures(data: Mapping[str, Any]) -> list[Picture]:
    """Return the pictures of the series that the run took."""
    wanted = [
        (name, title, *make(data["series"][name], data)) for name, title, make in PICTURES if data["series"].get(name)
    ]
    if gates := gate_times(data):
        wanted.append(("gates", "Time spent in each gate", *gates))
    drawn = _drawn([(name, spec) for name, _, _, spec in wanted])
    return [Picture(name, title, says, _finished(drawn.get(name, ""), title)) for name, title, says, _ in wanted]


def _drawn(specs: Sequence[tuple[str, Spec]]) -> dict[str, str]:
    """Return the SVG of each specification that was drawn within the deadline."""
    found: dict[str, str] = {}

    def draw() -> None:
        with suppress(Exception):  # a picture that cannot be drawn is missing; the page says so
            import vl_convert  # a browser engine; only runs that measured something need it

            for name, spec in specs:
                found[name] = vl_convert.vegalite_to_svg({**BASE, **spec}, vl_version=VEGA_LITE)

    if specs:
        worker = threading.Thread(target=draw, daemon=True)
        worker.start()
        worker.join(DEADLINE_S)
    return dict(found)


def _finished(svg: str, title: str) -> Markup:
    """Return the SVG as one image with a name. The caption says what it shows."""
    if not svg:
        return Markup("")
    plain = re.sub(r' (role|aria-[a-z]+)="[^"]*"', "", svg)
    return Markup(re.sub(r"^<svg ", f'<svg role="img" aria-label="{escape(title)}" ', plain, count=1))  # noqa: S704 - drawn by us


AXIS = {
    "labelColor": INK, "titleColor": INK, "gridColor": GRID, "domainColor": GRID, "tickColor": GRID,
    "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 260,
}  # fmt: skip
BASE: Spec = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "background": None,
    "width": WIDTH,
    "padding": {"left": 30, "right": 20, "top": 5, "bottom": 5},
    "config": {
        "axis": AXIS,
        # A reader's machine may have wider letters than those with which the places of the labels are computed.
        "legend": {
            "labelColor": INK,
            "titleColor": INK,
            "labelFontSize": 12,
            "orient": "top",
            "title": None,
            "columnPadding": 40,
            "labelLimit": 400,
        },
        "view": {"stroke": None},
        "text": {"fill": INK, "fontSize": 12},
        "font": "Arial, Helvetica, sans-serif",
    },
}


def _values(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"values": list(rows)}


def _stacked(counts: Sequence[tuple[int, Mapping[str, int]]]) -> list[dict[str, Any]]:
    """Return a bar of one second for each kind of each second's counts, one on top of the other."""
    rows = []
    for second, by in counts:
        low = 0
        for kind, count in by.items():
            if count:
                rows.append({"t": second, "end": second + 1, "low": low, "high": low + count, "of": kind})
                low += count
    return rows


def _scale(colours: Mapping[str, str]) -> dict[str, list[str]]:
    return {"domain": list(colours), "range": list(colours.values())}


def _number(field: str, title: str | None, **more: Any) -> Spec:
    """Return the encoding of a number; without a title, the picture's other layers give the axis its title."""
    return {"field": field, "type": "quantitative", **({} if title is None else {"title": title}), **more}


# -- the live domain ---------------------------------------------------------------------------------------------------


def availability(series: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[str, Spec]:
    """Return the sentence and the picture of the live domain, second by second, by the release that answered."""
    counts = [(one[0], {**one[3], **({"failed": one[2]} if one[2] else {})}) for one in series["seconds"]]
    names = dict.fromkeys(label for _, by in counts for label in by)
    labels = {name: BAD if name == "failed" else COLOURS.get(name.partition(" ")[0], OTHER) for name in names}
    switches = [
        {
            "t": round(datetime.fromisoformat(one["time"]).timestamp() - series["start"], 2),
            "says": f"to {one['data']['colour']}",
        }
        for one in traffic_moves(data)
    ]
    bars: Spec = {
        "mark": "bar",
        "encoding": {
            "x": _number("t", "seconds since the prober began", axis={"tickCount": 12, "grid": False}),
            "x2": {"field": "end"},
            "y": _number("low", "requests per second"),
            "y2": {"field": "high"},
            "color": {"field": "of", "type": "nominal", "scale": _scale(labels)},
        },
    }
    marks: Spec = {
        "data": _values(switches),
        "layer": [
            {"mark": {"type": "rule", "strokeDash": [4, 3], "stroke": INK}, "encoding": {"x": _number("t", None)}},
            {
                "mark": {"type": "text", "align": "left", "dx": 4, "dy": -4},
                "encoding": {"x": _number("t", None), "y": {"value": 0}, "text": {"field": "says"}},
            },
        ],
    }
    total, failed = sum(one[1] + one[2] for one in series["seconds"]), sum(one[2] for one in series["seconds"])
    says = (
        f"{total:,} requests in {len(series['seconds'])} seconds, {failed:,} failed; the longest time without an answer was "
        f"{series['longest_gap_ms']:.0f} ms. A dashed line marks each switch of the traffic."
    )
    return says, {"height": 180, "data": _values(_stacked(counts)), "layer": [bars, *([marks] if switches else [])]}


# -- latency -----------------------------------------------------------------------------------------------------------


def latency(series: Mapping[str, Any], _: Mapping[str, Any]) -> tuple[str, Spec]:
    """Return the sentence and the picture of the answer times: for each operation, the candidate beside live."""
    rows = [
        {
            "operation": one["operation"],
            "colour": colour,
            **dict(zip(("p5", "p25", "p50", "p75", "p95", "p99"), one[colour], strict=False)),
        }
        for one in series["operations"]
        for colour in ("candidate", "live")
        if one.get(colour)
    ]
    colour = {"field": "colour", "type": "nominal", "scale": _scale({"candidate": CANDIDATE, "live": LIVE})}
    place = {
        "y": {"field": "operation", "type": "nominal", "title": None, "sort": None},
        "yOffset": {"field": "colour", "sort": ["candidate", "live"]},
    }
    x = {"type": "log"}
    layers: list[Spec] = [
        {"mark": {"type": "rule", "strokeWidth": 1.5}, "encoding": {**place, "x": _number("p5", "ms (logarithmic)", scale=x), "x2": {"field": "p95"}, "color": colour}},
        {"mark": {"type": "bar", "height": 8}, "encoding": {**place, "x": _number("p25", None, scale=x), "x2": {"field": "p75"}, "color": colour}},
        {"mark": {"type": "tick", "thickness": 2, "size": 12, "color": INK}, "encoding": {**place, "x": _number("p50", None, scale=x)}},
    ]  # fmt: skip
    budgets = [
        {"ms": ms, "name": name.removesuffix("_ms") + " budget", "y": -12 * number}
        for number, (name, ms) in enumerate(series.get("budgets", {}).items())
    ]
    layers += [
        {"data": _values(budgets), "mark": {"type": "rule", "stroke": LIMIT, "strokeDash": [4, 3]}, "encoding": {"x": _number("ms", None, scale=x)}},
        {"data": _values(budgets), "mark": {"type": "text", "align": "right", "dx": -3, "dy": -6}, "encoding": {"x": _number("ms", None, scale=x), "y": {"field": "y", "type": "quantitative", "scale": None, "axis": None}, "text": {"field": "name"}}},
    ]  # fmt: skip
    slowest = max((one for one in series["operations"] if one.get("ratio")), key=lambda one: one["ratio"], default=None)
    says = "The bar spans the middle half of the answers, the line 5 % to 95 %, the mark is the median. "
    if slowest is not None:
        low, high = slowest.get("low"), slowest.get("high")
        interval = f" (95 %: {low:.2f} to {high:.2f})" if low and high else ""
        says += f"The largest difference is {slowest['operation']}: {slowest['ratio']:.2f} times live's time{interval}, limit {slowest['limit']:g} times."
    else:
        says += "There was no second colour to compare with."
    return says, {"height": {"step": 14}, "data": _values(rows), "layer": layers}


# -- load --------------------------------------------------------------------------------------------------------------


def load(series: Mapping[str, Any], _: Mapping[str, Any]) -> tuple[str, Spec]:
    """Return the sentence and the picture of the load: rate, failures and p95, second by second."""
    names = ("t", "requests", "failures", "p95")
    rows = [dict(zip(names, one, strict=True)) for one in series["seconds"]]
    counts = [(one["t"], {"answered": one["requests"] - one["failures"], "failed": one["failures"]}) for one in rows]
    x = _number("t", "", axis={"tickCount": 12, "grid": False})
    rate: Spec = {
        "height": 120,
        "width": WIDTH,
        "data": _values(_stacked(counts)),
        "mark": "bar",
        "encoding": {
            "x": x,
            "x2": {"field": "end"},
            "y": _number("low", "requests per second"),
            "y2": {"field": "high"},
            "color": {"field": "of", "type": "nominal", "scale": _scale({"answered": GOOD, "failed": BAD})},
        },
    }
    limit = series.get("p95_limit_ms")
    slow: Spec = {
        "height": 120,
        "width": WIDTH,
        "layer": [
            {"data": _values(rows), "mark": {"type": "line", "stroke": CANDIDATE}, "encoding": {"x": {**x, "title": "seconds"}, "y": _number("p95", "p95 in ms")}},
            *([{"data": _values([{"p95": limit}]), "mark": {"type": "rule", "stroke": LIMIT, "strokeDash": [4, 3]}, "encoding": {"y": _number("p95", None)}}] if limit else []),
        ],
    }  # fmt: skip
    total, failed = sum(one["requests"] for one in rows), sum(one["failures"] for one in rows)
    says = f"{total:,} requests in {len(rows)} s, {failed:,} failed."
    return says + (" The dashed line is the limit of the p95." if limit else ""), {
        "vconcat": [rate, slow],
        "width": None,
    }


# -- the bake ----------------------------------------------------------------------------------------------------------


def bake(series: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[str, Spec]:
    """Return the sentence and the picture of the bake: each statistic of the watch as a share of its limit."""
    rows = [
        {"t": t, "share": share, "of": name} for name, points in series["statistics"].items() for t, share in points
    ]
    names = dict(zip(series["statistics"], (CANDIDATE, LIVE, OTHER, GOOD), strict=False))
    lines: Spec = {
        "mark": {"type": "line"},
        "encoding": {
            "x": _number("t", "seconds of the bake", axis={"tickCount": 12, "grid": False}),
            "y": _number("share", "share of the limit"),
            "color": {"field": "of", "type": "nominal", "scale": _scale(names)},
        },
    }
    limit: Spec = {
        "data": _values([{"share": 1}]),
        "mark": {"type": "rule", "stroke": LIMIT, "strokeDash": [4, 3]},
        "encoding": {"y": _number("share", None)},
    }
    highest = max((row["share"] for row in rows), default=0)
    says = f"At 1 (the dashed line) one of these values rolls back; the highest was {highest:.2f}."
    if data["report"]["verdict"] == "rolled_back" and highest < 1:
        says += " None of them rolled back: the reason above names the limit that did."
    return says, {"height": 160, "data": _values(rows), "layer": [lines, limit]}


# -- gates -------------------------------------------------------------------------------------------------------------


def gate_times(data: Mapping[str, Any]) -> tuple[str, Spec] | None:
    """Return the sentence and the picture of the time that each gate's checks took; None if only few ran at all."""
    rows = [
        {"gate": one["name"], "s": one["duration_s"], "of": "failed" if one["outcome"] == "failed" else "others"}
        for one in data["gates"]
        if one["duration_s"] >= 0.05
    ]
    if not data["series"] or len(rows) < 2:
        return None
    longest = max(rows, key=lambda row: row["s"])
    y = {"field": "gate", "type": "nominal", "title": None, "sort": None}
    colour = {"field": "of", "type": "nominal", "scale": _scale({"others": CANDIDATE, "failed": BAD}), "legend": None}
    spec: Spec = {
        "height": {"step": 20},
        "data": _values(rows),
        "layer": [
            {
                "mark": {"type": "bar", "height": 12},
                "encoding": {"y": y, "x": _number("s", "seconds", axis={"tickCount": 8}), "color": colour},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 4},
                "encoding": {"y": y, "x": _number("s", None), "text": {"field": "s", "format": ".1f"}},
            },
        ],
    }
    says = f"{longest['gate']} took the longest: {longest['s']:.1f} s."
    verify = next((one for one in data["report"]["steps"] if one["name"] == "verify"), None)
    if verify is not None and verify["duration_s"]:
        checks = sum(one["duration_s"] for one in data["gates"] if one["name"] != LIVE_GATE)
        says += f" The checks of the step verify took {checks:.1f} s together, the step {verify['duration_s']:.1f} s; checks may run at the same time."
    return says, spec


Make = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[str, Spec]]
PICTURES: Sequence[tuple[str, str, Make]] = (
    ("availability", "Users of the live domain, second by second", availability),
    ("latency", "Answer times: candidate beside live", latency),
    ("load", "Load on the candidate", load),
    ("bake", "The watch during the bake", bake),
)
