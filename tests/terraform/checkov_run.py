"""Run checkov on the estate and compare the results with infrastructure/terraform/checkov.toml.

Usage: python -m tests.terraform.checkov_run CHECKOV, with the interpreter of checkov's own venv.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[2] / "infrastructure" / "terraform"
LISTED = TREE / "checkov.toml"
PLATFORMS = ("apprunner", "ecs")


def judge(listed: Mapping[str, Any], passed: Sequence[tuple[str, str]], failed: Sequence[tuple[str, str]]) -> list[str]:
    """Return how the (check, resource) pairs that passed and failed differ from the list; empty if they do not."""
    must, may = set(listed["passes"]), set(listed["fails"])
    wrong = [f"{check} fails on {resource}" for check, resource in sorted(set(failed)) if check not in may]
    wrong += [f"{check} ran on no resource" for check in sorted(must - {check for check, _ in passed})]
    return wrong + [
        f"{check} no longer fails anywhere: remove it from the list" for check in sorted(may - dict(failed).keys())
    ]


def run(checkov: str, platform: str) -> Mapping[str, Any]:
    """Return checkov's results for one platform; the modules' examples do not belong to the estate."""
    with tempfile.NamedTemporaryFile("w", suffix=".tfvars") as variables:
        variables.write(f'platform = "{platform}"\ngithub_repository = "example/telehealth"\n')
        variables.flush()
        command = [checkov, "-d", str(TREE), "--framework", "terraform", "--compact", "--skip-download", "-o", "json"]
        command += ["--download-external-modules", "false", "--skip-path", "example", "--var-file", variables.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    try:
        results: Mapping[str, Any] = json.loads(done.stdout)["results"]
    except (ValueError, KeyError, TypeError):
        sys.exit(f"checkov returned no results: {done.stderr[-1000:]}")
    return results


def main(checkov: str) -> int:
    """Return 0 if the results are as listed; else print a line for each difference and return 1."""
    passed, failed = [], []
    for platform in PLATFORMS:
        results = run(checkov, platform)
        passed += [(one["check_id"], one["resource"]) for one in results["passed_checks"]]
        failed += [(one["check_id"], one["resource"]) for one in results["failed_checks"]]
    wrong = judge(tomllib.loads(LISTED.read_text(encoding="utf-8")), passed, failed)
    print(
        "\n".join(wrong) or f"checkov: {len(passed)} passed; {len(failed)} are listed exceptions, each with its reason"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
