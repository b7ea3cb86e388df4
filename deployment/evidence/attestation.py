"""The signed evidence of a run: an in-toto statement, predicate test-result, in a DSSE envelope.

The statement adds nothing: it follows from the journal and from the files beside it, so that an auditor can build it
again and compare. Formats: https://github.com/in-toto/attestation (Statement v1, test-result v0.1),
https://github.com/secure-systems-lab/dsse.
"""

from __future__ import annotations

import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployment.errors import NoKey
from deployment.evidence import report
from deployment.evidence.intoto.configuration import configuration
from deployment.evidence.journal import Record, made_of_lines
from deployment.evidence.opening import THIRD_STATEMENT, statement_version_of

# The functions import securesystemslib themselves: it imports boto3, and a run without a key needs neither.
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from securesystemslib.dsse import Envelope

ENVELOPE_FILE = "evidence.dsse.json"
SUMMARY_FILE = "summary.dsse.json"
SIGNED_FILES = ("verification.json", "audit.jsonl", "data.json", "report.html", "junit.xml")
"""The files that the signature covers."""
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"

UNDECIDED = ("not_run", "incomplete", "absent")
"""The outcomes of gates that the statement lists neither as passed nor as failed."""


class Checker:
    """An environment's Ed25519 public key, and its earlier ones: keys rotate, and old reports keep their signatures."""

    __slots__ = ("_keys", "_pems")

    def __init__(self, pem: str, *earlier: str) -> None:
        """Raise NoKey if one of them is not such a key, in PEM."""
        from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # its way of exporting it

        keys = {fingerprint_of(key): key for key in map(_public_key, (pem, *earlier))}
        self._keys = {name: SSlibKey.from_crypto(key) for name, key in keys.items()}
        self._pems = {name: _pem_of(key) for name, key in keys.items()}

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the newest key, see ``fingerprint_of``."""
        return next(iter(self._pems))

    @property
    def pems(self) -> Mapping[str, str]:
        """Each key in PEM by its fingerprint, the newest first."""
        return dict(self._pems)

    def with_earlier(self, pems: Sequence[str]) -> Checker:
        """Return a checker that also knows these keys. Raises NoKey."""
        return Checker(*self._pems.values(), *pems)

    def signed_by(self, envelope: Envelope) -> str | None:
        """Return the fingerprint of the key that signed the envelope; None if none of them did."""
        from securesystemslib.exceptions import Error as LibraryError

        for name, key in self._keys.items():
            try:
                envelope.verify([key], 1)
            except LibraryError:
                continue
            return name
        return None

    def check(self, envelope: Envelope) -> bool:
        """Return whether one of the keys signed the envelope."""
        return self.signed_by(envelope) is not None


def fingerprint_of(key: Ed25519PublicKey) -> str:
    """Return ``sha256:`` and the digest of the key's DER (SubjectPublicKeyInfo), in hexadecimal."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def _public_key(pem: str) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise NoKey("the public key is not an Ed25519 public key in PEM")
    return key


class Signer:
    """An Ed25519 private key; it never appears in a repr or an error."""

    def __init__(self, pem: str) -> None:
        """Raise NoKey if ``pem`` is not such a key."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # as above

        try:
            key = load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            # Raised outside of the handler: a parser's message may quote its input, and would be this error's context.
            raise NoKey("the signing key is not an Ed25519 private key in PEM (PKCS#8, no password)")
        self._signer = CryptoSigner(key)
        self.checker = Checker(_pem_of(key.public_key()))

    def sign(self, statement: Mapping[str, Any]) -> bytes:
        """Return the content of the envelope's file."""
        from securesystemslib.dsse import Envelope

        payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
        envelope = Envelope(payload, PAYLOAD_TYPE, {})
        envelope.sign(self._signer)
        return to_json(envelope)


def _pem_of(key: Ed25519PublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def to_json(envelope: Envelope) -> bytes:
    """Return an envelope in its only valid spelling."""
    return (json.dumps(envelope.to_dict(), indent=2, sort_keys=True) + "\n").encode()


def envelope_of(content: bytes) -> Envelope:
    """Read an envelope's file. Raises ValueError if it is not an envelope, or not spelled as ``to_json`` writes it."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import Error as LibraryError

    try:
        envelope = Envelope.from_dict(json.loads(content))
        written = to_json(envelope)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, LibraryError, binascii.Error):
        raise ValueError("it is not a DSSE envelope") from None
    if written != content or envelope.payload_type != PAYLOAD_TYPE:
        raise ValueError("it is not spelled as this framework writes it")
    return envelope


def why_unsigned(lines: Sequence[tuple[str, Mapping[str, Any]]]) -> str | None:
    """Return why the last end of a run was not signed; None if it was, or if the run has not ended.

    ``lines`` are the kind and the data of each line of the journal. A halted run ends again when it is recovered, perhaps by
    somebody with another right to the key.
    """
    ends = [number for number, (kind, _) in enumerate(lines) if kind == "closed"]
    last = lines[ends[-2] if len(ends) > 1 else 0 : ends[-1]] if ends else lines
    return next((str(data.get("reason")) for kind, data in reversed(last) if kind == "unsigned"), None)


def unsigned_files(folder: Path) -> list[str]:
    """Return the names of the files and links in a report's folder that neither envelope covers."""
    covered = {*SIGNED_FILES, ENVELOPE_FILE, SUMMARY_FILE}
    return sorted(
        name
        for path in folder.rglob("*")
        if (path.is_symlink() or not path.is_dir()) and (name := path.relative_to(folder).as_posix()) not in covered
    )


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each existing file of the report, by name."""
    paths = {name: folder / name for name in SIGNED_FILES}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items() if path.is_file()}


@made_of_lines("the signed statement")
def statement(records: Sequence[Record], files: Mapping[str, str]) -> dict[str, Any]:
    """Return the statement about a closed journal and the digests of its report's files. Raises JournalBroken."""
    built = report.build(records)
    subjects = [{"name": name, "digest": {"sha256": digest}} for name, digest in files.items()]
    algorithm, _, digest = str(built["digest"] or "").partition(":")
    if digest:
        subjects.append({"name": built["image"] or built["digest"], "digest": {algorithm: digest}})
    left_out_warns = statement_version_of(records) >= THIRD_STATEMENT and built["verdict"] in report.GOOD
    gates = {
        word: [gate["name"] for gate in built["gates"] if _list_name(gate, left_out_warns) == word]
        for word in ("passed", "warned", "failed")
    }
    gates["warned"] += [one["check"] for one in built.get("exempt", ()) if _warns(one)]
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": _result(built, bool(gates["warned"])),
            "configuration": configuration(records),
            "passedTests": gates["passed"],
            "warnedTests": gates["warned"],
            "failedTests": gates["failed"],
        },
    }


def _list_name(gate: Mapping[str, Any], left_out_warns: bool) -> str | None:
    """Return which of the predicate's lists a gate belongs to; None for a gate that has neither passed nor failed.

    ``left_out_warns``: a waiver let the release pass although the gate did not run as a whole. The first two forms said so only of
    an absent gate.
    """
    if gate["outcome"] == "passed":
        return "passed"
    if gate["outcome"] in UNDECIDED:
        return "warned" if gate["waived"] and (left_out_warns or gate["outcome"] == "absent") else None
    return "failed" if gate["required"] and not gate["waived"] else "warned"


def _warns(one: Mapping[str, Any]) -> bool:
    """Return whether an exempt check belongs to the warnings: it was skipped, waived, or advisory and did not pass."""
    return one["severity"] == "skipped" or bool(one["waived"]) or one["outcome"] not in ("passed", "not_run")


def _result(built: Mapping[str, Any], warned: bool) -> str:
    """Return the result.

    PASSED: promoted, or verified completely. A successful rollback by hand proves no test, so it is WARNED.
    """
    if built["verdict"] in ("promoted", "verified"):
        return "WARNED" if warned or built["partial"] else "PASSED"
    return "WARNED" if built["exit_code"] == 0 else "FAILED"
