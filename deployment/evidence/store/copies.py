"""Copies of a run's evidence in the audit store: ``ENVIRONMENT/RUN/FILE``. Nothing there is ever overwritten.

A run that was closed and later recovered has a second copy of each file that changed: ``FILE`` with ``-2`` in its name.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path

from deployment.errors import CloudUnreachable, StoredOtherwise
from deployment.evidence.attestation import ENVELOPE_FILE, SIGNED_FILES, SUMMARY_FILE, envelope_of
from deployment.ports import AuditStore

COPIES = 10
"""The most copies of one file: one, and one more for each time that a halted deployment was recovered again."""
DEADLINE_S = 60.0
"""The time that all uploads of a run may take together."""
KEPT_FILES = (ENVELOPE_FILE, SUMMARY_FILE, *SIGNED_FILES)
_NUMBER = re.compile(r"-\d+$")


def names(environment: str, run_id: str, file: str) -> Iterator[str]:
    """Yield the names that a file's copies get, oldest first."""
    stem, dot, rest = file.partition(".")
    for number in count(1):
        yield f"{environment}/{run_id}/{stem}{'' if number == 1 else f'-{number}'}{dot}{rest}"


def put(store: AuditStore, environment: str, run_id: str, file: str, content: bytes) -> None:
    """Store a copy beside the earlier ones. Raises CloudError, or StoredOtherwise if there are more than a run can have."""
    for _, name in zip(range(COPIES), names(environment, run_id, file), strict=False):
        try:
            store.put(name, content)
        except StoredOtherwise:
            continue
        return
    raise StoredOtherwise(f"the audit store has {COPIES} other copies of {run_id}/{file}")


def copies(store: AuditStore, environment: str, run_id: str, file: str) -> list[bytes]:
    """Return every copy, oldest first. Raises CloudError."""
    found = []
    for _, name in zip(range(COPIES), names(environment, run_id, file), strict=False):
        content = store.get(name)
        if content is None:
            break
        found.append(content)
    return found


class Upload:
    """Uploads the files of one run. All uploads together end at the deadline, whether the store answers or not."""

    __slots__ = ("_ends", "_environment", "_store")

    def __init__(self, store: AuditStore, environment: str, deadline_s: float = DEADLINE_S) -> None:
        self._store = store
        self._environment = environment
        self._ends = time.monotonic() + deadline_s

    def file(self, path: Path) -> None:
        """Store a copy of a file of the run's folder. Raises OSError, CloudError or StoredOtherwise.

        An upload that does not end in time raises CloudUnreachable; its thread may still store the copy later.
        """
        content, problems = path.read_bytes(), list[BaseException]()
        left = self._ends - time.monotonic()
        done = left > 0 and _within(
            left, lambda: put(self._store, self._environment, path.parent.name, path.name, content), problems
        )
        if problems:
            raise problems[0]
        if not done:
            raise CloudUnreachable("the audit store did not take it in time; no more is uploaded for this run")


def _within(seconds: float, act: Callable[[], None], problems: list[BaseException]) -> bool:
    """Call ``act`` in a thread; add its error to ``problems``. Return whether it has ended in time."""

    def run() -> None:
        try:
            act()
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=run, daemon=True, name="audit-store")
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


# -- reading it ------------------------------------------------------------------------------------------------------------


def runs(store: AuditStore, environment: str) -> dict[str, list[str]]:
    """Return the names of the files of each run of an environment, by the run's id, oldest first. Raises CloudError."""
    found: dict[str, set[str]] = {}
    for name in store.names(f"{environment}/"):
        _, *run_id, file = name.split("/")
        if len(run_id) == 1:
            found.setdefault(run_id[0], set()).add(_file_of(file))
    return {run_id: [file for file in KEPT_FILES if file in found[run_id]] for run_id in sorted(found)}


def fetch(store: AuditStore, environment: str, run_id: str) -> dict[str, bytes]:
    """Return the newest evidence of a run by file name; empty if the store has none. Raises CloudError.

    Stores of earlier versions have only the journal and the signature. If a file has several copies, the signed one is
    returned, else the newest.
    """
    prefix = f"{environment}/{run_id}/"
    stored = {_file_of(name.removeprefix(prefix)) for name in store.names(prefix)}
    found = {file: copies(store, environment, run_id, file) for file in sorted(stored & set(KEPT_FILES))}
    signed = _signed_digests(found.get(ENVELOPE_FILE, []))
    return {file: _chosen(own, signed.get(file)) for file, own in found.items() if own}


def incomplete(files: Mapping[str, bytes]) -> str | None:
    """Return why the evidence of a run is not complete: a signed file is missing. None if it is."""
    signed = _signed_digests([files[ENVELOPE_FILE]] if ENVELOPE_FILE in files else [])
    missing = [name for name in SIGNED_FILES if name in signed and name not in files]
    return f"the signature covers {', '.join(missing)}, which is not here" if missing else None


def _file_of(name: str) -> str:
    stem, dot, rest = name.partition(".")
    return f"{_NUMBER.sub('', stem)}{dot}{rest}"


def _chosen(own: list[bytes], digest: str | None) -> bytes:
    return next((one for one in reversed(own) if hashlib.sha256(one).hexdigest() == digest), own[-1])


def _signed_digests(envelopes: Iterable[bytes]) -> dict[str, str]:
    """Return the digests that the newest envelope states; empty if it states none."""
    *_, newest = (None, *envelopes)
    try:
        subjects = json.loads(envelope_of(newest or b"").payload)["subject"]
        return {str(one["name"]): str(one["digest"].get("sha256")) for one in subjects}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
