"""The errors of the embedded environment; each message says what to do next.

EmbeddedError
├── RegistryError
│   ├── EmptyRegistry      the registry has no image, or none with a SemVer tag if a default is needed
│   ├── UnknownTag         the registry does not hold the tag
│   ├── BrokenImage        the folder is not an image: no VERSION, no `web:` in its Procfile, a link out of it
│   └── ImageChanged       the content of a known tag has changed
├── StateError
│   ├── StateBusy          another `up` or `down` works on the folder
│   ├── StateOwned         the environment belongs to one run, which is still under way
│   ├── StateForeign       the folder holds something that is not an embedded environment
│   ├── StatePlatform      the folder holds an environment on the other platform
│   ├── StateStores        the folder holds an environment without a store that the service declares now
│   ├── NotRunning         no environment is up in the folder
│   └── NotAnswering       an API of the environment does not answer
└── StartFailed            a process of the environment did not become ready
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class EmbeddedError(Exception):
    """Base class; the message says what happened, what was expected and what to type next."""


class RegistryError(EmbeddedError):
    """The registry folder does not hold what was asked for."""


class EmptyRegistry(RegistryError):
    """The registry folder holds no usable image."""

    def __init__(self, registry: Path, found: Sequence[str] = ()) -> None:
        there = f"only tags that are not SemVer: {', '.join(found)}" if found else "no image"
        advice = (
            "name one with --image-tag TAG"
            if found
            else "copy one there (docs/embedded.md says what it holds), or set EMBEDDED_REGISTRY to another folder"
        )
        super().__init__(
            f"{registry} holds {there}; expected folders REPOSITORY/TAG/ such as my-service/1.0.0/: {advice}"
        )
        self.registry = registry


class UnknownRepository(RegistryError):
    """The registry folder holds images, but none of the repository that the description of the service names."""

    def __init__(self, repository: str, registry: Path, known: Sequence[str]) -> None:
        super().__init__(
            f"{registry} holds no image of {repository!r}; it holds {', '.join(known)}: "
            "set `repository` of suites/service.yaml to one of them, or EMBEDDED_REGISTRY to another folder"
        )


class UnknownTag(RegistryError):
    """The tag is not in the registry; `known` lists the tags that are, lowest first."""

    def __init__(self, tag: str, registry: Path, known: Sequence[str]) -> None:
        super().__init__(
            f"no image tagged {tag!r} in {registry}; it holds {', '.join(known)}: choose one with --image-tag"
        )
        self.tag, self.known = tag, tuple(known)


class BrokenImage(RegistryError):
    """A folder of the registry is not an image."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"{folder} is not an image: {reason}; repair the folder or move it out of the registry")
        self.folder, self.reason = folder, reason


class ImageChanged(RegistryError):
    """The content of a known tag has changed; tags are immutable."""

    def __init__(self, tag: str, was: str, now: str) -> None:
        super().__init__(
            f"the content of image {tag} has changed: expected digest {was}, the folder now has {now}; "
            "give the new content a new tag, or start again from scratch: python scripts/deploy.py down, then up"
        )
        self.tag, self.was, self.now = tag, was, now


class StateError(EmbeddedError):
    """The state folder does not allow the command."""


class StateBusy(StateError):
    """Another process holds the state folder's lock."""

    def __init__(self, state: Path, holder: str) -> None:
        super().__init__(f"{state} is in use by {holder}; wait until it has finished and try again")
        self.state, self.holder = state, holder


class StateOwned(StateError):
    """A run started the environment for itself and stops it when it ends."""

    def __init__(self, state: Path, run: str, pid: int, since: str) -> None:
        super().__init__(
            f"the embedded environment in {state} belongs to deployment {run} (this host, pid {pid}, "
            f"since {since}), which stops it when it ends; wait until then (option --wait-for-lock SECONDS), "
            "or start an environment that keeps running: python scripts/deploy.py up"
        )
        self.state, self.run, self.pid = state, run, pid


class StateForeign(StateError):
    """The folder is not empty and does not hold an embedded environment."""

    def __init__(self, state: Path, reason: str) -> None:
        super().__init__(
            f"{state} {reason}; expected a folder that is new, empty or made by `up`: set EMBEDDED_STATE to such a one"
        )
        self.state = state


class StatePlatform(StateError):
    """The folder's environment is on another platform than the requested one."""

    def __init__(self, state: Path, there: str, asked: str) -> None:
        super().__init__(
            f"the embedded environment in {state} is on platform {there!r}, and {asked!r} was asked for; choose an "
            "environment on that platform (--environment), stop this one first (python scripts/deploy.py down), or set "
            "EMBEDDED_STATE to another folder: two environments can run side by side"
        )
        self.state, self.there, self.asked = state, there, asked


class StateStores(StateError):
    """The folder's environment was created without a store that the service has now."""

    def __init__(self, state: Path, missing: Sequence[str]) -> None:
        super().__init__(
            f"the embedded environment in {state} was started without {' and '.join(missing)}, which "
            "suites/service.yaml now declares as a dependency; start it again with an empty store (python scripts/deploy.py "
            "down, then up), or set EMBEDDED_STATE to another folder"
        )
        self.state, self.missing = state, tuple(missing)


class NotRunning(StateError):
    """No environment is up in the state folder."""

    def __init__(self, state: Path) -> None:
        super().__init__(f"no embedded environment is up in {state}; start one: python scripts/deploy.py up")
        self.state = state


class NotAnswering(StateError):
    """An API of the environment does not answer."""

    def __init__(self, state: Path, api: str, reason: str) -> None:
        super().__init__(
            f"the embedded environment in {state} does not answer ({api}: {reason}); "
            "repair it: python scripts/deploy.py up"
        )
        self.state, self.api, self.reason = state, api, reason


class StartFailed(EmbeddedError):
    """A process of the environment ended or was not ready in time; `log_tail` is the end of its log."""

    def __init__(self, process: str, reason: str, log_tail: str = "") -> None:
        tail = f"\n--- end of its log ---\n{log_tail}" if log_tail else ""
        super().__init__(f"{process} did not start: {reason}; try again: python scripts/deploy.py down, then up{tail}")
        self.process, self.reason, self.log_tail = process, reason, log_tail
