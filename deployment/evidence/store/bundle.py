"""A bundle: the evidence of several runs in one tar file, which ``audit verify`` checks without anything else.

It has ``runs/ID/FILE``, ``keys/FINGERPRINT.pem``, ``MANIFEST.json`` with the hash of each of them, and
``MANIFEST.sha256`` with the hash of the manifest. The tar file has one valid spelling: its files are in the order of the
manifest, it is written again while it is read, and both must be equal byte for byte. Anybody can sign evidence again
with a key of their own, so the keys that travel in the bundle prove nothing until the auditor names one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from deployment.errors import NoKey
from deployment.evidence.attestation import ENVELOPE_FILE, Checker, envelope_of
from deployment.evidence.audit import Anchors, Finding, Outcome, examine, signing_key
from deployment.evidence.chain import chain
from deployment.evidence.journal import JOURNAL_FILE
from deployment.evidence.store.copies import KEPT_FILES
from deployment.files import parse_json

MANIFEST, SEAL = "MANIFEST.json", "MANIFEST.sha256"
VERSION = 1
LARGEST = 1_000_000_000
"""The limit of each file in a bundle, in bytes."""
_RUN = re.compile(rf"runs/([A-Za-z0-9][A-Za-z0-9._-]*)/({'|'.join(map(re.escape, KEPT_FILES))})")
_KEY = re.compile(r"keys/([0-9a-f]{64})\.pem")
_FOREIGN = "it has an entry that is not part of a bundle"
_UNREADABLE = (tarfile.TarError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, EOFError)


@dataclass(frozen=True)
class Checked:
    """The findings about a bundle: about itself, and about each run by its id; ``manifest`` is empty if it has none."""

    own: list[Finding] = field(default_factory=list)
    runs: dict[str, list[Finding]] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcomes(self) -> set[Outcome]:
        """The outcomes of all findings."""
        return {one.outcome for found in (self.own, *self.runs.values()) for one in found}


# -- writing ---------------------------------------------------------------------------------------------------------------


def write(
    file: IO[bytes], runs: Iterable[tuple[str, Mapping[str, bytes]]], keys: Iterable[str], about: Mapping[str, Any]
) -> None:
    """Write a bundle of runs, each with its files by name, and of public keys in PEM. ``about`` goes to the manifest.

    Raises OSError, or NoKey for a key that is not valid.
    """
    hashes: dict[str, str] = {}
    with _tar(file) as tar:
        for run_id, files in runs:
            for name in sorted(files):
                hashes[f"runs/{run_id}/{name}"] = _add(tar, f"runs/{run_id}/{name}", files[name])
        for pem in sorted({pem: Checker(pem).fingerprint for pem in keys}.items(), key=lambda one: one[1]):
            name = f"keys/{pem[1].removeprefix('sha256:')}.pem"
            hashes[name] = _add(tar, name, pem[0].encode())
        manifest = json.dumps({"bundle_version": VERSION, **about, "files": hashes}, indent=2) + "\n"
        digest = _add(tar, MANIFEST, manifest.encode())
        _add(tar, SEAL, f"{digest}  {MANIFEST}\n".encode())


def _tar(file: Any) -> tarfile.TarFile:
    return tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> str:
    """Add a file that has no owner and no time; return its SHA-256."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))
    return hashlib.sha256(content).hexdigest()


class _Hashed:
    """A file that keeps only the hash of its content."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self._size = 0

    def write(self, content: bytes) -> int:
        """Add the content."""
        self.sha256.update(content)
        self._size += len(content)
        return len(content)

    def tell(self) -> int:
        """Return how much was written."""
        return self._size


# -- checking --------------------------------------------------------------------------------------------------------------


class _Plain(tarfile.TarInfo):
    """An entry as ``write`` makes it. Other entries fail before tarfile reads on: it expands sparse files and headers of any size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Plain:
        """Return the entry of a header. Raises ValueError if it is not a regular file of USTAR, or is too large."""
        entry = super().frombuf(buf, encoding, errors)
        if entry.type != tarfile.REGTYPE:
            raise ValueError(_FOREIGN)
        if not 0 <= entry.size <= LARGEST:
            raise ValueError(f"{entry.name} has {entry.size:,} bytes; the limit is {LARGEST:,}")
        return entry


def verify(path: Path, trusted: Iterable[str], fingerprints: Iterable[str] = ()) -> Checked:
    """Return every finding about a bundle. ``trusted`` are public keys in PEM, ``fingerprints`` choose keys of the bundle.

    Raises NoKey if a trusted key is not valid, and OSError if the disk cannot take the unpacked files.
    """
    own = [Checker(pem) for pem in trusted]
    with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
        root = Path(folder)
        try:
            hashes, same = _unpack(path, root)
            manifest = _manifest(root, hashes)
        except _UNREADABLE as error:
            return Checked([_bad(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)])
        if not same:
            return Checked([_bad("a byte outside of its files was changed")], manifest=manifest)
        travelling = [Checker((root / name).read_text(encoding="utf-8")) for name in hashes if _KEY.fullmatch(name)]
        chosen = {f"sha256:{one.lower().removeprefix('sha256:')}" for one in fingerprints}
        own += [key for key in travelling if key.fingerprint in chosen]
        ring = _joined(own)
        ids = sorted({match[1] for name in hashes if (match := _RUN.fullmatch(name))})
        found = Checked(
            [Finding("bundle", Outcome.GOOD, f"{len(hashes)} files, as the manifest lists them")], {}, manifest
        )
        if missing := sorted(chosen - {key.fingerprint for key in travelling}):
            detail = f"the bundle has no key {', '.join(missing)}"
            found.own.append(Finding("fingerprint", Outcome.UNCHECKED, detail))
        if not ids:
            found.own.append(Finding("runs", Outcome.UNCHECKED, "the bundle has no run"))
        for run_id in ids:
            found.runs[run_id] = _examine(root / "runs" / run_id, ring, travelling)
        return found


def _unpack(path: Path, root: Path) -> tuple[dict[str, str], bool]:
    """Unpack a bundle; return the hash of each file by name, and whether the tar file has its only valid spelling."""
    hashes: dict[str, str] = {}
    again = _Hashed()
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:", tarinfo=_Plain) as tar:
        with _tar(again) as written:
            for name, content in _members(tar, os.fstat(file.fileno()).st_size):
                if name in hashes:
                    raise ValueError(f"{name} is in it twice")
                hashes[name] = _add(written, name, content)
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(content)
        file.seek(0)
        return hashes, hashlib.file_digest(file, "sha256").digest() == again.sha256.digest()


def _members(tar: tarfile.TarFile, size: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each file of a tar file of this size. Raises ValueError."""
    for member in tar:
        if not (member.name in (MANIFEST, SEAL) or _RUN.fullmatch(member.name) or _KEY.fullmatch(member.name)):
            raise ValueError(_FOREIGN)
        if member.offset_data + member.size > size:
            raise ValueError(f"it ends before the end of {member.name}")
        content = tar.extractfile(member)
        yield member.name, b"" if content is None else content.read()


def _manifest(root: Path, hashes: dict[str, str]) -> Mapping[str, Any]:
    """Return the manifest, after it was compared with the files; its own two files leave ``hashes``. Raises ValueError."""
    order = list(hashes)
    seal = f"{hashes.pop(MANIFEST)}  {MANIFEST}\n".encode()
    hashes.pop(SEAL)
    if (root / SEAL).read_bytes() != seal:
        raise ValueError(f"{MANIFEST} was changed")
    manifest: Mapping[str, Any] = parse_json((root / MANIFEST).read_bytes())
    if manifest["bundle_version"] != VERSION:
        raise ValueError(f"it has version {manifest['bundle_version']}; this version reads {VERSION}")
    listed = manifest["files"]
    if changed := sorted(name for name in {*listed, *hashes} if listed.get(name) != hashes.get(name)):
        raise ValueError(f"not as {MANIFEST} lists them: {', '.join(changed)}")
    if order != [*listed, MANIFEST, SEAL]:
        raise ValueError(f"its files are not in the order of {MANIFEST}")
    left_out = manifest.get("left_out", {})
    if not isinstance(left_out, dict) or not all(isinstance(why, str) for why in left_out.values()):
        raise ValueError(f"left_out of {MANIFEST} has to name the reason of each run that was left out")
    for name in hashes:
        if (match := _KEY.fullmatch(name)) and _fingerprint(root / name) != f"sha256:{match[1]}":
            raise ValueError(f"{name} is another key than its name says")
    return manifest


def _fingerprint(path: Path) -> str | None:
    try:
        return Checker(path.read_text(encoding="utf-8")).fingerprint
    except NoKey:
        return None


def _bad(problem: str) -> Finding:
    return Finding("bundle", Outcome.BAD, f"it is not a bundle, or was changed: {problem}")


def _joined(keys: list[Checker]) -> Checker | None:
    pems = [pem for key in keys for pem in key.pems.values()]
    return Checker(*pems) if pems else None


def _examine(folder: Path, trusted: Checker | None, travelling: list[Checker]) -> list[Finding]:
    """Return the findings about one run. A bundle has no anchor: the trusted signature covers the whole journal."""
    found = examine(folder, JOURNAL_FILE, Anchors(), _checker(folder, trusted, travelling))
    return [one for one in found if one.what != "anchor"]


def _checker(folder: Path, trusted: Checker | None, travelling: list[Checker]) -> Callable[[], Checker]:
    """Return the trusted key if the run is signed with it, or names it; else a function that raises NoKey with the reason."""
    try:
        envelope = envelope_of((folder / ENVELOPE_FILE).read_bytes())
        named = signing_key(chain((folder / JOURNAL_FILE).read_bytes())[0])
    except (OSError, ValueError):
        envelope, named = None, None
    if trusted is not None and envelope is not None and (trusted.check(envelope) or named in trusted.pems):
        return lambda: trusted
    signer = None if envelope is None else next(filter(None, (key.signed_by(envelope) for key in travelling)), None)
    if signer is None and (mine := next((key for key in travelling if named in key.pems), None)):
        return lambda: mine  # the run names this key, and is not signed with it

    def untrusted() -> Checker:
        if signer is None:
            by = f"the key {named}" if named else "a key that the journal does not name"
            raise NoKey(f"signed with {by}; it is neither in the bundle nor given with --key")
        raise NoKey(
            f"signed with {signer}, a key that neither --key nor --fingerprint names: anybody can sign with a key of their own"
        )

    return untrusted
