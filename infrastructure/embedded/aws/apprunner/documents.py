"""The API's documents for the records, and pages of them."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from infrastructure.embedded.aws.apprunner.records import CustomDomain, Document, Operation, Service
from infrastructure.embedded.aws.errors import invalid_request


def service_document(service: Service) -> Document:
    """Return the model's Service structure."""
    settings = service.settings
    document = summary_document(service) | {
        "SourceConfiguration": settings.source,
        "InstanceConfiguration": settings.instance,
        "HealthCheckConfiguration": settings.health_check,
        "NetworkConfiguration": settings.network,
        "ObservabilityConfiguration": settings.observability,
        "AutoScalingConfigurationSummary": {
            "AutoScalingConfigurationArn": settings.autoscaling_arn,
            "AutoScalingConfigurationName": "DefaultConfiguration",
            "AutoScalingConfigurationRevision": 1,
            "Status": "ACTIVE",
            "HasAssociatedService": True,
            "IsDefault": True,
        },
    }
    if service.encryption is not None:
        document["EncryptionConfiguration"] = service.encryption
    if service.deleted_at is not None:
        document["DeletedAt"] = service.deleted_at
    return document


def summary_document(service: Service) -> Document:
    """Return the model's ServiceSummary structure."""
    return {
        "ServiceName": service.name,
        "ServiceId": service.id,
        "ServiceArn": service.arn,
        "ServiceUrl": service.url,
        "CreatedAt": service.created_at,
        "UpdatedAt": service.updated_at,
        "Status": service.status,
    }


def operation_document(operation: Operation, arn: str) -> Document:
    """Return the model's OperationSummary structure."""
    document: Document = {
        "Id": operation.id,
        "Type": operation.type,
        "Status": operation.status,
        "TargetArn": arn,
        "StartedAt": operation.started_at,
        "UpdatedAt": operation.updated_at,
    }
    return document if operation.ended_at is None else document | {"EndedAt": operation.ended_at}


def domain_document(domain: CustomDomain, status: str) -> Document:
    """Return the model's CustomDomain structure, with the record that the certificate authority checks."""
    proven = "SUCCESS" if status == "ACTIVE" else "PENDING_VALIDATION"
    record = {"Name": f"_acm.{domain.name}.", "Type": "CNAME", "Value": "_acm.acm-validations.aws.", "Status": proven}
    return {
        "DomainName": domain.name,
        "EnableWWWSubdomain": domain.www,
        "CertificateValidationRecords": [record],
        "Status": status,
    }


def page(keys: Sequence[str], request: Document, default: int) -> tuple[slice, str | None]:
    """Return the slice of a list to show and the token of the next page; a token holds the last key that was shown.

    Raises InvalidRequestException for a token that does not belong to this list.
    """
    start = keys.index(_key(request["NextToken"], keys)) + 1 if "NextToken" in request else 0
    end = start + int(request.get("MaxResults", default))
    token = base64.urlsafe_b64encode(keys[end - 1].encode()).decode() if end < len(keys) else None
    return slice(start, end), token


def _key(token: str, keys: Sequence[str]) -> str:
    try:
        key = base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        key = ""
    if key not in keys:
        raise invalid_request("NextToken is not valid")
    return key
