"""Refuses a run whose assertions do nothing: then every check would pass, with any answer of the release."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from deployment.errors import Refused

RECORDED_NAMES = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")
RECORDED_PREFIX = "PYTHON"


def assertion_problem(config: pytest.Config) -> str | None:
    """Return why assertions do nothing, or too little, in this process; None if they work."""
    if not __debug__:
        return "Python runs without assertions (PYTHONOPTIMIZE or -O)"
    if config.getoption("assertmode") != "rewrite":
        return f"pytest does not rewrite assertions (--assert={config.getoption('assertmode')})"
    return None


def refuse_disabled_assertions(problem: str | None, where: str = "") -> None:
    """Raise Refused if there is a problem; ``where`` names the process, such as `` on a worker``."""
    if problem is not None:
        raise Refused(
            f"{problem}{where}, so a failing check would pass",
            hint="Unset PYTHONOPTIMIZE, and remove -O and --assert from the command, PYTEST_ADDOPTS and --tx.",
        )


def recorded_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that change how Python and pytest run checks; the journal records them."""
    return {
        name: value
        for name, value in sorted(environ.items())
        if name in RECORDED_NAMES or name.startswith(RECORDED_PREFIX)
    }
