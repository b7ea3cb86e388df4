"""Renders the page with Jinja2: no request to anywhere, no inline style or handler, and a policy that says so."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import jinja2
from jinja2.bccache import Bucket
from markupsafe import Markup, escape

from deployment.evidence.attestation import why_unsigned
from deployment.evidence.sentence import exemptions, headline, unfinished
from plugins.page import charts, facts, view
from plugins.page.timeline import timeline

_BACKTICKS = re.compile("`([^`]+)`")
TEMPLATES = Path(__file__).with_name("templates")
PAGE, STYLE, SCRIPT = "page.html", "page.css", "page.js"


def render(data: Mapping[str, Any]) -> str:
    """Return the page of a report; the template engine escapes every value."""
    gates = data["gates"]
    text = template(PAGE, SCRIPT).render(
        data=data,
        report=data["report"],
        headline=headline(data),
        unfinished=unfinished(data["report"]),
        mood=view.mood(data),
        kind=facts.kind(data),
        command=facts.command(data),
        times=facts.times(data),
        users=view.users(data),
        failed_requests=view.failed_requests(data),
        watched=facts.watched(data),
        compared=facts.compared(data),
        live_now=facts.live_now(data),
        left_out=facts.left_out(data),
        without_comparison=facts.without_comparison(data),
        unchecked=facts.unchecked(data),
        verified_by=facts.verified_by(data),
        went_back=facts.went_back(data),
        words=facts.WORDS,
        steps=view.steps(data),
        groups=view.groups(data),
        failures=view.failures(data),
        failure_groups=facts.groups_of_failures(view.failures(data), data["report"]["reason"]),
        waived=view.waived(gates),
        absent=view.absent(gates),
        ran=view.ran(data),
        coverage=view.coverage(data),
        timeline=timeline(data["journal"]),
        warnings=view.warnings(data),
        gone=next(iter(view.records(data, "gone")), {}).get("checks", ()),
        exemptions=exemptions(data["report"]),
        uncompared=view.uncompared(data["report"]),
        unread=next(iter(view.records(data, "history")), {}).get("left_out", {}),
        logs=view.records(data, "logs"),
        unsigned=why_unsigned([(one["kind"], one["data"]) for one in data["journal"]]),
        signed_by=facts.signed_by(data),
        pictures=charts.pictures(data),
        marks=view.MARKS,
    )
    return encodable(text)


def encodable(text: str) -> str:
    """Return a page that UTF-8 can encode: half characters, of JSON or of a file's name, are spelled as in Python."""
    return text.encode("utf-8", "backslashreplace").decode()


@functools.cache
def template(name: str, script_name: str) -> jinja2.Template:
    """Return a compiled template, with the style, its script and the policy that allows exactly them."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, bytecode_cache=_compiled()
    )
    style, script = ((TEMPLATES / one).read_text(encoding="utf-8") for one in (STYLE, script_name))
    environment.globals.update(
        style=Markup(style),  # noqa: S704 - a file of ours
        script=Markup(script),  # noqa: S704 - a file of ours
        policy=_policy(style, script),
        duration=view.duration,
    )
    environment.filters.update(
        commands=_commands, shell=shlex.join, value_text=view.value_text, gate_text=view.gate_text
    )
    return environment.get_template(name)


class _Compiled(jinja2.FileSystemBytecodeCache):
    """Keeps compiled templates, which takes as long to make as ten checks in YAML. A full disk loses them, and no page."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            super().dump_bytecode(bucket)


def _compiled() -> _Compiled | None:
    """Return the cache beside this module's own compiled form; None if Python may not keep that either."""
    folder = Path(__file__).with_name("__pycache__")
    usable = not sys.dont_write_bytecode and folder.is_dir() and os.access(folder, os.W_OK)
    return _Compiled(str(folder)) if usable else None


def _commands(text: str) -> Markup:
    """Return the text as HTML, with what stands between backticks as code."""
    return Markup(_BACKTICKS.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - it was escaped


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: nothing is loaded, and only this style and this script apply."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
