"""Preflight through AWS's APIs: an image with findings is refused before anything is touched."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import uuid4

import pytest

from infrastructure.aws.session import Clients, Connection, Credentials, clients_for
from infrastructure.embedded import cloud
from tests.e2e.sandbox import Sandbox

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def clients_of(sandbox: Sandbox) -> tuple[Clients, Any]:
    """Return clients of the sandbox's AWS, and the environment's outputs."""
    outputs = cloud.outputs(sandbox.state)
    assert outputs is not None, "an environment is up"
    keys = Credentials(outputs.credentials.access_key_id, outputs.credentials.secret_access_key)
    return clients_for(Connection(outputs.region, outputs.account_id, None, keys, outputs.endpoints)), outputs


def push(clients: Clients, repository: str) -> str:
    """Push an image that exists only in the registry; return its tag, which is not a version and so never the default."""
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "0" * 64, "size": 1}
    annotations = {"org.opencontainers.image.version": "1.0.0"}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [], "annotations": annotations}
    text, tag = json.dumps(manifest), f"scanned-{uuid4().hex[:8]}"
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    image = {"imageManifest": text, "imageManifestMediaType": MANIFEST, "imageTag": tag, "imageDigest": digest}
    clients.call("ecr", "PutImage", repositoryName=repository, **image)
    return tag


@pytest.mark.soak
def test_an_image_with_findings_is_refused(up_sandbox: Sandbox) -> None:
    """The image's scan has a finding that is worse than the allowed severity; the run and its plan are refused."""
    clients, outputs = clients_of(up_sandbox)
    tag = push(clients, outputs.repository)
    clients.call("ecr", "StartImageScan", repositoryName=outputs.repository, imageId={"imageTag": tag})
    before = up_sandbox.running()
    for options, word in (([], "preflight: scan: 1 HIGH"), (["--plan"], "REFUSED      scan: 1 HIGH")):
        ran = up_sandbox.pytest("--target=green", f"--image-tag={tag}", *options)
        assert ran.code == 4, ran.output
        assert word in ran.output
        if not options:
            assert (ran.facts["verdict"], ran.facts["steps"]) == ("refused", [])
            outcomes = {item["name"]: item["outcome"] for item in ran.facts["preflight"]}
            assert [name for name, outcome in outcomes.items() if outcome == "refused"] == ["scan"]
            assert outcomes["rights"] == "ok", "IAM must have been asked and have answered"
    assert up_sandbox.running() == before
    up_sandbox.assert_live("blue", "1.0.0")
