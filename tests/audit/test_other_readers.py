"""Programs that are not ours read and judge the signed evidence: in-toto, securesystemslib, sigstore, a policy engine.

Each of them has limits that decide how it is used here. in-toto-attestation 0.9.3 accepts any ``result``, and its class
for verification summaries rejects valid ones, so that docs/summary.schema.json checks those. sigstore verifies only ECDSA.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import regopy
import securesystemslib.dsse
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import resource_descriptor, statement, statement_pb2
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]  # its way of exporting them
from sigstore import dsse
from sigstore.errors import Error as SigstoreError

from deployment.evidence.attestation import ENVELOPE_FILE, SUMMARY_FILE
from tests.audit.evidence import GATES, Estate, Run, make_run, private_pem

FILES = (ENVELOPE_FILE, SUMMARY_FILE)
POLICY = Path(__file__).with_name("release.rego").read_text(encoding="utf-8")
DIGEST = "sha256:" + "a" * 64
every_file = pytest.mark.parametrize("file", FILES)


def payload(run: Run, file: str) -> Any:
    """Return the payload of an envelope, read without the framework's code."""
    return json.loads(base64.b64decode(json.loads((run.folder / file).read_text())["payload"]))


# -- in-toto-attestation -------------------------------------------------------------------------------------------------


@every_file
def test_in_toto_accepts_the_statement(run: Run, file: str) -> None:
    parsed = json_format.ParseDict(payload(run, file), statement_pb2.Statement())
    statement.Statement.copy_from_pb(parsed).validate()
    assert parsed.subject


def test_in_toto_accepts_the_test_result(run: Run) -> None:
    """It knows every field, and each descriptor of the configuration has a name, a URI and a digest."""
    predicate = payload(run, ENVELOPE_FILE)["predicate"]
    parsed = json_format.ParseDict(predicate, test_result_pb2.TestResult())
    assert parsed.result in {"PASSED", "WARNED", "FAILED"}
    assert parsed.configuration[0].name == "deployment-verification"
    for one in parsed.configuration:
        resource_descriptor.ResourceDescriptor.copy_from_pb(one).validate()
        assert one.name
        assert one.uri.startswith("pkg:")
        assert one.digest
    assert json_format.MessageToDict(parsed) == {key: value for key, value in predicate.items() if value}


# -- securesystemslib ------------------------------------------------------------------------------------------------------


def key_of(pem: str) -> SSlibKey:
    return CryptoSigner(load_pem_private_key(pem.encode(), None)).public_key


@every_file
def test_securesystemslib_verifies_the_envelope(run: Run, file: str) -> None:
    envelope = securesystemslib.dsse.Envelope.from_dict(json.loads((run.folder / file).read_text()))
    key = key_of(run.estate.pem)
    assert list(envelope.verify([key], 1)) == [key.keyid]
    with pytest.raises(VerificationError):
        envelope.verify([key_of(private_pem())], 1)
    envelope.payload += b" "
    with pytest.raises(VerificationError):
        envelope.verify([key], 1)


# -- sigstore --------------------------------------------------------------------------------------------------------------


@every_file
def test_sigstore_parses_envelope_and_statement(run: Run, file: str) -> None:
    """sigstore would verify exactly the bytes that our key signed."""
    envelope = dsse.Envelope._from_json((run.folder / file).read_text())
    content = base64.b64decode(json.loads((run.folder / file).read_text())["payload"])
    assert dsse.Statement(content)._pae() == envelope.pae()
    key = load_pem_private_key(run.estate.pem.encode(), None).public_key()
    key.verify(envelope.signature, envelope.pae())  # type: ignore[union-attr,call-arg]  # Ed25519
    with pytest.raises(SigstoreError):
        dsse.Statement(content.replace(b"Statement/v1", b"Statement/v0"))


# -- a policy engine -----------------------------------------------------------------------------------------------------


def answers(statements: Sequence[Any], digest: str = DIGEST, rule: str = "deny") -> list[str]:
    engine = regopy.Interpreter()
    engine.add_module("release", POLICY)
    engine.set_input({"digest": digest, "statements": list(statements)})
    (result,) = engine.query(f"data.release.{rule}").results
    return sorted(result[0])


def both(run: Run) -> list[Any]:
    return [payload(run, file) for file in FILES]


def test_policy_lets_a_promoted_release_pass(run: Run, tmp_path: Path) -> None:
    assert answers(both(run)) == []
    assert answers(both(run), rule="warn") == ["test deployment-verification passed with warnings"]
    clean = make_run(tmp_path, Estate(), gates=[{**gate, "outcome": "passed"} for gate in GATES])
    assert answers(both(clean)) == answers(both(clean), rule="warn") == []


@pytest.mark.parametrize(
    "closed", [{"verdict": "rejected", "exit_code": 1}, {"verdict": "rolled_back", "exit_code": 10}]
)
def test_policy_denies_a_failed_release(tmp_path: Path, closed: dict[str, Any]) -> None:
    assert answers(both(make_run(tmp_path, Estate(), **closed))) == [
        "the release was not promoted",
        "the tests did not pass",
        "the verification did not pass",
    ]


def test_policy_denies_a_release_that_was_only_verified(tmp_path: Path) -> None:
    assert answers(both(make_run(tmp_path, Estate(), verdict="verified"))) == ["the release was not promoted"]


def test_policy_denies_another_image(run: Run) -> None:
    other = "sha256:" + "b" * 64
    assert answers(both(run), other) == [
        "the test result is about another image",
        "the verification summary is about another image",
    ]


def test_policy_denies_no_evidence() -> None:
    assert answers([]) == ["the test result is missing", "the verification summary is missing"]


def test_policy_denies_a_missing_result(run: Run) -> None:
    """A rule that reads a missing value is never true; this policy must not pass for that reason."""
    result, summed = both(run)
    del result["predicate"]["result"], summed["predicate"]["verificationResult"]
    assert answers([result, summed]) == ["the tests did not pass", "the verification did not pass"]
    assert answers([{**one, "predicate": {}} for one in both(run)]) == [
        "the release was not promoted",
        "the tests did not pass",
        "the verification did not pass",
    ]
