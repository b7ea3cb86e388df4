""".github/workflows: the scripts of deploy.yml run in bash, as on GitHub; watch.yml only verifies."""

from __future__ import annotations

import os
from typing import Any

import pytest
import yaml

from tests.docs.checkout import Checkout
from tests.docs.documents import ROOT, document

WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text(encoding="utf-8"))
JOB = WORKFLOW["jobs"]["deploy"]
STEPS = {step.get("name", step.get("uses")): step for step in JOB["steps"]}
SCRIPTS = {name: step["run"] for name, step in STEPS.items() if "run" in step}
NICE = {"IMAGE_TAG": "1.1.0", "TARGET": "auto", "ENVIRONMENT": "embedded"}
NASTY = '1.1.0"; touch pwned; $(touch pwned) `touch pwned`'


def test_the_watch_verifies_and_never_deploys() -> None:
    """watch.yml runs on a schedule, without stored keys or expressions in scripts, and starts ``pytest`` without a target."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "watch.yml").read_text(encoding="utf-8"))
    scripts = [step["run"] for step in workflow["jobs"]["watch"]["steps"] if "run" in step]
    assert workflow[True]["schedule"]  # YAML 1.1 reads the key `on` as a truth value
    assert workflow["permissions"] == {"contents": "read", "id-token": "write"}
    assert "secrets." not in yaml.safe_dump(workflow)
    assert scripts[-1] == 'python -m pytest --environment="$ENVIRONMENT"'
    assert not any("${{" in script or "--target" in script for script in scripts)


def test_inputs_are_never_part_of_a_script() -> None:
    """Expressions occur only in ``env`` and ``with``, so that an input cannot become a command."""
    assert len(SCRIPTS) > 3
    assert [name for name, script in SCRIPTS.items() if "${{" in script] == []


def test_no_run_is_cancelled_and_no_key_is_stored() -> None:
    """One deployment at a time for each environment, OIDC instead of keys, and the report is kept after every outcome."""
    assert WORKFLOW["concurrency"]["cancel-in-progress"] is False
    assert "inputs.environment" in WORKFLOW["concurrency"]["group"]
    assert WORKFLOW["permissions"] == {"contents": "read", "id-token": "write"}
    text = yaml.safe_dump(WORKFLOW)
    assert "secrets." not in text
    assert "vars.AWS_ROLE_ARN" in text
    assert STEPS["Keep the report"]["if"] == "always()"
    assert STEPS["Keep the report"]["with"]["path"] == "reports/"


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_parse(folder: Checkout, name: str) -> None:
    """bash can parse each script."""
    (folder.folder / "step.sh").write_text(SCRIPTS[name], encoding="utf-8")
    ran = folder.bash("bash -n step.sh")
    assert (ran.code, ran.output) == (0, "")


def test_install_names_an_existing_file() -> None:
    """The Install step uses requirements.txt, and the cache's file exists."""
    assert "-r requirements.txt" in SCRIPTS["Install"]
    setup = next(step for name, step in STEPS.items() if name.startswith("actions/setup-python"))
    assert (ROOT / setup["with"]["cache-dependency-path"]).exists()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("0", "Promoted, baked and verified"),
        ("1", "Rejected: live traffic never moved"),
        ("2", "Interrupted"),
        ("3", "Internal error"),
        ("4", "Refused: nothing was changed"),
        ("5", "No check was collected"),
        ("10", "Rolled back"),
        ("11", "a person must act now"),
        ("", "cut short"),
        ("137", "killed"),
    ],
)
def test_each_exit_code_has_its_own_message(folder: Checkout, code: str, sentence: str) -> None:
    """Each code has a sentence in the job's summary; only 11 calls a person."""
    summary = folder.folder / "summary.md"
    variables = NICE | {"IMAGE_TAG": NASTY, "CODE": code, "SETTLED": "", "GITHUB_STEP_SUMMARY": str(summary)}
    ran = folder.bash(SCRIPTS["Summarize the result"], variables)
    assert ran.code == 0, ran.output
    text = summary.read_text(encoding="utf-8")
    assert sentence in text
    assert NASTY in text
    assert ("::error title=A person must act now::" in ran.output) == (code == "11")
    assert ("::warning" in ran.output) == (code not in ("0", "11"))
    assert not (folder.folder / "pwned").exists()


def test_every_exit_code_of_the_readme_has_its_sentence() -> None:
    """No exit code of the README is reported as "killed"."""
    script = SCRIPTS["Summarize the result"]
    codes = [row[0] for row in document("README.md").table("code")]
    assert [code for code in codes if f" {code}) said=" not in script] == []


def test_a_recovery_that_fails_calls_a_person(folder: Checkout) -> None:
    """A recovery that ends with 11 calls a person, also if the deployment has no exit code."""
    variables = NICE | {"CODE": "", "SETTLED": "11", "GITHUB_STEP_SUMMARY": str(folder.folder / "summary.md")}
    ran = folder.bash(SCRIPTS["Summarize the result"], variables)
    assert ran.code == 0, ran.output
    assert "::error title=A person must act now::" in ran.output


def test_refused_deployment_ends_with_exit_code_4(copy: Checkout) -> None:
    """The Deploy step runs on the embedded environment: its options are valid, and its input is only used as a tag."""
    output = copy.folder / "output.txt"
    variables = NICE | {"IMAGE_TAG": NASTY, "GITHUB_OUTPUT": str(output)}
    refused = copy.bash(SCRIPTS["Deploy"], variables)
    assert refused.code == 4, refused.output
    assert "REFUSED: nothing was touched" in refused.output
    assert not (copy.folder / "pwned").exists()
    settled = copy.bash(SCRIPTS["Recover an interrupted run"], variables)
    assert settled.code == 0, settled.output
    assert output.read_text(encoding="utf-8").split() == ["code=4", "code=0"]


@pytest.mark.parametrize("name", ["Deploy", "Recover an interrupted run"])
@pytest.mark.parametrize("code", [0, 1, 10, 11])
def test_steps_pass_on_the_exit_code(folder: Checkout, name: str, code: int) -> None:
    """The command's exit code is the step's output and its exit code; each input is passed as one word."""
    python = folder.folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > words.txt\nexit {code}\n", encoding="utf-8")
    python.chmod(0o755)
    output = folder.folder / "output.txt"
    variables = NICE | {"IMAGE_TAG": NASTY, "GITHUB_OUTPUT": str(output)}
    variables["PATH"] = f"{python.parent}:{os.environ['PATH']}"
    ran = folder.bash(SCRIPTS[name], variables)
    assert ran.code == code, ran.output
    assert output.read_text(encoding="utf-8") == f"code={code}\n"
    words = (folder.folder / "words.txt").read_text(encoding="utf-8").splitlines()
    assert words[0] == "scripts/deploy.py"
    assert (NASTY in words) == (name == "Deploy")
    assert not (folder.folder / "pwned").exists()


def test_each_attestation_is_one_word(folder: Checkout) -> None:
    """Semicolons separate attestations, blanks do not; without attestations no option is added."""
    python = folder.folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\" > words.txt\n", encoding="utf-8")
    python.chmod(0o755)
    variables = NICE | {
        "GITHUB_OUTPUT": str(folder.folder / "output.txt"),
        "PATH": f"{python.parent}:{os.environ['PATH']}",
    }
    for attest, added in (("code-review=jane/pull request 4711;tests=ci/run 8", 2), ("", 0)):
        assert folder.bash(SCRIPTS["Deploy"], variables | {"ATTEST": attest}).code == 0
        words = (folder.folder / "words.txt").read_text(encoding="utf-8").splitlines()
        assert words[words.index("--") :] == ["--", "-n", "2", *(f"--attest={one}" for one in attest.split(";") if one)]
        assert len(words[words.index("--") :]) == 3 + added
