"""The Terraform that `adopt` prints: calls of the framework's modules, as `terraform fmt` would format them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployment.project import FRAMEWORK

MODULES = FRAMEWORK / "infrastructure" / "terraform" / "modules"


@dataclass(frozen=True)
class Expression:
    """An expression of Terraform's language, such as ``module.green_target_group.arn``; printed as it is."""

    text: str


@dataclass(frozen=True)
class Module:
    """A call of a module: ``label`` is its own name, ``module`` the folder of the module."""

    label: str
    module: str
    arguments: Mapping[str, Any]

    def output(self, name: str) -> Expression:
        """Return a reference to one of its outputs."""
        return Expression(f"module.{self.label}.{name}")


@dataclass(frozen=True)
class Variable:
    """A value that only a person knows."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class Configuration:
    """A whole configuration for a folder and a state of its own."""

    account: str
    region: str
    modules: Sequence[Module]
    variables: Sequence[Variable] = field(default_factory=tuple)


def render(configuration: Configuration, folder: Path) -> str:
    """Return the text of the configuration; ``folder`` is its place, from which the modules are named."""
    head = {"region": configuration.region, "allowed_account_ids": [configuration.account]}
    required = '    aws = {\n      source  = "hashicorp/aws"\n      version = "~> 6.19"\n    }\n'
    blocks = [
        f"terraform {{\n  required_providers {{\n{required}  }}\n}}\n",
        _block('provider "aws"', head),
        *(_block(f'variable "{one.name}"', _declared(one)) for one in configuration.variables),
        *(_block(f'module "{one.label}"', one.arguments, _source(one, folder)) for one in configuration.modules),
    ]
    return "\n".join(blocks)


def _declared(variable: Variable) -> Mapping[str, Any]:
    return {"description": variable.description, "type": Expression(variable.type)}


def _source(module: Module, folder: Path) -> str:
    path = os.path.relpath(MODULES / module.module, folder.absolute())
    return f"  source = {_value(path if path.startswith('..') else f'./{path}')}\n\n"


def _block(head: str, arguments: Mapping[str, Any], first: str = "") -> str:
    width = max(map(len, arguments), default=0)
    lines = "".join(f"  {name.ljust(width)} = {_value(value)}\n" for name, value in arguments.items())
    return f"{head} {{\n{first}{lines}}}\n"


def _value(value: Any) -> str:
    if isinstance(value, Expression):
        return value.text
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {_value(inner)}' for name, inner in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        # Terraform would replace what it takes for a template.
        return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
    return json.dumps(value)
