"""Runs checkov on the estate and judges by infrastructure/terraform/checkov.toml; the interpreter is that of checkov's own venv.

Usage: python -m tests.terraform.checkov_run CHECKOV
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
    """What is wrong with the (check, resource) pairs that passed and failed; empty where all is as listed."""
    must, may = set(listed["passes"]), set(listed["fails"])
    wrong = [f"{check} fails on {resource}" for check, resource in sorted(set(failed)) if check not in may]
    wrong += [f"{check} was run on nothing" for check in sorted(must - {check for check, _ in passed})]
    return wrong + [
        f"{check} fails nowhere any more: take it off the list" for check in sorted(may - dict(failed).keys())
    ]


def run(checkov: str, platform: str) -> Mapping[str, Any]:
    """checkov's results for one platform."""
    with tempfile.NamedTemporaryFile("w", suffix=".tfvars") as variables:
        variables.write(f'platform = "{platform}"\ngithub_repository = "example/telehealth"\n')
        variables.flush()
        command = [checkov, "-d", str(TREE), "--framework", "terraform", "--compact", "--skip-download", "-o", "json"]
        command += ["--download-external-modules", "false", "--var-file", variables.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    try:
        results: Mapping[str, Any] = json.loads(done.stdout)["results"]
    except (ValueError, KeyError, TypeError):
        sys.exit(f"checkov gave no results: {done.stderr[-1000:]}")
    return results


def main(checkov: str) -> int:
    """0: as listed; 1: not, with a line for each difference."""
    passed, failed = [], []
    for platform in PLATFORMS:
        results = run(checkov, platform)
        passed += [(one["check_id"], one["resource"]) for one in results["passed_checks"]]
        failed += [(one["check_id"], one["resource"]) for one in results["failed_checks"]]
    wrong = judge(tomllib.loads(LISTED.read_text(encoding="utf-8")), passed, failed)
    print("\n".join(wrong) or f"checkov: {len(passed)} passed; {len(failed)} failed on purpose, each with its reason")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
