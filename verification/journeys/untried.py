"""The attempts that the auth gate cannot make for a service, each in words: they are not asked, so they never passed."""

from __future__ import annotations

from collections.abc import Iterator

from verification.journeys.model import Service, Session

SIGNED_HERE = ("HS256",)
"""The algorithms with which a check can sign a token, if it knows the service's secret."""


def untried(service: Service, accounts: int, *, knows_secret: bool) -> Iterator[str]:
    """Yield a sentence for each attempt that is not made.

    ``accounts`` is the number of smoke users; ``knows_secret``: the environment names the secret that signs tokens.
    """
    for session in service.sessions.values():
        if session.kind == "none":
            continue
        for attempt, reason in _of_session(session, knows_secret=knows_secret):
            yield f"not tried: {attempt} of session {session.name}: {reason}"
        if not any(one.session == session.name and one.reading() is not None for one in service.journeys):
            yield (
                f"not tried: a request with right, wrong, forged or ended credentials of session {session.name}: no step of its "
                "journeys reads without a value of a step that writes"
            )
    if accounts != 1 or not service.needs_user:
        return
    for journey in service.journeys:
        if journey.session is not None and any(step.private for step in journey.steps):
            yield f"not tried: another user's session in journey {journey.name}: there is one account, two are needed"


def _of_session(session: Session, *, knows_secret: bool) -> Iterator[tuple[str, str]]:
    if session.issued_elsewhere:
        yield "a wrong password", "another host checks it, not the release"
    elif not session.checks_password:
        yield "a wrong password", "what opens it holds no ${account.password}"
    if session.sign_out is None and session.kind not in ("basic", "api-key"):
        yield "a revoked session", "suites/service.yaml describes no sign_out for it"
    if session.token_format != "jwt":  # noqa: S105 - a format
        return
    algorithm = session.algorithm or "unknown"
    if algorithm not in SIGNED_HERE:
        key = (
            "the service's private key is not known" if algorithm[:2] in ("RS", "ES") else "checks cannot sign with it"
        )
        yield "an expired token", f"it is signed with {algorithm}, and {key}"
    elif not knows_secret:
        yield "an expired token", f"it is signed with {algorithm}, and the settings name no token_secret"
