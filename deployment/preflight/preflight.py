"""Preflight: checks, before anything is touched, what could stop a deployment later, and reports item by item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deployment.access import Admission
from deployment.errors import CloudError, DeploymentError, Refused, first_line
from deployment.model import AlarmState, Colour, Image
from deployment.plan import Ports
from deployment.ports import Addresses, Domain, Quotas, Scans, Vault
from deployment.preflight import drift, terraform_plan
from deployment.preflight.items import Item, Outcome, Subject
from deployment.preflight.terraform_plan import Owner
from deployment.settings import DeploymentLimits, Settings

SEVERITIES = ("NONE", "INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")
"""The severities of a scan's findings, mildest first; as a limit, ``NONE`` allows no finding."""
NEARLY_FULL = 0.8
"""A quota is reported from this used share on."""
PARALLEL_ITEMS = 6


@dataclass(frozen=True)
class PreflightPorts:
    """The ports that only preflight needs; a port that is None is not checked.

    ``own_secrets`` are those that a deployer reads.
    """

    scans: Scans | None = None
    quotas: Quotas | None = None
    vault: Vault | None = None
    own_secrets: Sequence[str] = ()
    domain: Domain | None = None
    addresses: Addresses | None = None


@dataclass(frozen=True)
class Proposal:
    """The deployment to check: the image, the target colour, and who deploys.

    ``admission`` is None if no environment is up. ``terraform_plan`` is a file with a Terraform plan as JSON, which must
    change nothing but the target; None if none was given. ``settings`` say which
    environment the plan must be about; None: of any.
    """

    image: Image
    target: Colour
    admission: Admission | None = None
    terraform_plan: Path | None = None
    settings: Settings | None = None

    def owner(self, live: Colour) -> Owner | None:
        """Return the environment that a Terraform plan must be about; None if it may be about any."""
        if self.settings is None:
            return None
        own = self.settings.estate
        services = own.get("services", {})
        place = (own.get("account"), own.get("region"))
        return Owner(self.settings.environment, services.get(live), *place, services.get(live.other))


def run_preflight(ports: Ports, extra: PreflightPorts, limits: DeploymentLimits, proposal: Proposal) -> Sequence[Item]:
    """Return every item, in order. Raises CloudError if routes or services cannot be read, because every item needs them."""
    services = {colour: ports.platform.describe(colour) for colour in Colour}
    subject = Subject(proposal.image, proposal.target, ports.router.observe(), services)
    plan = proposal.terraform_plan
    questions: list[Callable[[], Item]] = [
        lambda: _credentials(proposal.admission, ports.clock.now(), limits),
        lambda: _rights(proposal.admission),
        lambda: _routes(subject),
        lambda: _live(subject),
        lambda: _idle(subject),
        lambda: _image(subject),
        lambda: _scan(extra.scans, subject, limits.scan_severity),
        lambda: _alarms(ports, subject),
        lambda: _quotas(extra.quotas),
        lambda: _secrets(ports, extra, subject),
        lambda: _domain(extra.domain, ports.clock.now(), limits.certificate_days),
        lambda: _address(extra.addresses, subject),
        lambda: drift.item(ports.platform, subject),
    ]
    if subject.routes.spread_s:
        questions.append(lambda: _timeouts(subject.routes.spread_s, limits))
    if plan is not None:
        owner = proposal.owner(subject.routes.live)
        questions.append(lambda: _plan(plan, owner, subject, ports.clock.now(), limits.evidence_max_age))
    with ThreadPoolExecutor(PARALLEL_ITEMS) as pool:
        return list(pool.map(lambda ask: ask(), questions))


def judge(items: Sequence[Item]) -> None:
    """Raise Refused, naming every refused item, if there is one.

    An unhealthy (``sick``) item is left to the step ``lease``, which checks again under the lock.
    """
    refused = [item for item in items if item.outcome is Outcome.REFUSED]
    sick = [item for item in items if item.outcome is Outcome.SICK]
    if refused:
        raise Refused(f"preflight: {_listed([*refused, *sick])}", hint=_expectations(refused))


def summary(items: Sequence[Item]) -> str:
    """Return all items in one line."""
    unchecked = [item.name for item in items if item.outcome is Outcome.NOT_CHECKED]
    ok = sum(item.outcome is Outcome.OK for item in items)
    sick = "".join(f"; SICK: {item.name}: {item.found}" for item in items if item.outcome is Outcome.SICK)
    return f"{ok} of {len(items)} items are ok{sick}" + (f"; not checked: {', '.join(unchecked)}" if unchecked else "")


def _listed(items: Sequence[Item]) -> str:
    return "; ".join(f"{item.name}: {item.found}" for item in items)


def _expectations(items: Sequence[Item]) -> str:
    return "Expected: " + "; ".join(f"{item.name}: {item.expected}" for item in items)


# -- the caller and the colours ----------------------------------------------------------------------------------------


def _credentials(admission: Admission | None, now: datetime, limits: DeploymentLimits) -> Item:
    expected = "a caller of the environment's account, on the lists of [access]"
    if admission is None:
        return Item("credentials", Outcome.NOT_CHECKED, "no environment is running", expected)
    caller = admission.caller
    found = f"{caller.arn}, who may {' and '.join(admission.duties)}"
    if caller.expires_at is None:
        return Item("credentials", Outcome.OK, found, expected)
    left = (caller.expires_at - now).total_seconds()
    ends = f"the credentials end at {caller.expires_at:%Y-%m-%d %H:%M:%S} UTC, in {left:.0f} s"
    after = limits.promote_timeout + limits.bake + limits.rollback_timeout
    if left >= limits.approval_wait + after:
        return Item("credentials", Outcome.OK, f"{found}; {ends}", expected)
    waits = f"approval_timeout is {limits.approval_wait:g} s, and " if limits.approval_wait else ""
    return Item(
        "credentials",
        Outcome.REFUSED,
        f"{ends}, but {waits}promote_timeout, bake and rollback_timeout together are {after:g} s",
        "credentials that outlive the deployment: sign in for longer (role-duration-seconds in GitHub's workflow, "
        "max_session_duration of the role), or set a shorter approval_timeout or bake in deployment.toml",
    )


def _rights(admission: Admission | None) -> Item:
    expected = "every AWS right that the deployment needs"
    if admission is None or admission.unchecked:
        why = admission.unchecked if admission else None
        return Item("rights", Outcome.NOT_CHECKED, why or "no environment is running", expected)
    return Item("rights", Outcome.OK, "IAM denies none of them", expected)


def _routes(subject: Subject) -> Item:
    weights = subject.routes.weights
    shown = ", ".join(f"{colour} {weights.get(colour, 0)} %" for colour in Colour)
    whole = weights.get(subject.routes.live) == 100
    found = f"{shown}, generation {subject.routes.generation}"
    return Item("routes", Outcome.OK if whole else Outcome.REFUSED, found, "one colour takes all traffic")


def _timeouts(spread_s: float, limits: DeploymentLimits) -> Item:
    """Check the timeouts against the time that a switch takes: one that is shorter gives up on a switch, and then on its rollback."""
    expected = f"enough time for a switch, which takes up to {spread_s:g} s: propagation, and the records' TTL"
    timeouts = {"promote_timeout": limits.promote_timeout, "rollback_timeout": limits.rollback_timeout}
    short = [f"{name} is {seconds:g} s" for name, seconds in timeouts.items() if seconds < spread_s]
    found = ", ".join(f"{name} {seconds:g} s" for name, seconds in timeouts.items())
    return Item("timeouts", Outcome.REFUSED if short else Outcome.OK, "; ".join(short) or found, expected)


def _live(subject: Subject) -> Item:
    live = subject.services[subject.routes.live]
    found = f"{live.colour} is {live.status} on {live.digest or 'an image named by a tag'}"
    return Item("live", Outcome.OK if live.running else Outcome.SICK, found, "the live colour runs")


def _idle(subject: Subject) -> Item:
    idle = subject.services[subject.target]
    expected = "a service that can be updated, or none yet"
    if idle.obstacle is not None:
        return Item("idle", Outcome.REFUSED, f"{idle.colour} is {idle.status}: {idle.obstacle}", expected)
    action = {
        "PAUSED": "it is resumed before it is updated",
        "STOPPED": "its tasks are started with the new image",
        "ABSENT": f"it is created with the configuration of {idle.colour.other}",
    }.get(idle.status, "it is updated")
    if idle.busy:
        action = "it is updated once its operation has ended"
    return Item("idle", Outcome.OK, f"{idle.colour} is {idle.status}: {action}", expected)


# -- the release -------------------------------------------------------------------------------------------------------


def _image(subject: Subject) -> Item:
    image = subject.image
    return Item(
        "image", Outcome.OK, f"{image.name}, version {image.version}, {image.digest}", "a digest in the registry"
    )


def _scan(scans: Scans | None, subject: Subject, most: str) -> Item:
    expected = f"a finished scan without a finding above {most}"
    if scans is None:
        return Item("scan", Outcome.NOT_CHECKED, "the registry has no scanner", expected)
    try:
        scan = scans.of(subject.image.digest)
    except CloudError as error:
        return Item("scan", Outcome.NOT_CHECKED, first_line(error), expected)
    if not scan.finished:
        outcome = Outcome.REFUSED if scan.under_way else Outcome.NOT_CHECKED
        return Item("scan", outcome, scan.detail, expected)
    found = ", ".join(f"{count} {severity}" for severity, count in sorted(scan.findings.items())) or "no finding"
    return Item("scan", Outcome.REFUSED if too_severe(scan.findings, most) else Outcome.OK, found, expected)


def too_severe(findings: Mapping[str, int], most: str) -> bool:
    """Return whether a scan has a finding worse than ``most``; an unknown severity counts as the worst."""
    limit = SEVERITIES.index(most)
    return any(
        count and (severity not in SEVERITIES or SEVERITIES.index(severity) > limit)
        for severity, count in findings.items()
    )


# -- the estate around it ----------------------------------------------------------------------------------------------


def _alarms(ports: Ports, subject: Subject) -> Item:
    expected = "every alarm that the settings name exists, and none of the live colour fires"
    try:
        found = {colour: ports.alarms.read(colour) for colour in Colour}
    except CloudError as error:
        return Item("alarms", Outcome.SICK, f"they cannot be read: {first_line(error)}", expected)
    if not any(found.values()):
        return Item("alarms", Outcome.NOT_CHECKED, "the settings name none", expected)
    absent = [str(alarm) for alarms in found.values() for alarm in alarms if alarm.state is AlarmState.ABSENT]
    if absent:
        return Item("alarms", Outcome.REFUSED, "; ".join(dict.fromkeys(absent)), expected)
    live = found[subject.routes.live]
    firing = [str(alarm) for alarm in live if alarm.state is AlarmState.FIRING]
    unproven = [str(alarm) for alarm in live if alarm.state is AlarmState.UNPROVEN]
    not_firing = "; ".join(unproven) or f"alarms of {subject.routes.live}: {len(live)}, none firing"
    return Item("alarms", Outcome.SICK if firing else Outcome.OK, "; ".join(firing) or not_firing, expected)


def _quotas(quotas: Quotas | None) -> Item:
    expected = "room in every quota whose use AWS measures"
    if quotas is None:
        return Item("quotas", Outcome.NOT_CHECKED, "the quotas of this estate are unknown", expected)
    try:
        measured = quotas.measured()
    except CloudError as error:
        return Item("quotas", Outcome.NOT_CHECKED, first_line(error), expected)
    full = [quota for quota in measured if quota.used >= quota.limit]
    near = [quota for quota in measured if quota.used >= NEARLY_FULL * quota.limit]
    if full:
        return Item("quotas", Outcome.REFUSED, "; ".join(map(str, full)), expected)
    if not measured:
        return Item("quotas", Outcome.NOT_CHECKED, "AWS measures the use of no quota of this estate", expected)
    return Item("quotas", Outcome.OK, "; ".join(map(str, near)) or f"room in all {len(measured)}", expected)


def _secrets(ports: Ports, extra: PreflightPorts, subject: Subject) -> Item:
    """Check the secrets that the deployer and the live release read: by name only, no value is read."""
    expected = "each exists and has a current value"
    if extra.vault is None:
        return Item("secrets", Outcome.NOT_CHECKED, "this environment has no secrets manager", expected)
    try:
        configured = ports.platform.configured(subject.routes.live)
    except CloudError as error:
        return Item("secrets", Outcome.NOT_CHECKED, first_line(error), expected)
    names = dict.fromkeys([*extra.own_secrets, *(configured.secrets.values() if configured else ())])
    bad, unread = [], []
    for name in names:
        try:
            problem = extra.vault.obstacle(name)
        except CloudError as error:
            unread.append(f"{name}: {first_line(error)}")
            continue
        if problem is not None:
            bad.append(f"{name} {problem}")
    if bad:
        return Item("secrets", Outcome.REFUSED, "; ".join(bad), expected)
    if unread:
        return Item("secrets", Outcome.NOT_CHECKED, "; ".join(unread), expected)
    return Item("secrets", Outcome.OK, ", ".join(names) or "none is used", expected)


def _domain(domain: Domain | None, now: datetime, days: float) -> Item:
    expected = f"the live domain resolves, and its certificate is valid for at least {days:g} more days"
    if domain is None:
        return Item("domain", Outcome.NOT_CHECKED, "this environment has no check of the live domain", expected)
    try:
        state = domain.observe()
    except DeploymentError as error:
        return Item("domain", Outcome.SICK, first_line(error), expected)
    where = f"{state.host} resolves to {', '.join(state.addresses)}"
    if state.expires_at is None:
        return Item("domain", Outcome.NOT_CHECKED, f"{where}; an http URL has no certificate", expected)
    left = state.expires_at - now
    found = f"{where}; its certificate expires on {state.expires_at:%Y-%m-%d}, in {left.days} days"
    return Item("domain", Outcome.REFUSED if left < timedelta(days=days) else Outcome.OK, found, expected)


def _address(addresses: Addresses | None, subject: Subject) -> Item:
    """Check that this machine reaches the target's own address, or the live colour's while nothing runs at the target's."""
    expected = (
        "the checks can connect to the colours' own addresses: run the deployment inside the VPC, or add this machine's "
        "address to verifier_cidrs and apply Terraform"
    )
    if addresses is None:
        return Item("address", Outcome.NOT_CHECKED, "this environment has no check of the colours' addresses", expected)
    target, live = subject.services[subject.target], subject.services[subject.routes.live]
    known = [one for one in (target, live) if one.url]
    if not known:
        return Item("address", Outcome.NOT_CHECKED, "no colour has an address yet", expected)
    contact = addresses.contact(str(known[0].url))
    found = f"{known[0].colour}: {contact.detail}"
    if contact.reached is False and not target.running and known[0] is target and live.url:
        # Nothing runs there yet: the live colour's address has the same rules.
        other = addresses.contact(live.url)
        found = f"{found}; {target.colour} is {target.status}; {live.colour}: {other.detail}"
        outcome = Outcome.REFUSED if other.reached is False else Outcome.NOT_CHECKED
        return Item("address", outcome, found, expected)
    outcome = {True: Outcome.OK, False: Outcome.REFUSED, None: Outcome.NOT_CHECKED}[contact.reached]
    return Item("address", outcome, found, expected)


def _plan(path: Path, owner: Owner | None, subject: Subject, now: datetime, max_age_s: float) -> Item:
    expected = f"a Terraform plan of this environment that changes nothing but {subject.target}"
    try:
        found = terraform_plan.objections(terraform_plan.load(path), subject.target, now, max_age_s, owner)
    except Refused as error:
        return Item("plan", Outcome.REFUSED, error.message, f"{expected}. {error.hint or ''}".strip())
    if found:
        return Item("plan", Outcome.REFUSED, "; ".join(found), expected)
    return Item("plan", Outcome.OK, f"{path.name} changes nothing else", expected)


def as_reports(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Return the items as the journal holds them."""
    return [item.as_report() for item in items]
