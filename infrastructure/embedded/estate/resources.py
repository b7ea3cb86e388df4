"""The estate of an environment, created with boto3 as Terraform creates it on AWS. Each step is safe to repeat."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infrastructure.embedded import images
from infrastructure.embedded.errors import ImageChanged, StartFailed
from infrastructure.embedded.estate import alarms
from infrastructure.embedded.estate.aws_session import AwsSession
from infrastructure.embedded.estate.ecs import SETTLED_EVERY_S, EcsEstate, Serving
from infrastructure.embedded.layout import ACCOUNT_ID, REGION, Environment, Layout
from infrastructure.embedded.names import COLOURS, FIRST_COLOUR
from infrastructure.embedded.outputs import Credentials, Outputs
from infrastructure.embedded.passwords import Passwords
from infrastructure.embedded.processes import postgres
from infrastructure.embedded.processes.lifecycle import LOG_TAIL_LINES

INJECTED = {"DATABASE_URL": "database_url", "JWT_SECRET": "jwt_secret", "SEED_USERS": "smoke_users"}
"""Environment variables from Secrets Manager, each with its secret's name in the outputs."""
CREATE_WITHIN_S = 120.0
"""Longer than the endpoint's limits together: for `release:` (60 s), until it listens (20 s) and until it is healthy (30 s)."""


HEALTH_CHECK: dict[str, Any] = {
    "Protocol": "HTTP",
    "Interval": 2,
    "Timeout": 2,
    "HealthyThreshold": 1,
    # A release may warm up as long as with the Terraform module (5 checks, 5 s apart); here the first check has no wait.
    "UnhealthyThreshold": 14,
}


class Estate:
    """The AWS resources of one environment; for the platform App Runner with the KeyValueStore, or ECS."""

    def __init__(self, layout: Layout, environment: Environment, passwords: Passwords) -> None:
        self._layout = layout
        self._environment = environment
        self._passwords = passwords
        self._credentials = Credentials(passwords.access_key_id, passwords.secret_access_key)
        self._session = AwsSession(self._credentials)
        self._names = environment.names
        self._ecs = EcsEstate(environment, self._client)

    def ensure_data(self) -> dict[str, str]:
        """Create the resources in moto: repository, images, lease table, audit bucket, topic, alarms and secrets.

        Returns the secrets' ARNs by name. If ECR holds no image yet, raises BrokenImage (a folder is not an image) or
        EmptyRegistry (the registry has no image).
        """
        self._ensure_repository()
        self._ensure_lease_table()
        self._ensure_audit_bucket()
        self._ensure_topic()
        alarms.ensure(self._session, self._environment)
        if self._environment.platform == "ecs":
            self._ecs.ensure_log_groups()
        if not self.known_images():
            self.push()
        return self._ensure_secrets()

    def ensure_live(self, secrets: dict[str, str]) -> None:
        """On the first `up`, start the service of the first colour and send all traffic to it.

        Later the colours belong to the deployer, and this changes nothing. Raises StartFailed if the service fails.
        """
        if self._environment.platform == "ecs":
            self._ensure_live_ecs(secrets)
        else:
            self._ensure_live_apprunner(secrets)

    def _ensure_live_ecs(self, secrets: dict[str, str]) -> None:
        serving = self._ecs.ensure()
        injected = _injected(secrets)
        try:
            if self._ecs.ensure_services(serving, self._first_image(), self._variables(), injected):
                self._ecs.settled(CREATE_WITHIN_S)
        except StartFailed as exc:
            raise StartFailed(exc.process, exc.reason, self._service_log()) from exc

    def _ensure_live_apprunner(self, secrets: dict[str, str]) -> None:
        arn = self._environment.key_value_store_arn
        store = self._session.client("cloudfront-keyvaluestore", self._environment.endpoint_url)
        described = store.describe_key_value_store(KvsARN=arn)
        if described["ItemCount"]:
            return
        app_runner = self._session.client("apprunner", self._environment.endpoint_url)
        service = self._settled(app_runner, self._ensure_service(app_runner, secrets))
        puts = [{"Key": key, "Value": value} for key, value in _first_keys(service["ServiceUrl"]).items()]
        store.update_keys(KvsARN=arn, IfMatch=described["ETag"], Puts=puts)

    def known_images(self) -> dict[str, str]:
        """Return the tags in ECR, each with its digest."""
        ecr = self._session.client("ecr", self._environment.moto_url)
        pages = ecr.get_paginator("describe_images").paginate(repositoryName=self._environment.repository)
        details = [detail for page in pages for detail in page["imageDetails"]]
        return {tag: str(detail["imageDigest"]) for detail in details for tag in detail.get("imageTags", [])}

    def push(self) -> Sequence[str]:
        """Push the tags of the registry folder that ECR does not hold, in order; return them.

        Raises ImageChanged, before anything is pushed, if the content of a known tag has changed.
        """
        built = [
            images.build(folder) for folder in images.scan(self._environment.registry, self._environment.repository)
        ]
        known = self.known_images()
        for image in built:
            was = known.get(image.folder.tag)
            if was not in (None, image.digest):
                raise ImageChanged(image.folder.tag, str(was), image.digest)
        new = [image for image in built if image.folder.tag not in known]
        ecr = self._session.client("ecr", self._environment.moto_url)
        for image in new:
            images.store(image, self._layout.images)  # first, so that every digest in ECR can be run
            ecr.put_image(
                repositoryName=self._environment.repository,
                imageManifest=image.manifest,
                imageManifestMediaType=images.MANIFEST_TYPE,
                imageTag=image.folder.tag,
                imageDigest=image.digest,  # without it moto invents a digest that is not the manifest's
            )
        return [image.folder.tag for image in new]

    def outputs(self, secrets: dict[str, str]) -> Outputs:
        """Return the outputs for the deployer."""
        endpoint = self._environment.endpoint_url
        ecs = self._environment.platform == "ecs"
        answered = ("iam", "ecs", "elbv2") if ecs else ("iam", "apprunner", "cloudfront-keyvaluestore")
        serving = self._ecs.ensure() if ecs else Serving()
        return Outputs(
            region=REGION,
            account_id=ACCOUNT_ID,
            credentials=self._credentials,
            endpoints={**dict.fromkeys(answered, endpoint), "default": self._environment.moto_url},
            live_url=self._environment.live_url,
            colour_scheme="http",
            services=dict(self._names.services),
            key_value_store_arn=self._environment.key_value_store_arn,
            lease_table=self._names.lease_table,
            repository=self._environment.repository,
            secrets=secrets,
            registry=str(self._environment.registry),
            audit_bucket=self._names.audit_bucket,
            notifications_topic=f"arn:aws:sns:{REGION}:{ACCOUNT_ID}:{self._names.topic}",
            notifications_queue=self._names.topic,
            alarms=list(alarms.NAMES),
            route53_health_checks=alarms.health_checks(self._session, self._environment),
            redis_url=f"redis://127.0.0.1:{self._environment.ports.valkey}/0" if self._has("redis") else "",
            platform=self._environment.platform,
            cluster=serving.cluster,
            target_groups=serving.target_groups,
            colour_urls=serving.colour_urls,
            listener_rule_arn=serving.listener_rule_arn,
            rehearsal_hosts=serving.rehearsal_hosts,
        )

    def _ensure_repository(self) -> None:
        ecr = self._session.client("ecr", self._environment.moto_url)
        try:
            ecr.create_repository(repositoryName=self._environment.repository, imageTagMutability="IMMUTABLE")
        except ecr.exceptions.RepositoryAlreadyExistsException:
            return

    def _ensure_lease_table(self) -> None:
        dynamodb = self._session.client("dynamodb", self._environment.moto_url)
        try:
            dynamodb.create_table(
                TableName=self._names.lease_table,
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        except dynamodb.exceptions.ResourceInUseException:
            return

    def _ensure_audit_bucket(self) -> None:
        s3 = self._session.client("s3", self._environment.moto_url)
        # us-east-1 is the only region in which S3 answers 200 if we own the bucket already.
        s3.create_bucket(Bucket=self._names.audit_bucket, ObjectLockEnabledForBucket=True)

    def _ensure_topic(self) -> None:
        """Create the topic for the deployments' messages, and a queue from which a user can read them."""
        sns = self._session.client("sns", self._environment.moto_url)
        sqs = self._session.client("sqs", self._environment.moto_url)
        topic = sns.create_topic(Name=self._names.topic)["TopicArn"]
        sqs.create_queue(QueueName=self._names.topic)
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{self._names.topic}"
        raw = {"RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=raw)

    def _ensure_secrets(self) -> dict[str, str]:
        manager = self._session.client("secretsmanager", self._environment.moto_url)
        port, password = self._environment.ports.postgres, self._passwords.postgres_application
        values = {
            "smoke_users": self._passwords.seed_users(),
            "jwt_secret": self._passwords.jwt_secret,
            **({"database_url": postgres.url(port, password)} if self._has("database") else {}),
            "signing_key": self._passwords.signing_key,
            "signing_public_key": self._passwords.public_key(),
        }
        return {
            name: _ensure_secret(manager, f"{self._names.prefix}/{name.replace('_', '-')}", values[name])
            for name in values
        }

    def _ensure_service(self, app_runner: Any, secrets: dict[str, str]) -> str:
        name = self._names.services[FIRST_COLOUR]
        known = app_runner.list_services()["ServiceSummaryList"]  # at most this service: the store has no content yet
        for summary in known:
            if summary["ServiceName"] == name:  # created by an `up` that was killed
                return str(summary["ServiceArn"])
        return str(app_runner.create_service(**self._service(FIRST_COLOUR, secrets))["Service"]["ServiceArn"])

    def _service(self, colour: str, secrets: dict[str, str]) -> dict[str, Any]:
        """Return the CreateService request for a colour on the environment's first image."""
        return {
            "ServiceName": self._names.services[colour],
            "SourceConfiguration": {
                "ImageRepository": {
                    "ImageIdentifier": self._first_image(),
                    "ImageRepositoryType": "ECR",
                    "ImageConfiguration": {
                        "Port": "3000",
                        "RuntimeEnvironmentVariables": self._variables() | {"DEPLOY_COLOR": colour},
                        "RuntimeEnvironmentSecrets": _injected(secrets),
                    },
                },
                "AutoDeploymentsEnabled": False,
                "AuthenticationConfiguration": {
                    "AccessRoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/{self._names.prefix}-ecr-access"
                },
            },
            "InstanceConfiguration": {
                "InstanceRoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/{self._names.prefix}-instance"
            },
            "HealthCheckConfiguration": {**HEALTH_CHECK, "Path": self._environment.served.health_path},
        }

    def _first_image(self) -> str:
        registry = f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com"
        return f"{registry}/{self._environment.repository}@{self.known_images()[self._environment.image_tag]}"

    def _variables(self) -> dict[str, str]:
        """Return the service's environment variables that are the same for both colours."""
        redis = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(self._environment.ports.valkey)}
        return {
            "NODE_ENV": "production",
            **(redis if self._has("redis") else {}),
            "CORS_ORIGINS": self._environment.live_url,
            **self._environment.served.variables,
        }

    def _has(self, store: str) -> bool:
        return store in self._environment.served.stores

    def _client(self, service: str) -> Any:
        here = service in ("ecs", "elbv2")
        return self._session.client(service, self._environment.endpoint_url if here else self._environment.moto_url)

    def _settled(self, app_runner: Any, arn: str) -> dict[str, Any]:
        """Wait until the service's operation has ended and return the service.

        Raises StartFailed if it failed or takes longer than CREATE_WITHIN_S.
        """
        deadline = time.monotonic() + CREATE_WITHIN_S
        while True:
            service: dict[str, Any] = app_runner.describe_service(ServiceArn=arn)["Service"]
            status = service["Status"]
            if status in ("RUNNING", "PAUSED"):
                return service
            if status != "OPERATION_IN_PROGRESS" or time.monotonic() >= deadline:
                raise StartFailed(service["ServiceName"], f"its status is {status}", self._service_log())
            time.sleep(SETTLED_EVERY_S)

    def _service_log(self) -> str:
        """Return the last lines of the newest service logs; the endpoint writes them below the environment's logs."""
        written = [path for path in self._layout.logs.rglob("*") if path.is_file() and path.parent != self._layout.logs]
        newest = sorted(written, key=lambda path: path.stat().st_mtime)[-4:]
        return "\n".join(f"{path.name}: {line}" for path in newest for line in _last_lines(path))


def _injected(secrets: dict[str, str]) -> dict[str, str]:
    """Return the variables that the service gets from Secrets Manager, each with its secret's ARN."""
    return {name: secrets[key] for name, key in INJECTED.items() if key in secrets}


def _first_keys(host: str) -> dict[str, str]:
    weights = {colour: 100 if colour == FIRST_COLOUR else 0 for colour in COLOURS}
    first = {"active": FIRST_COLOUR, "weights": json.dumps(weights), "generation": "1"}
    return first | {f"origin.{FIRST_COLOUR}": host}


def _ensure_secret(manager: Any, name: str, value: str) -> str:
    try:
        return str(manager.create_secret(Name=name, SecretString=value)["ARN"])
    except manager.exceptions.ResourceExistsException:
        return str(manager.describe_secret(SecretId=name)["ARN"])


def _last_lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
