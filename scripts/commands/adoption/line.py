"""The command line of `adopt`; it imports what it needs when it runs, so that other commands start at once."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployment.errors import Refused
from deployment.files import read_toml
from deployment.settings import address_problem
from scripts.commands.checks.line import Tools

if TYPE_CHECKING:
    from scripts.commands.adoption.model import Given

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_NAME = re.compile(r"[A-Za-z0-9_-]+")


@click.command(short_help="Write the settings of an estate that exists already.")
@click.option("--environment", required=True, metavar="NAME", help="Name of the environment in deployment.toml.")
@click.option("--cluster", metavar="CLUSTER", help="ECS cluster of the service.")
@click.option("--service", metavar="NAME", help="ECS service behind a load balancer.")
@click.option("--app-runner-service", metavar="NAME", help="App Runner service, instead of one on ECS.")
@click.option("--region", metavar="REGION", help="Region of the service.")
@click.option("--profile", metavar="NAME", help="Profile of your AWS files (default: the environment's own keys).")
@click.option("--live-url", metavar="URL", help="URL of the live domain, if no rule names its host.")
@click.option("--rule", metavar="ARN", help="Rule or listener to switch, if several forward to the service.")
@click.option("--distribution", metavar="ID", help="CloudFront distribution, if several lead to the service.")
@click.option("--second-service", metavar="NAME", help="Name of the second service (default: the other colour's).")
@click.option("--test-ports", type=(int, int), default=(8443, 8444), show_default=True, metavar="BLUE GREEN",
              help="Ports of the load balancer for tests.")  # fmt: skip
@click.option("--repository", metavar="NAME", help="ECR repository (default: that of the running image).")
@click.option("--lease-table", metavar="NAME", help="DynamoDB table of the lock, if one exists.")
@click.option("--smoke-users-secret", metavar="NAME", help="Secret with the smoke users, if one exists.")
@click.option("--signing-key-secret", metavar="NAME", help="Secret with the signing key, if one exists.")
@click.option("--signing-public-key-secret", metavar="NAME", help="Secret with that key's public half, if one exists.")
@click.option("--terraform", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="New file for the Terraform (default: print it).")  # fmt: skip
@click.option("--replace", is_flag=True, help="Change the environment's table if it has other values.")
@click.pass_obj
def adopt(tools: Tools, /, environment: str, terraform: Path | None, replace: bool, **options: Any) -> None:
    """Write the settings of an estate that exists already, and print what it lacks.

    Reads an ECS service with its load balancer, or an App Runner service with its
    CloudFront distribution. Changes nothing on AWS. The Terraform for the missing
    parts uses the framework's modules one by one.

    Exit code 0 if nothing is missing, 1 if something is, 4 if the estate or the
    options cannot be used.
    """
    from infrastructure.aws.session import Connection, clients_for
    from scripts.commands.adoption import adopt as command
    from scripts.commands.adoption.model import Request

    service, cluster = _service(options)
    if not _NAME.fullmatch(environment):
        raise Refused(f"--environment {environment!r} must consist of letters, digits, - and _")
    options["live_url"] = _live_url(options["live_url"])
    _check_ports(*options["test_ports"])
    settings_file = tools.project().settings_file
    region, profile = command.values_of(_parsed(settings_file), environment)
    region, profile = options["region"] or region, options["profile"] or profile
    if region is None or not _REGION.fullmatch(region):
        found = "no region is given" if region is None else f"--region {region!r} is not a region"
        raise Refused(
            f"{found}, and AWS_REGION selects no estate", hint="Expected a region, such as --region us-east-1."
        )
    clients = clients_for(Connection(region, "", profile))
    account = command.account_of(clients)
    request = Request(environment, service, cluster, account, region, _given(options))
    sys.exit(command.adopt(clients, request, command.Places(settings_file, terraform, replace)))


def _service(options: dict[str, Any]) -> tuple[str, str | None]:
    """Return service and cluster; no cluster on App Runner. Raises Refused for options that name no estate, or two."""
    on_ecs = [name for name in ("cluster", "service") if options[name]]
    for name in ("cluster", "service", "app_runner_service", "second_service"):
        plain = str(options[name] or "x").rpartition("/")[2] if name == "cluster" else options[name] or "x"
        if not _NAME.fullmatch(plain):
            raise Refused(
                f"--{name.replace('_', '-')} {options[name]!r} is not a name on AWS",
                hint="Expected letters, digits, - and _, such as --cluster main --service api.",
            )
    if options["app_runner_service"] and not on_ecs:
        return str(options["app_runner_service"]), None
    if len(on_ecs) == 2 and not options["app_runner_service"]:
        return str(options["service"]), str(options["cluster"])
    raise Refused(
        "adopt needs one service: --cluster with --service, or --app-runner-service",
        hint="Such as: python scripts/deploy.py adopt --environment production --region us-east-1 --cluster main --service api",
    )


def _check_ports(blue: int, green: int) -> None:
    """Raise Refused unless the ports are two different ones."""
    if blue == green or not {blue, green} <= set(range(1, 65536)):
        raise Refused(
            f"--test-ports {blue} {green} are not two different ports",
            hint="Expected two numbers from 1 to 65535, such as --test-ports 8443 8444.",
        )


def _live_url(url: str | None) -> str | None:
    """Return the URL without a slash at its end. Raises Refused unless the settings may name it."""
    url = url and url.removesuffix("/")
    if url is not None and (problem := address_problem(url)) is not None:
        raise Refused(f"--live-url {problem}", hint="Expected a URL without a path, such as https://api.example.com.")
    return url


def _given(options: dict[str, Any]) -> Given:
    from scripts.commands.adoption.model import Given

    return Given(**{name: options[name] for name in Given.__dataclass_fields__})


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read: {error}") from None


COMMANDS = (adopt,)
