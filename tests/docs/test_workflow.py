""".github/workflows: the scripts of deploy.yml run in bash, as on GitHub; watch.yml only verifies."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.github_summary import SENTENCES, report_of
from tests.docs.checkout import Checkout
from tests.docs.documents import ROOT, document

WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text(encoding="utf-8"))
JOB = WORKFLOW["jobs"]["deploy"]
STEPS = {step.get("name", step.get("uses")): step for step in JOB["steps"]}
SCRIPTS = {name: step["run"] for name, step in STEPS.items() if "run" in step}
NICE = {"IMAGE_TAG": "1.1.0", "TARGET": "auto", "ENVIRONMENT": "embedded"}
OPERATIONS = ROOT / "infrastructure" / "terraform" / "variables-operations.tf"
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


def summarize(folder: Checkout, report: Mapping[str, Any] | None = None, **variables: str) -> tuple[int, str, str]:
    """Run the summary's step beside this report; return exit code, output and summary."""
    (folder.folder / "scripts").mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts" / "github_summary.py", folder.folder / "scripts")
    summary, receipt = folder.folder / "summary.md", folder.folder / "receipt"
    if report is not None:
        run = folder.folder / str(report["deployment_id"])
        run.mkdir()
        (run / "verification.json").write_text(json.dumps(report), encoding="utf-8")
        receipt.write_text(f"{run}\n", encoding="utf-8")
    given = NICE | {"CODE": "", "SETTLED": "", "GITHUB_STEP_SUMMARY": str(summary), "DEPLOYMENT_RECEIPT": str(receipt)}
    ran = folder.bash(SCRIPTS["Summarize the result"], given | variables)
    return ran.code, ran.output, summary.read_text(encoding="utf-8")


REPORT = {
    "deployment_id": "20261129-120000-green-abc123",
    "environment": "embedded",
    "target": "green",
    "image": "telehealth-api:1.1.0",
    "digest": "sha256:0123",
    "recovered": False,
}
PROMOTED = REPORT | {"verdict": "promoted", "reason": None, "exit_code": 0}
WENT_BACK = REPORT | {
    "verdict": "rolled_back",
    "reason": "bake: <b>list</b> `fails` | 500\nsecond line",
    "exit_code": 10,
    "rollback": {"requests": 1200, "failed": 31},
}


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("1", "Rejected: this deployment moved no live traffic"),
        ("2", "Interrupted"),
        ("3", "Internal error"),
        ("4", "Refused: this deployment was not begun"),
        ("5", "No check was collected"),
        ("10", "Rolled back"),
        ("11", "a person must act now"),
        ("", "cut short"),
        ("137", "killed"),
    ],
)
def test_each_exit_code_has_its_own_message(folder: Checkout, code: str, sentence: str) -> None:
    """Each code has a sentence in the job's summary; 11 calls a person, and 10, which users met, is an error too."""
    ended, output, text = summarize(folder, CODE=code, IMAGE_TAG=NASTY)
    assert ended == 0, output
    assert sentence in text
    assert "touch pwned" in text
    assert ("::error title=A person must act now::" in output) == (code == "11")
    assert ("::error title=Rolled back::" in output) == (code == "10")
    assert ("::warning" in output) == (code not in ("10", "11"))
    assert not (folder.folder / "pwned").exists()


def test_every_exit_code_of_the_readme_has_its_sentence() -> None:
    """No exit code of the README is reported as "killed"."""
    codes = [row[0] for row in document("README.md").table("code")]
    assert set(codes) - set(SENTENCES) == set(), codes


def test_promotion_is_summarized_from_its_report(folder: Checkout) -> None:
    """The summary has verdict, release and digest; nothing is annotated."""
    ended, output, text = summarize(folder, PROMOTED, CODE="0")
    assert (ended, output) == (0, "")
    for value in ("promoted", "telehealth-api:1.1.0", "sha256:0123", "20261129-120000-green-abc123"):
        assert f"<code>{value}</code>" in html.unescape(text)
    assert "| reason |" not in text


def test_rejected_release_is_summarized_from_its_report(folder: Checkout) -> None:
    """The image of the report counts, and not the tag that somebody typed."""
    report = REPORT | {
        "verdict": "rejected",
        "reason": "health: status 500",
        "image": "notes:2.0.0",
        "digest": "sha256:9",
    }
    _, _, text = summarize(folder, report, CODE="1", IMAGE_TAG="2")
    rows = dict(re.findall(r"(?m)^\| ([\w ]+) \| <code>(.*)</code> \|$", html.unescape(text)))
    assert rows == {
        "verdict": "rejected",
        "reason": "health: status 500",
        "release": "notes:2.0.0",
        "digest": "sha256:9",
        "colour": "green",
        "environment": "embedded",
        "deployment": report["deployment_id"],
        "exit code": "1",
    }


@pytest.mark.parametrize("kept", [None, {}, {"requests": 7}])
def test_rollback_of_which_no_request_was_counted_is_an_error_as_well(
    folder: Checkout, kept: Mapping[str, int] | None
) -> None:
    _, output, text = summarize(folder, WENT_BACK | {"rollback": kept}, CODE="10")
    assert "::error title=Rolled back::" in output
    assert "of the prober" not in output + text


def test_summary_reads_no_report_of_another_run(folder: Checkout) -> None:
    """Only the folder that the receipt names counts, and the report in it must be of that run."""
    summarize(folder, PROMOTED, CODE="0")
    found = folder.folder / str(PROMOTED["deployment_id"])
    found.rename(folder.folder / "20261129-130000-green-fed321")
    (folder.folder / "receipt").write_text(f"{folder.folder / '20261129-130000-green-fed321'}\n", encoding="utf-8")
    ended, output, _ = summarize(folder, CODE="0")
    assert (ended, "::error title=Not proven::" in output) == (1, True)


def test_summary_is_always_written_with_the_codes_and_the_receipt_of_this_run() -> None:
    """The deployment leaves the receipt where the summary reads it, and a cancelled or killed deployment is recovered."""
    deploy, settle, told = (STEPS[name] for name in ("Deploy", "Recover an interrupted run", "Summarize the result"))
    ended = " && ".join(f"steps.{deploy['id']}.outcome != '{outcome}'" for outcome in ("success", "skipped"))
    assert (settle["if"], told["if"]) == (f"always() && {ended}", "always()")
    assert told["env"] == {
        "CODE": f"${{{{ steps.{deploy['id']}.outputs.code }}}}",
        "SETTLED": f"${{{{ steps.{settle['id']}.outputs.code }}}}",
        "DEPLOYMENT_RECEIPT": deploy["env"]["DEPLOYMENT_RECEIPT"],
    }
    assert list(STEPS).index("Deploy") < list(STEPS).index("Recover an interrupted run")
    assert list(STEPS).index("Recover an interrupted run") < list(STEPS).index("Summarize the result")


def test_rollback_is_an_error_and_says_how_many_requests_failed(folder: Checkout) -> None:
    """The reason stays one line of text: it holds words of the release."""
    ended, output, text = summarize(folder, WENT_BACK, CODE="10")
    assert ended == 0
    assert "::error title=Rolled back::" in output
    assert output.count("\n") == 1
    assert "31 of 1200 requests of the prober failed" in output
    assert "31 of 1200 requests of the prober failed" in text
    assert "users met the release" in text
    assert "<code>bake&#58; &lt;b&gt;list&lt;/b&gt; &#96;fails&#96; &#124; 500 second line</code>" in text


@pytest.mark.parametrize("code", ["0", "1", "2", "3", "137"])
def test_rollback_is_an_error_whatever_the_exit_code_is(folder: Checkout, code: str) -> None:
    """A signal in the bake (2) or a full disk (3) hides neither that users met the release nor how many requests failed."""
    ended, output, text = summarize(folder, WENT_BACK | {"exit_code": int(code)}, CODE=code, SETTLED="0")
    assert (ended, output.count("::")) == (int(code == "0"), 2)
    assert "::error title=Rolled back::" in output
    assert "31 of 1200 requests of the prober failed" in output
    assert "Rolled back after a promotion: users met the release" in text


@pytest.mark.parametrize("code", ["2", "3"])
def test_failed_rollback_calls_a_person_whatever_the_exit_code_is(folder: Checkout, code: str) -> None:
    _, output, text = summarize(folder, REPORT | {"verdict": "rollback_failed"}, CODE=code)
    assert "::error title=A person must act now::" in output
    assert "ROLLBACK FAILED" in text


@pytest.mark.parametrize("code", ["2", "3"])
def test_interrupted_run_that_moved_no_traffic_stays_a_warning(folder: Checkout, code: str) -> None:
    _, output, _ = summarize(folder, REPORT | {"verdict": "rejected"}, CODE=code)
    assert "::warning title=Not deployed::" in output
    assert "::error" not in output


@pytest.mark.parametrize(
    "words",
    [
        "live: [Promoted](https://evil.example) ![x](https://evil.example/x.png)",
        "bake: **bold** __bold__ ~~no~~ @org/team #12 :tada: $x$ \\| `code` www.evil.example",
    ],
)
def test_words_of_a_release_are_no_markdown(folder: Checkout, words: str) -> None:
    """GitHub shows the words as they are: every character with a meaning in Markdown is an entity."""
    _, _, text = summarize(folder, WENT_BACK | {"reason": words}, CODE="10")
    row = next(line for line in text.splitlines() if line.startswith("| reason |"))
    shown = row.removeprefix("| reason | <code>").removesuffix("</code> |")
    assert html.unescape(shown) == words
    assert re.findall(r"[][()*_!@~\\:|`$]|www\.|(?<!&)#", shown) == []


def test_control_characters_reach_neither_log_nor_summary(folder: Checkout) -> None:
    _, output, text = summarize(folder, WENT_BACK | {"reason": "bake: \x1b[41mred\x07 \u202egnp"}, CODE="10")
    for written in (output, text):
        assert "red" in written
        assert re.findall("[\x1b\x07\u202e]", written) == []


def test_ordinary_reason_stays_readable(folder: Checkout) -> None:
    """Letters, digits and the usual punctuation stay themselves."""
    reason = "endpoints: GET /api/v1/items?page=2: status 500, expected 200; 3.5 s, limit 2 s"
    _, _, text = summarize(folder, REPORT | {"verdict": "rejected", "reason": reason}, CODE="1")
    assert f"<code>{reason.replace(':', '&#58;')}</code>" in text


@pytest.mark.parametrize("code", ["", "3", "137"])
def test_recovered_run_has_the_verdict_of_its_recovery(folder: Checkout, code: str) -> None:
    """A run that was killed and then rolled back by ``recover``: users met the release."""
    _, output, text = summarize(folder, WENT_BACK | {"exit_code": None, "recovered": True}, CODE=code, SETTLED="0")
    assert "::error title=Rolled back::" in output
    assert "Rolled back after a promotion" in text


@pytest.mark.parametrize("report", [None, REPORT | {"verdict": "rejected"}])
def test_exit_0_without_a_report_of_a_promotion_fails_the_job(
    folder: Checkout, report: Mapping[str, Any] | None
) -> None:
    ended, output, text = summarize(folder, report, CODE="0")
    assert (ended, "::error title=Not proven::" in output) == (1, True)
    assert "no closed report" in text


def test_report_of_another_run_is_none(tmp_path: Path) -> None:
    """The receipt names the folder of this run; a report that was copied there proves nothing about it."""
    (tmp_path / "receipt").write_text(f"{tmp_path / 'this'}\n", encoding="utf-8")
    (tmp_path / "this").mkdir()
    for name, counts in (("this", True), ("earlier", False)):
        (tmp_path / "this" / "verification.json").write_text(json.dumps(PROMOTED | {"deployment_id": name}), "utf-8")
        assert bool(report_of(str(tmp_path / "receipt"))) == counts


def test_summary_reads_the_receipt_that_the_deployment_leaves() -> None:
    receipts = [STEPS[name]["env"].get("DEPLOYMENT_RECEIPT") for name in ("Deploy", "Summarize the result")]
    assert receipts == ["${{ runner.temp }}/deployment-receipt"] * 2


def test_steps_after_a_deployment_that_failed_or_was_cancelled_run() -> None:
    """GitHub skips a step after a failure or a cancellation unless its condition begins with ``always()``."""
    after = list(STEPS)[list(STEPS).index("Deploy") + 1 :]
    assert after == ["Recover an interrupted run", "Summarize the result", "Keep the report"]
    assert [name for name in after if not STEPS[name]["if"].startswith("always()")] == []
    condition = STEPS["Recover an interrupted run"]["if"]
    assert condition == "always() && steps.deploy.outcome != 'success' && steps.deploy.outcome != 'skipped'"


def test_a_recovery_that_fails_calls_a_person(folder: Checkout) -> None:
    """A recovery that ends with 11 calls a person, also if the deployment has no exit code."""
    ended, output, _ = summarize(folder, SETTLED="11")
    assert ended == 0, output
    assert "::error title=A person must act now::" in output


def test_runner_is_one_that_reaches_the_colours() -> None:
    """A hosted runner does not: its address is in no list."""
    assert JOB["runs-on"] == "${{ vars.DEPLOY_RUNNER }}"


def test_end_of_the_sign_in_is_noted_before_it_begins(folder: Checkout) -> None:
    """The noted end is no later than the real one, and botocore and preflight read it under this name."""
    names = list(STEPS)
    signing = next(name for name in names if name.startswith("aws-actions/configure-aws-credentials"))
    assert names.index("Note when the sign-in ends") == names.index(signing) - 1
    longest = re.search(r'"session_seconds" \{[^}]*default\s*= (\d+)', OPERATIONS.read_text(encoding="utf-8"))
    assert longest is not None
    assert JOB["env"]["ROLE_SECONDS"] <= int(longest[1]), "AWS refuses a longer session than the role allows"
    assert STEPS[signing]["with"]["role-duration-seconds"] == "${{ env.ROLE_SECONDS }}"
    noted = folder.folder / "environment"
    before = datetime.now(UTC).replace(microsecond=0)
    ran = folder.bash(SCRIPTS["Note when the sign-in ends"], {"GITHUB_ENV": str(noted), "ROLE_SECONDS": "7200"})
    assert ran.code == 0, ran.output
    name, _, ends = noted.read_text(encoding="utf-8").strip().partition("=")
    assert name == "AWS_CREDENTIAL_EXPIRATION"
    assert before <= datetime.fromisoformat(ends) - timedelta(seconds=7200) <= datetime.now(UTC)


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_hash(path: Path) -> None:
    """Each action is pinned to a full commit hash, with its version as a comment; checkouts leave no token on the disk."""
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)] == []
    assert text.count("persist-credentials: false") == text.count("uses: actions/checkout@")


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
