"""The estate of a team that has never heard of this project: a sweet shop on App Runner behind CloudFront.

App Runner and the data of the key value store are the embedded cloud's; the distribution, its function and the repository are
moto's. The team's function chooses between two origins by a key of the store, as CloudFront's own examples do.
"""

from __future__ import annotations

from typing import Any

from tests.embedded_aws.harness import KVS_ARN, Endpoint, client, created, creation, keyvaluestore

SERVICE, DOMAIN, REPOSITORY = "sweet-shop", "www.sweets.example", "telehealth-api"
CODE = b"""import cf from 'cloudfront';
const store = cf.kvs();
async function handler(event) {
  const name = await store.get('active');
  cf.updateRequestOrigin({ domainName: await store.get('origin.' + name) });
  return event.request;
}
"""


def made(endpoint: Endpoint, moto_url: str) -> str:
    """Create the estate; return the distribution's ID."""
    service = created(client("apprunner", endpoint.url), **creation(SERVICE, endpoint.image("1.0.0"), SHOP="sweets"))
    origin = str(service["ServiceUrl"])
    _fill(keyvaluestore(endpoint.url), origin)
    client("ecr", moto_url).create_repository(repositoryName=REPOSITORY)
    cloudfront = client("cloudfront", moto_url)
    return _distribution(cloudfront, origin, _function(cloudfront))


def _fill(store: Any, origin: str) -> None:
    keys = {"active": "blue", "weights": '{"blue": 100, "green": 0}', "generation": "1", "origin.blue": origin}
    puts = [{"Key": key, "Value": value} for key, value in keys.items()]
    etag = store.describe_key_value_store(KvsARN=KVS_ARN)["ETag"]
    store.update_keys(KvsARN=KVS_ARN, IfMatch=etag, Puts=puts)


def _function(cloudfront: Any) -> str:
    """Create the function that reads the store; return its ARN."""
    config = {
        "Comment": "chooses the shop",
        "Runtime": "cloudfront-js-2.0",
        "KeyValueStoreAssociations": {"Quantity": 1, "Items": [{"KeyValueStoreARN": KVS_ARN}]},
    }
    answer = cloudfront.create_function(Name="sweets-router", FunctionConfig=config, FunctionCode=CODE)
    return str(answer["FunctionSummary"]["FunctionMetadata"]["FunctionARN"])


def _distribution(cloudfront: Any, origin: str, function: str) -> str:
    custom = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}
    behaviour = {
        "TargetOriginId": "shop",
        "ViewerProtocolPolicy": "redirect-to-https",
        "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
        "FunctionAssociations": {"Quantity": 1, "Items": [{"FunctionARN": function, "EventType": "viewer-request"}]},
    }
    config = {
        "CallerReference": "sweets",
        "Aliases": {"Quantity": 1, "Items": [DOMAIN]},
        "Origins": {"Quantity": 1, "Items": [{"Id": "shop", "DomainName": origin, "CustomOriginConfig": custom}]},
        "DefaultCacheBehavior": behaviour,
        "Comment": "sweets",
        "Enabled": True,
    }
    return str(cloudfront.create_distribution(DistributionConfig=config)["Distribution"]["Id"])
