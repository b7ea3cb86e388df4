"""A service of App Runner is READY only behind the web ACL that the settings name, also if a deployment created it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from deployment.errors import CloudDenied, CloudUnreachable
from deployment.model import Colour, Readiness
from infrastructure.aws.apprunner.platform import AppRunnerPlatform
from infrastructure.aws.drain import DrainWindow
from infrastructure.aws.errors import aws_errors
from infrastructure.aws.session import Clients
from tests.aws.test_apprunner_platform import NAMES, AppRunner, image, readiness

ACL = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/prod-colours/1234abcd-12ab-34cd-56ef-1234567890ab"


class Protected(AppRunner):
    """App Runner with AWS WAF: ``protected`` are the services under the web ACL, ``asked`` the calls to AWS WAF."""

    def __init__(self) -> None:
        super().__init__()
        self.protected: set[str] = set()
        self.asked: list[str] = []
        self.not_before: int = 0

    def call(self, service: str, operation: str, **given: Any) -> Mapping[str, Any]:
        if service != "wafv2":
            return super().call(service, operation, **given)
        self.asked.append(operation)
        assert given["WebACLArn"] == ACL
        with aws_errors(service, operation):
            if operation in self.refuse:
                self._raise(self.refuse[operation], operation)
            if operation == "ListResourcesForWebACL":
                assert given["ResourceType"] == "APP_RUNNER_SERVICE", "without it, AWS lists load balancers"
                return {"ResourceArns": sorted(self.protected)}
            assert operation == "AssociateWebACL"
            if self.asked.count("AssociateWebACL") <= self.not_before:
                self._raise("WAFUnavailableEntityException", operation)
            self.protected.add(given["ResourceArn"])
            return {}


@pytest.fixture
def aws() -> Protected:
    aws = Protected()
    aws.add(Colour.BLUE)
    aws.protected.add(f"arn:{NAMES[Colour.BLUE]}")
    return aws


@pytest.fixture
def platform(aws: Protected) -> AppRunnerPlatform:
    return AppRunnerPlatform(cast(Clients, aws), NAMES, DrainWindow(120.0, aws.clock), web_acl=ACL)


GREEN = f"arn:{NAMES[Colour.GREEN]}"


def test_created_service_gets_the_web_acl_at_once(aws: Protected, platform: AppRunnerPlatform) -> None:
    rollout = platform.provision(Colour.GREEN, image())
    assert GREEN in aws.protected, "while App Runner still creates the service"
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    assert readiness(platform, rollout) is Readiness.READY
    assert aws.asked == ["AssociateWebACL", "ListResourcesForWebACL"]


@pytest.mark.parametrize("refusals", [1, 3])
def test_service_is_not_ready_before_it_is_protected(
    aws: Protected, platform: AppRunnerPlatform, refusals: int
) -> None:
    """AWS WAF does not know a new service at once; the association is made later and read back."""
    aws.not_before = refusals
    rollout = platform.provision(Colour.GREEN, image())
    assert GREEN not in aws.protected
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    for _ in range(refusals - 1):
        assert "not behind its web ACL yet" in platform.progress(rollout).detail
    assert readiness(platform, rollout) is Readiness.NOT_YET, "associated, but not read back"
    assert readiness(platform, rollout) is Readiness.READY
    assert GREEN in aws.protected


@pytest.mark.parametrize("status", ["RUNNING", "CREATE_FAILED", "PAUSED"])
def test_service_of_an_earlier_run_is_protected_before_it_is_ready(
    aws: Protected, platform: AppRunnerPlatform, status: str
) -> None:
    """The run that created it died, failed, or had no web ACL in its settings."""
    aws.add(Colour.GREEN, status)
    rollout = platform.provision(Colour.GREEN, image())
    if status == "PAUSED":
        aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
        assert readiness(platform, rollout) is Readiness.NOT_YET
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    assert [readiness(platform, rollout) for _ in range(2)] == [Readiness.NOT_YET, Readiness.READY]
    assert GREEN in aws.protected


@pytest.mark.parametrize("operation", ["ListResourcesForWebACL", "AssociateWebACL"])
@pytest.mark.parametrize("code", ["WAFNonexistentItemException", "WAFInvalidParameterException"])
def test_refused_web_acl_fails_the_rollout(
    aws: Protected, platform: AppRunnerPlatform, operation: str, code: str
) -> None:
    aws.refuse[operation] = code
    rollout = platform.provision(Colour.GREEN, image())
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    if operation == "ListResourcesForWebACL":
        aws.protected.discard(GREEN)
    found = platform.progress(rollout)
    assert found.readiness is Readiness.STUCK
    assert f"is not behind its web ACL {ACL}" in found.detail


@pytest.mark.parametrize(
    ("code", "error"),
    [("AccessDeniedException", CloudDenied), ("WAFInternalErrorException", CloudUnreachable)],
)
def test_missing_right_and_missing_answer_are_reported(
    aws: Protected, platform: AppRunnerPlatform, code: str, error: type[Exception]
) -> None:
    aws.refuse["AssociateWebACL"] = code
    rollout = platform.provision(Colour.GREEN, image())
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    with pytest.raises(error):
        platform.progress(rollout)


def test_failed_release_is_not_asked_about(aws: Protected, platform: AppRunnerPlatform) -> None:
    aws.add(Colour.GREEN)
    rollout = platform.provision(Colour.GREEN, image())
    aws.end(Colour.GREEN, "ROLLBACK_SUCCEEDED", "RUNNING")
    assert readiness(platform, rollout) is Readiness.STUCK
    assert aws.asked == []


def test_no_call_to_aws_waf_without_the_setting(aws: Protected) -> None:
    platform = AppRunnerPlatform(cast(Clients, aws), NAMES, DrainWindow(120.0, aws.clock))
    rollout = platform.provision(Colour.GREEN, image())
    aws.end(Colour.GREEN, "SUCCEEDED", "RUNNING")
    assert readiness(platform, rollout) is Readiness.READY
    assert aws.asked == []
