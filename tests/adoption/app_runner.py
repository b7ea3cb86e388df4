"""An App Runner service with its front door, for `adopt`: answers that fit botocore's model; moto has no App Runner."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from infrastructure.aws.errors import aws_errors
from tests.aws.shapes import checked

NAME, ORIGIN = "storefront", "a1b2c3d4e5.us-east-1.awsapprunner.com"
ARN = f"arn:aws:apprunner:us-east-1:123456789012:service/{NAME}/0123456789abcdef0123456789abcdef"
STORE = "arn:aws:cloudfront::123456789012:key-value-store/11111111-2222-3333-4444-555555555555"
FUNCTION = "arn:aws:cloudfront::123456789012:function/shop-request"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/storefront@sha256:" + "5" * 64
THEN = datetime(2026, 11, 1, tzinfo=UTC)
KEYS = {"active": "blue", "weights": '{"blue": 100, "green": 0}', "generation": "1"}


class AppRunner:
    """Answers as Clients does; a test changes its members. ``calls`` holds the operations."""

    def __init__(self) -> None:
        self.distributions: list[dict[str, Any]] = [distribution("E1")]
        self.stores: list[str] = [STORE]
        self.keys = dict(KEYS)
        self.repository: dict[str, Any] | None = {"ImageIdentifier": IMAGE, "ImageRepositoryType": "ECR"}
        self.protocol = "HTTP"
        self.exists = True
        self.service: dict[str, Any] = {}
        """Members of the service that replace its own; None: AWS leaves the member out."""
        self.listed: list[dict[str, Any]] = []
        """Further services of the list."""
        self.calls: list[str] = []

    def expire_at(self) -> None:
        """The keys do not expire."""

    def call(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
        self.calls.append(f"{service}:{operation}")
        with aws_errors(service, operation):
            return checked(service, operation, given, self._answer(operation, given))

    def _answer(self, operation: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        key = {"HTTPStatusCode": 404}
        absent = ClientError({"Error": {"Code": "ResourceNotFoundException"}, "ResponseMetadata": key}, operation)
        if operation == "GetKey":
            if given["Key"] not in self.keys:
                raise absent
            return {"Key": given["Key"], "Value": self.keys[given["Key"]], "ItemCount": 3, "TotalSizeInBytes": 1}
        if operation in ("DescribeTable", "HeadBucket", "DescribeSecret", "DescribeRepositories") and not self.exists:
            raise absent
        answers: Mapping[str, Mapping[str, Any]] = {
            "ListServices": {"ServiceSummaryList": [*self.listed, {"ServiceName": NAME, "ServiceArn": ARN, "Status": "RUNNING"}]},
            "DescribeService": {"Service": self._service() | {"ServiceArn": given.get("ServiceArn")}},
            "ListDistributions": {"DistributionList": _list(self.distributions, "Marker", "MaxItems", "IsTruncated")},
            "DescribeFunction": {"FunctionSummary": _function(self.stores if given.get("Stage") == "LIVE" else [])},
            "GetCallerIdentity": {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/a", "UserId": "a"},
            "DescribeKeyValueStore": {"ETag": "E", "ItemCount": 3, "TotalSizeInBytes": 1, "KvsARN": STORE, "Created": THEN},
            "DescribeTable": {"Table": {"TableName": "table"}},
            "HeadBucket": {},
            "DescribeSecret": {"ARN": f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{given.get('SecretId')}-AbCdEf", "VersionIdsToStages": {"0" * 32: ["AWSCURRENT"]}},
            "DescribeRepositories": {"repositories": [{"imageTagMutability": "IMMUTABLE"}]},
        }  # fmt: skip
        return answers[operation]

    def _service(self) -> dict[str, Any]:
        own = {
            "ServiceName": NAME,
            "ServiceId": "0" * 32,
            "ServiceArn": ARN,
            "ServiceUrl": ORIGIN,
            "Status": "RUNNING",
            "CreatedAt": THEN,
            "UpdatedAt": THEN,
            "SourceConfiguration": {"ImageRepository": self.repository} if self.repository else {},
            "InstanceConfiguration": {},
            "NetworkConfiguration": {},
            "HealthCheckConfiguration": {"Protocol": self.protocol},
            "AutoScalingConfigurationSummary": {},
        }
        return {key: value for key, value in (own | self.service).items() if value is not None}


def _list(items: list[dict[str, Any]], *more: str) -> dict[str, Any]:
    values = {"Marker": "", "MaxItems": 100, "IsTruncated": False}
    return {"Quantity": len(items), "Items": items, **{name: values[name] for name in more}}


def _function(stores: list[str]) -> dict[str, Any]:
    associations = {"Quantity": len(stores), "Items": [{"KeyValueStoreARN": one} for one in stores]}
    config = {"Comment": "", "Runtime": "cloudfront-js-2.0", "KeyValueStoreAssociations": associations}
    return {
        "Name": "shop-request",
        "FunctionConfig": config,
        "FunctionMetadata": {"FunctionARN": FUNCTION, "LastModifiedTime": THEN},
    }


def distribution(identifier: str, origin: str = ORIGIN, *, function: bool = True) -> dict[str, Any]:
    """Return a distribution as ListDistributions does."""
    items = [{"FunctionARN": FUNCTION, "EventType": "viewer-request"}] if function else []
    behaviour = {
        "TargetOriginId": "o",
        "ViewerProtocolPolicy": "https-only",
        "FunctionAssociations": {"Quantity": len(items), "Items": items},
    }
    nothing = {"Quantity": 0}
    return {
        "Id": identifier,
        "ARN": f"arn:aws:cloudfront::123456789012:distribution/{identifier}",
        "Status": "Deployed",
        "LastModifiedTime": THEN,
        "DomainName": "d1.cloudfront.net",
        "Aliases": {"Quantity": 1, "Items": ["shop.bakery.example"]},
        "Origins": {"Quantity": 1, "Items": [{"Id": "o", "DomainName": origin}]},
        "DefaultCacheBehavior": behaviour,
        "CacheBehaviors": nothing,
        "CustomErrorResponses": nothing,
        "Comment": "",
        "PriceClass": "PriceClass_All",
        "Enabled": True,
        "ViewerCertificate": {},
        "Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
        "WebACLId": "",
        "HttpVersion": "http2",
        "IsIPV6Enabled": True,
        "Staging": False,
    }
