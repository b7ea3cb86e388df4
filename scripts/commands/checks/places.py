"""Where a single check is asked: the live or the candidate's address of an environment, or a URL, and with which accounts."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from deployment.errors import Refused
from deployment.settings import Settings, address_problem
from verification.journeys.accounts import ACCOUNTS_VARIABLE, SmokeUser, parse_smoke_users, read_accounts
from verification.journeys.placeholders import provide_secrets, provided_secrets

LIVE, CANDIDATE = "live", "candidate"


@dataclass(frozen=True)
class Places:
    """The addresses that ``--against`` can mean; None for one that does not run, or that was not asked for."""

    live: str | None
    candidate: str | None
    users: tuple[SmokeUser, ...] = field(default=(), repr=False)

    def url_of(self, against: str) -> str:
        """Return the address of ``live``, ``candidate`` or a URL. Raises Refused if there is none."""
        url = {LIVE: self.live, CANDIDATE: self.candidate}.get(against, against)
        if url is None:
            raise Refused(
                f"no {against} runs in this environment",
                hint="`python scripts/deploy.py status` shows both colours; --against=live asks the live one.",
            )
        return url


def check_against(against: str) -> None:
    """Raise Refused if it is neither a colour's role nor a URL."""
    if against in (LIVE, CANDIDATE) or (problem := address_problem(against, path=True)) is None:
        return
    why = f"; a URL {problem}" if set("@?#") & set(against) else f", got {against!r}"  # nothing that may be a secret
    raise Refused(
        f"--against must be live, candidate or a URL such as https://api.example.com{why}",
        hint="Without --against the live service is asked.",
    )


def find(
    settings: Settings, against: str, accounts: Path | None, learn: Callable[..., None], asked: Collection[str] = ()
) -> Places:
    """Return the addresses and the accounts. Secrets are redacted from now on. Raises Refused, CloudError.

    The accounts at a URL are those of the file ``accounts``, or of the variable that `pytest --base-url` reads as well.

    ``asked`` are the variables and secrets that will be used; a variable of the process replaces the environment's secret.
    """
    given = () if accounts is None else _accounts(accounts)
    if against in (LIVE, CANDIDATE):
        lacking = {f"secret.{name}" for name in settings.named_secrets if name not in os.environ}
        places = _places(settings, learn, quickly=lacking.isdisjoint(asked))
        places = Places(places.live, places.candidate, given or places.users)
    else:
        places = Places(None, None, given or _accounts_of_variable())
    learn(*(user.password for user in places.users))
    return places


def _places(settings: Settings, learn: Callable[..., None], *, quickly: bool) -> Places:
    if settings.provider == "embedded" and quickly:
        from infrastructure.embedded import addresses

        quick = addresses.read(settings.project.embedded_state)
        if quick is not None:
            return Places(quick.live, quick.idle, parse_smoke_users(quick.users))
    # These imports take over a second: only an environment that cannot be read from its files needs them.
    from deployment.model import Reads
    from deployment.recovery import status
    from infrastructure import compose

    if not compose.is_up(settings):
        raise Refused(
            "no embedded environment is up",
            hint="Start it with `python scripts/deploy.py up`, or ask a service of your own with --against=URL.",
        )
    connected = compose.connect(settings, Reads.USERS)
    learn(*connected.secrets)
    provide_secrets(provided_secrets(), unless_in=os.environ)
    document = status.describe(connected.name, connected.live_url, connected.ports, connected.registry)
    return Places(connected.live_url, document["idle"]["url"], tuple(connected.smoke_users))


def _accounts_of_variable() -> tuple[SmokeUser, ...]:
    text = os.environ.get(ACCOUNTS_VARIABLE)
    try:
        return parse_smoke_users(text, f"the variable {ACCOUNTS_VARIABLE}") if text else ()
    except ValueError as error:
        raise Refused(str(error), hint=f"Correct {ACCOUNTS_VARIABLE}, or name a file: --accounts FILE.") from None


def _accounts(file: Path) -> tuple[SmokeUser, ...]:
    try:
        return read_accounts(file, f"--accounts {file}")
    except ValueError as error:
        raise Refused(
            str(error),
            hint="The file must hold a JSON list of accounts, each an object with the keys email and password, and have mode "
            "0600 (chmod 600 FILE).",
        ) from None
