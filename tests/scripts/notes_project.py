"""A project of another service for the commands of people who write checks."""

from __future__ import annotations

import click.testing

from deployment.errors import Refused
from scripts import deploy

CHECKS = """
checks:
  - name: a note is kept
    signed_in: true
    steps:
      - {name: write, request: {method: POST, path: /notes, json: {text: "${marker}"}}, expect: {status: 201}, capture: {id: $.id}}
      - {name: read, request: "GET /notes/${id}", expect: {status: 200, body: {text: "${marker}"}}}
    undo:
      - {name: delete, request: "DELETE /notes/${id}", expect: {status: 204}}
  - name: it is ready
    request: GET /ready
    expect: {status: 200}
  - name: it is a teapot
    request: GET /${page}
    parameters: [{id: first, page: ready}, {id: second, page: ready}]
    expect: {status: 418}
  - name: both agree
    on: both
    request: GET /ready
    expect: {status: 200}
"""
SETTINGS = 'default_environment = "ours"\n[environments.ours]\nprovider = "embedded"\n'


def run(*arguments: str, text: str | None = None) -> click.testing.Result:
    """Run a command of the command line in this process; ``text`` is its standard input."""
    return click.testing.CliRunner().invoke(deploy.cli, arguments, input=text)


def refused(*arguments: str, text: str | None = None) -> str:
    """Return the text of the refusal that a command ends with."""
    error = run(*arguments, text=text).exception
    assert isinstance(error, Refused), error
    return str(error)
