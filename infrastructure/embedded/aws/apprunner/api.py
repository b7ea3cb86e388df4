"""App Runner's operations; each handler receives a request that was checked against the model."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

from infrastructure.embedded.aws.apprunner import documents, rules
from infrastructure.embedded.aws.apprunner.operations import ALLOWED, Operations, refuse_unless
from infrastructure.embedded.aws.apprunner.records import CustomDomain, Document, Service
from infrastructure.embedded.aws.apprunner.store import Store
from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.errors import invalid_request, not_found

PAGE = 20
DOMAIN_PAGE = 5
SETTLED = ("RUNNING", "PAUSED", "CREATE_FAILED", "DELETE_FAILED")


class AppRunner:
    """The API. A handler decides under the store's lock, records its decision, and leaves the work to an operation."""

    def __init__(self, config: EndpointConfig, store: Store, operations: Operations) -> None:
        self._config = config
        self._store = store
        self._operations = operations

    def handlers(self) -> dict[str, Callable[[Document], Document]]:
        """Return the handler of each operation, by its name."""
        return {
            "CreateService": self.create,
            "UpdateService": self.update,
            "DescribeService": self.describe,
            "ListServices": self.list_services,
            "ListOperations": self.list_operations,
            "StartDeployment": self.start_deployment,
            "PauseService": lambda request: self._operate(request, "PAUSE_SERVICE"),
            "ResumeService": lambda request: self._operate(request, "RESUME_SERVICE"),
            "DeleteService": lambda request: self._operate(request, "DELETE_SERVICE"),
            "AssociateCustomDomain": self.associate,
            "DescribeCustomDomains": self.describe_domains,
            "DisassociateCustomDomain": self.disassociate,
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": self.list_tags,
        }

    def create(self, request: Document) -> Document:
        """Answer CreateService; a name is unique among services that are not deleted."""
        settings = rules.created(request, self._config)
        tags = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])}
        rules.refuse_tags(tags)
        name, service_id, now = request["ServiceName"], uuid.uuid4().hex, time.time()
        service = Service(
            id=service_id,
            name=name,
            arn=self._config.arn(f"service/{name}/{service_id}"),
            url=f"{secrets.token_hex(5)}.{self._config.service_domain}",
            created_at=now,
            updated_at=now,
            status="OPERATION_IN_PROGRESS",
            settings=settings,
            tags=tags,
            encryption=request.get("EncryptionConfiguration"),
        )
        with self._store.locked():
            if any(other.name == name and other.status != "DELETED" for other in self._store.all()):
                raise invalid_request(f"Service with the provided name already exists: {name}.")
            return self._begun(*self._operations.begin(service, service, "CREATE_SERVICE"))

    def update(self, request: Document) -> Document:
        """Answer UpdateService: omitted members stay unchanged, and the result is deployed."""
        with self._store.locked():
            service = self._store.get(request["ServiceArn"])
            refuse_unless(service, ALLOWED["UPDATE_SERVICE"], "UpdateService")
            wanted = replace(service, settings=rules.updated(service.settings, request, self._config))
            return self._begun(*self._operations.begin(service, wanted, "UPDATE_SERVICE"))

    def start_deployment(self, request: Document) -> Document:
        """Answer StartDeployment: deploy the current configuration again; the answer holds only the OperationId."""
        return {"OperationId": self._operate(request, "START_DEPLOYMENT")["OperationId"]}

    def describe(self, request: Document) -> Document:
        """Answer DescribeService."""
        return {"Service": documents.service_document(self._store.get(request["ServiceArn"]))}

    def list_services(self, request: Document) -> Document:
        """Answer ListServices, oldest first, without deleted services."""
        services = [service for service in self._store.all() if service.status != "DELETED"]
        part, token = documents.page([service.id for service in services], request, PAGE)
        answer: Document = {"ServiceSummaryList": [documents.summary_document(service) for service in services[part]]}
        return answer | ({"NextToken": token} if token else {})

    def list_operations(self, request: Document) -> Document:
        """Answer ListOperations, newest first."""
        service = self._store.get(request["ServiceArn"])
        part, token = documents.page([operation.id for operation in service.operations], request, PAGE)
        shown = [documents.operation_document(operation, service.arn) for operation in service.operations[part]]
        return {"OperationSummaryList": shown} | ({"NextToken": token} if token else {})

    def associate(self, request: Document) -> Document:
        """Answer AssociateCustomDomain; a domain and its `www.` host belong to one service only."""
        domain = CustomDomain(request["DomainName"], request.get("EnableWWWSubdomain", True))
        with self._store.locked():
            service = self._store.get(request["ServiceArn"])
            refuse_unless(service, ("RUNNING",), "AssociateCustomDomain")
            self._refuse_taken(domain)
            if len(service.domains) >= rules.DOMAINS:
                raise invalid_request(f"DomainName: a service has at most {rules.DOMAINS} custom domains")
            changed = self._store.change(service.arn, lambda now: replace(now, domains=(*now.domains, domain)))
            self._operations.route(changed)
        return self._domains_answer(service) | {"CustomDomain": documents.domain_document(domain, "CREATING")}

    def describe_domains(self, request: Document) -> Document:
        """Answer DescribeCustomDomains; nothing waits for DNS here, so each domain is ACTIVE."""
        service = self._store.get(request["ServiceArn"])
        part, token = documents.page([domain.name for domain in service.domains], request, DOMAIN_PAGE)
        shown = [documents.domain_document(domain, "ACTIVE") for domain in service.domains[part]]
        return self._domains_answer(service) | {"CustomDomains": shown} | ({"NextToken": token} if token else {})

    def disassociate(self, request: Document) -> Document:
        """Answer DisassociateCustomDomain. Raises ResourceNotFoundException if the service does not have the domain."""
        with self._store.locked():
            service = self._store.get(request["ServiceArn"])
            refuse_unless(service, ("RUNNING",), "DisassociateCustomDomain")
            found = [domain for domain in service.domains if domain.name == request["DomainName"]]
            if not found:
                raise not_found(f"Domain {request['DomainName']} is not associated with the service")
            self._operations.withdraw_hosts(found[0])
            rest = tuple(domain for domain in service.domains if domain != found[0])
            self._store.change(service.arn, lambda now: replace(now, domains=rest))
        return self._domains_answer(service) | {"CustomDomain": documents.domain_document(found[0], "DELETING")}

    def tag(self, request: Document) -> Document:
        """Answer TagResource."""
        given = {tag["Key"]: tag.get("Value", "") for tag in request["Tags"]}
        return self._retag(request, lambda tags: tags | given)

    def untag(self, request: Document) -> Document:
        """Answer UntagResource; unknown keys are ignored."""
        return self._retag(request, lambda tags: {k: v for k, v in tags.items() if k not in request["TagKeys"]})

    def list_tags(self, request: Document) -> Document:
        """Answer ListTagsForResource."""
        service = self._store.get(request["ResourceArn"])
        return {"Tags": [{"Key": key, "Value": value} for key, value in service.tags.items()]}

    def _operate(self, request: Document, kind: str) -> Document:
        with self._store.locked():
            service = self._store.get(request["ServiceArn"])
            refuse_unless(service, ALLOWED[kind], kind)
            return self._begun(*self._operations.begin(service, service, kind))

    def _begun(self, service: Service, operation_id: str) -> Document:
        return {"Service": documents.service_document(service), "OperationId": operation_id}

    def _retag(self, request: Document, change: Callable[[dict[str, str]], dict[str, str]]) -> Document:
        with self._store.locked():
            service = self._store.get(request["ResourceArn"])
            refuse_unless(service, SETTLED, "Tagging")
            tags = change(service.tags)
            rules.refuse_tags(tags)
            self._store.change(service.arn, lambda now: replace(now, tags=tags))
        return {}

    def _refuse_taken(self, domain: CustomDomain) -> None:
        taken = {host for service in self._store.all() for known in service.domains for host in known.hosts()}
        if taken & set(domain.hosts()):
            raise invalid_request(f"DomainName: {domain.name} is already associated with an App Runner service")

    def _domains_answer(self, service: Service) -> Document:
        return {"DNSTarget": service.url.partition(":")[0], "ServiceArn": service.arn, "VpcDNSTargets": []}
