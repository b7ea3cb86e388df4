"""The calls of git and docker that ``deploy`` makes before a run on AWS; a fake docker records its arguments."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import DeadlinePassed, DeploymentError, Refused, StepFailed, UnknownTag
from deployment.model import Caller, Image, Scan
from deployment.plan import Ports
from deployment.preflight.preflight import PreflightPorts
from deployment.settings import DeploymentLimits
from infrastructure.compose import Environment
from scripts.commands import build
from scripts.commands.build import BuildRequest
from tests.deployment.harness import Deployment
from verification.redaction.output import RedactedStream
from verification.redaction.redactor import LearningRedactor

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
REPOSITORY = f"{HOST}/telehealth-api"
PASSWORD = "canary-token-of-the-registry"
DIGEST = "sha256:" + "c" * 64
LIMITS = DeploymentLimits(scan_timeout=120)
STANDARD = {"buildx build": {"digest": DIGEST}, "image inspect --format {{.Os}}": {"stdout": "linux/amd64"}}


@dataclass
class BuildHarness:
    """A clean git tree, docker's recorded calls, and a registry that has a tag once docker has pushed it."""

    folder: Path
    context: Path
    ports: Ports
    there: dict[str, str]
    scans: list[Scan]

    host = HOST
    repository = "telehealth-api"

    def credentials(self) -> tuple[str, str]:
        return "AWS", PASSWORD

    def resolve(self, tag: str) -> Image:
        pushed = any("push=true" in " ".join(call["argv"]) or call["argv"][0] == "push" for call in self.calls())
        digest = self.there.get(tag) or (self.there.get("after a push") if pushed else None)
        if digest is None:
            raise UnknownTag(f"telehealth-api has no tag {tag!r}", hint="Choose one of its tags: 1.0.0.")
        return Image("telehealth-api", tag, digest, tag, f"{REPOSITORY}@{digest}")

    def find(self, digest: str) -> Image | None:
        tag = next((tag for tag, known in self.there.items() if known == digest and " " not in tag), None)
        return self.resolve(tag) if tag else None

    def tags(self) -> Sequence[str]:
        return list(self.there)

    def of(self, digest: str) -> Scan:
        assert digest == DIGEST
        return self.scans.pop(0) if len(self.scans) > 1 else self.scans[0]

    def answers(self, own: Any) -> None:
        """Set docker's answers by the first words of a call; every other call succeeds without output."""
        (self.folder / "answers.json").write_text(
            json.dumps({**own, **{k: v for k, v in STANDARD.items() if k not in own}})
        )

    def calls(self) -> list[dict[str, Any]]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def argvs(self) -> list[list[str]]:
        return [call["argv"] for call in self.calls()]

    def prepare(self, tag: str | None = "1.4.2", image: str | None = None, messages: list[str] | None = None) -> str:
        caller = Caller("arn:aws:iam::123456789012:role/ci", "123456789012")
        around = PreflightPorts(scans=self)
        world = Environment(
            "production",
            "https://api.example",
            self.ports,
            self,
            caller,
            (),
            (),
            preflight_ports=around,
            push_target=self,
        )
        return build.prepare_image(
            BuildRequest(tag, image, self.context), world, LIMITS, (messages if messages is not None else []).append
        )


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuildHarness:
    record, context, binaries = (tmp_path / name for name in ("record", "context", "bin"))
    for folder in (record, context, binaries):
        folder.mkdir()
    docker = binaries / "docker"
    source = Path(__file__).with_name("recording_docker.py").read_text()
    docker.write_text(f"#!{sys.executable}\n{source.partition(chr(10))[2]}")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binaries}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_RECORD", str(record))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-key")
    (context / "Dockerfile").write_text("FROM scratch\n")
    git(context, "init", "-q")
    git(context, "add", ".")
    git(context, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "one")
    made = BuildHarness(
        record, context, Deployment(tmp_path / "reports").ports, {"after a push": DIGEST}, [Scan(True, {"LOW": 1})]
    )
    made.answers({})
    return made


def git(context: Path, *arguments: str) -> str:
    ran = subprocess.run(["git", "-C", str(context), *arguments], check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def test_docker_s_output_is_printed_without_secrets_and_control_characters(
    harness: BuildHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"stdout": f"#1 \x1b]0;title\x07\x1b[41mRUN echo {PASSWORD}"}
    harness.answers({"buildx build": {**said, "digest": DIGEST}, "push": said})
    screen, redactor = io.StringIO(), LearningRedactor({})
    redactor.learn(PASSWORD)
    monkeypatch.setattr(sys, "stdout", RedactedStream(screen, redactor.clean))
    harness.prepare()
    sys.stdout.flush()
    assert "#1 RUN echo [redacted]\n" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


def test_a_clean_tree_is_built_annotated_and_pushed_in_one_go(harness: BuildHarness) -> None:
    messages: list[str] = []
    assert harness.prepare(messages=messages) == "1.4.2"
    version, login, build, logout = harness.argvs()
    assert version == ["buildx", "version"]
    assert login == ["login", "--username", "AWS", "--password-stdin", HOST]
    metadata = build[build.index("--metadata-file") + 1]
    assert build == [
        *("buildx", "build", "--platform", "linux/amd64", "--provenance=false", "--sbom=false"),
        *("--annotation", "org.opencontainers.image.version=1.4.2"),
        *("--annotation", f"org.opencontainers.image.revision={git(harness.context, 'rev-parse', 'HEAD')}"),
        *("--annotation", f"com.telehealth.committed-at={git(harness.context, 'log', '-1', '--format=%cI')}"),
        *("--output", f"type=image,name={REPOSITORY}:1.4.2,push=true,oci-mediatypes=true"),
        *("--metadata-file", metadata, str(harness.context)),
    ]
    assert logout == ["logout", HOST]
    assert messages[-1] == "scanned: 1 LOW"
    assert any(DIGEST in line for line in messages)


def test_no_secret_is_in_argv_or_in_dockers_environment(harness: BuildHarness) -> None:
    harness.prepare()
    calls = harness.calls()
    assert [call["stdin"] for call in calls if call["stdin"]] == [PASSWORD]
    assert all(PASSWORD not in " ".join(call["argv"]) and call["aws"] == [] for call in calls)


def test_a_known_tag_is_not_built_again(harness: BuildHarness) -> None:
    harness.there["1.4.2"] = DIGEST
    assert harness.prepare() == "1.4.2"
    assert harness.calls() == []


def test_local_image_of_a_known_tag_is_named_as_not_used(harness: BuildHarness) -> None:
    harness.there["1.4.2"] = DIGEST
    messages: list[str] = []
    assert harness.prepare("1.4.2", "telehealth-api:local", messages) == "1.4.2"
    assert harness.calls() == []
    assert messages[0].endswith("nothing was built, and telehealth-api:local is not used")


def test_an_image_of_the_registry_needs_no_docker(harness: BuildHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    harness.there["1.4.1"] = DIGEST
    assert harness.prepare(None, f"{REPOSITORY}:1.4.1") == "1.4.1"
    messages: list[str] = []
    assert harness.prepare(None, f"{REPOSITORY}@{DIGEST}", messages) == "1.4.1"
    assert messages[0].endswith("nothing was built")
    with pytest.raises(Refused, match=r"--image names tag 1\.4\.1"):
        harness.prepare("1.4.2", f"{REPOSITORY}:1.4.1")
    with pytest.raises(UnknownTag):
        harness.prepare(None, f"{REPOSITORY}:9.9.9")


def test_a_local_image_is_tagged_and_pushed(harness: BuildHarness) -> None:
    known = json.dumps([f"other/name@{DIGEST}", f"{REPOSITORY}@{DIGEST}"])
    harness.answers({"image inspect --format {{json": {"stdout": known}})
    assert harness.prepare("1.4.2", "telehealth-api:local") == "1.4.2"
    assert [argv[:2] for argv in harness.argvs()] == [
        ["image", "inspect"],
        ["login", "--username"],
        ["tag", "telehealth-api:local"],
        ["push", f"{REPOSITORY}:1.4.2"],
        ["image", "inspect"],
        ["logout", HOST],
    ]


def test_an_image_for_another_machine_is_refused(harness: BuildHarness) -> None:
    harness.answers({"image inspect": {"stdout": "linux/arm64"}})
    with pytest.raises(Refused, match="linux/arm64, but the services run linux/amd64"):
        harness.prepare("1.4.2", "telehealth-api:local")
    assert len(harness.calls()) == 1


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda context: (context / "Dockerfile").unlink(), "no Dockerfile"),
        (lambda context: (context / "Dockerfile").write_text("FROM busybox\n"), "differ from the commit"),
        (lambda context: (context / "new.py").write_text(""), r"1 files in .* among them \?\? new\.py"),
        (lambda context: subprocess.run(["rm", "-rf", str(context / ".git")], check=True), "not a git working tree"),
    ],
    ids=["no Dockerfile", "changed", "untracked", "no git"],
)
def test_uncommitted_tree_is_not_built(harness: BuildHarness, spoil: Any, word: str) -> None:
    spoil(harness.context)
    with pytest.raises(Refused, match=word):
        harness.prepare()
    assert [argv for argv in harness.argvs() if argv != ["buildx", "version"]] == []


def test_without_docker_the_error_says_what_to_do(harness: BuildHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Refused, match="docker is not installed") as caught:
        harness.prepare()
    assert "--image-tag TAG" in (caught.value.hint or "")


def test_without_buildx(harness: BuildHarness) -> None:
    harness.answers({"buildx version": {"exit": 1}})
    with pytest.raises(Refused, match="no buildx"):
        harness.prepare()


def test_failed_build_is_reported_and_logs_out(harness: BuildHarness) -> None:
    harness.answers({"buildx build": {"exit": 17}})
    with pytest.raises(StepFailed, match="docker buildx build ended with 17"):
        harness.prepare()
    assert harness.argvs()[-1] == ["logout", HOST]


def test_other_digest_in_the_registry_is_an_error(harness: BuildHarness) -> None:
    harness.there["after a push"] = "sha256:" + "d" * 64
    with pytest.raises(StepFailed, match="was pushed as"):
        harness.prepare()


UNDER_WAY = Scan(False, {}, "its scan is IN_PROGRESS", under_way=True)
NONE_YET = Scan(False, {}, "the image was never scanned")


@pytest.mark.parametrize(
    ("scans", "error", "word"),
    [
        ([NONE_YET, UNDER_WAY, Scan(True, {"HIGH": 2})], Refused, "found 2 HIGH; scan_severity allows at most MEDIUM"),
        ([UNDER_WAY], DeadlinePassed, "scan of telehealth-api"),
        ([NONE_YET, UNDER_WAY, Scan(True, {"MEDIUM": 2})], None, "scanned: 2 MEDIUM"),
        ([NONE_YET], None, "NOT SCANNED: the image was never scanned"),
    ],
)
def test_scan_of_the_pushed_image(
    harness: BuildHarness, scans: list[Scan], error: type[DeploymentError] | None, word: str
) -> None:
    harness.scans = scans
    messages: list[str] = []
    if error is None:
        assert harness.prepare(messages=messages) == "1.4.2"
        assert messages[-1] == word
    else:
        with pytest.raises(error, match=word):
            harness.prepare(messages=messages)


def test_local_image_needs_a_tag(harness: BuildHarness) -> None:
    with pytest.raises(Refused, match="needs a tag"):
        harness.prepare(None, "telehealth-api:local")
