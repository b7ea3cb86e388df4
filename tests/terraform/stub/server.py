"""A provider that has only a schema, so that Terraform's real core can plan and apply without AWS.

It serves plugin protocol 6 in a thread of this process; TF_REATTACH_PROVIDERS names its socket, and the core installs nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import msgpack
from tf.gen import grpc_controller_pb2_grpc, grpc_stdio_pb2_grpc, tfplugin_pb2_grpc
from tf.gen import tfplugin_pb2 as pb

from tests.terraform.stub import policies, values
from tests.terraform.stub.schemas import Block, Provider

UNKNOWN = msgpack.ExtType(0, b"\x00")
_NESTING = {"single": "SINGLE", "list": "LIST", "set": "SET"}
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
# The attributes that the real provider hides on the screen and in plans; the bindings do not mark them.
_SENSITIVE = {"random_password": {"result", "bcrypt_hash"}, "aws_secretsmanager_secret_version": {"secret_string"}}

Fill = Callable[[str, list[Any], Any], Any]
"""A function from (attribute's name, its flags and type, its value) to the new value."""


class Stub:
    """A server of one provider, from ``start`` to ``stop``."""

    def __init__(self, provider: Provider, folder: Path) -> None:
        self.provider = provider
        self._socket = folder / provider.name
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=_UNLIMITED)
        tfplugin_pb2_grpc.add_ProviderServicer_to_server(_Provider(provider), self._server)
        grpc_controller_pb2_grpc.add_GRPCControllerServicer_to_server(_Controller(), self._server)
        grpc_stdio_pb2_grpc.add_GRPCStdioServicer_to_server(_Stdio(), self._server)
        self._server.add_insecure_port(f"unix:{self._socket}")

    def start(self) -> None:
        """Start answering."""
        self._server.start()

    def stop(self) -> None:
        """Stop answering."""
        self._server.stop(None).wait(5)

    def reattach(self) -> Mapping[str, Any]:
        """Return this provider's entry in TF_REATTACH_PROVIDERS."""
        where = {"Network": "unix", "String": str(self._socket)}
        return {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True, "Addr": where}


class _Provider(tfplugin_pb2_grpc.ProviderServicer):  # type: ignore[misc]  # generated, without types
    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._schema = _schema(provider)

    def GetMetadata(self, _request: Any, context: Any) -> None:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "GetProviderSchema returns everything")

    def GetProviderSchema(self, _request: Any, _context: Any) -> Any:
        return self._schema

    def ValidateProviderConfig(self, _request: Any, _context: Any) -> Any:
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, _request: Any, _context: Any) -> Any:
        return pb.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, _request: Any, _context: Any) -> Any:
        return pb.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, _request: Any, _context: Any) -> Any:
        return pb.ConfigureProvider.Response()

    def UpgradeResourceState(self, request: Any, _context: Any) -> Any:
        return pb.UpgradeResourceState.Response(upgraded_state=pb.DynamicValue(json=request.raw_state.json))

    def ReadResource(self, request: Any, _context: Any) -> Any:
        return pb.ReadResource.Response(new_state=request.current_state, private=request.private)

    def PlanResourceChange(self, request: Any, _context: Any) -> Any:
        prior, new = _decode(request.prior_state), _decode(request.proposed_new_state)
        if new is not None and prior is None:
            new = _fill(
                self._provider.resources[request.type_name],
                new,
                lambda _name, known, value: UNKNOWN if value is None and "c" in known[0] else value,
            )
            if request.type_name == "aws_acm_certificate":
                new["domain_validation_options"] = _proofs(new)
        return pb.PlanResourceChange.Response(
            planned_state=_encode(new), planned_private=request.prior_private, legacy_type_system=True
        )

    def ApplyResourceChange(self, request: Any, _context: Any) -> Any:
        kind, new = request.type_name, _decode(request.planned_state)
        if new is not None:
            name = values.name_of(_decode(request.config) or {})
            new = _fill(
                self._provider.resources[kind], new, lambda key, known, v: _settle(known[1], key, v, kind, name)
            )
        return pb.ApplyResourceChange.Response(
            new_state=_encode(new), private=request.planned_private, legacy_type_system=True
        )

    def ReadDataSource(self, request: Any, _context: Any) -> Any:
        kind, config = request.type_name, _decode(request.config)
        known = dict(values.DATA.get(kind, {}))
        if kind == "aws_iam_policy_document":
            known["json"] = json.dumps(policies.render(config), indent=2)

        def fill(name: str, attribute: list[Any], value: Any) -> Any:
            if value is not None or "c" not in attribute[0]:
                return value
            return known.get(name, values.computed(attribute[1], name, kind, ""))

        return pb.ReadDataSource.Response(state=_encode(_fill(self._provider.data[kind], config, fill)))

    def GetFunctions(self, _request: Any, _context: Any) -> Any:
        return pb.GetFunctions.Response()

    def StopProvider(self, _request: Any, _context: Any) -> Any:
        return pb.StopProvider.Response()


class _Controller(grpc_controller_pb2_grpc.GRPCControllerServicer):  # type: ignore[misc]  # generated, without types
    """Serves no call: the core does not stop a provider that it did not start."""


class _Stdio(grpc_stdio_pb2_grpc.GRPCStdioServicer):  # type: ignore[misc]  # generated, without types
    def StreamStdio(self, _request: Any, _context: Any) -> Any:
        return iter(())


def _schema(provider: Provider) -> Any:
    answer = pb.GetProviderSchema.Response()
    answer.provider.CopyFrom(pb.Schema(version=0, block=_block(provider.configuration)))
    for name, block in provider.resources.items():
        answer.resource_schemas[name].CopyFrom(pb.Schema(version=0, block=_block(block, _SENSITIVE.get(name, set()))))
    for name, block in provider.data.items():
        answer.data_source_schemas[name].CopyFrom(pb.Schema(version=0, block=_block(block)))
    answer.server_capabilities.CopyFrom(pb.ServerCapabilities(plan_destroy=False))
    return answer


def _block(block: Block, sensitive: set[str] = frozenset(), top: bool = True) -> Any:  # type: ignore[assignment]  # never changed
    made = pb.Schema.Block()
    for name, (flags, shape, *_) in sorted(block["a"].items()):
        # The core forbids "dynamic" in blocks that are sets.
        text = json.dumps(shape) if top else json.dumps(shape).replace('"dynamic"', '"string"')
        made.attributes.add(
            name=name,
            type=text.encode(),
            required="r" in flags,
            optional="o" in flags,
            computed="c" in flags,
            sensitive=name in sensitive,
        )
    for name, (nesting, least, most, inner) in sorted(block["b"].items()):
        single = nesting == "single"
        made.block_types.add(
            type_name=name,
            block=_block(inner, top=False),
            nesting=getattr(pb.Schema.NestedBlock, _NESTING[nesting]),
            min_items=0 if single else least,
            max_items=0 if single else most,
        )
    return made


def _fill(block: Block, value: Any, fill: Fill) -> Any:
    """Return the value with ``fill`` applied to each attribute of the block and of its nested blocks."""
    if not isinstance(value, dict):
        return value
    for name, attribute in block["a"].items():
        value[name] = fill(name, attribute, value.get(name))
    for name, (_nesting, _least, _most, inner) in block["b"].items():
        found = value.get(name)
        if isinstance(found, list):
            value[name] = [_fill(inner, one, fill) for one in found]
        elif isinstance(found, dict):
            value[name] = _fill(inner, found, fill)
    return value


def _settle(shape: Any, attribute: str, value: Any, kind: str, name: str) -> Any:
    """Return the value with unknown parts replaced by known ones, also in collections."""
    if isinstance(value, msgpack.ExtType):
        return values.computed(shape, attribute, kind, name)
    if isinstance(value, list) and shape[0] in ("list", "set"):
        return [_settle(shape[1], attribute, one, kind, name) for one in value]
    if isinstance(value, dict) and isinstance(shape, list):
        inner = shape[1]
        return {
            key: _settle(inner if shape[0] == "map" else inner.get(key, "string"), key, one, kind, name)
            for key, one in value.items()
        }
    return value


def _proofs(certificate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a certificate's validation options, whose domains the real provider knows when it plans."""
    others = certificate.get("subject_alternative_names")
    names = [certificate["domain_name"], *(others if isinstance(others, list) else ())]
    unknown = ("resource_record_name", "resource_record_type", "resource_record_value")
    return [{"domain_name": name, **dict.fromkeys(unknown, UNKNOWN)} for name in dict.fromkeys(names)]


def _decode(value: Any) -> Any:
    if not value.msgpack:
        return None
    return msgpack.unpackb(value.msgpack, raw=False, strict_map_key=False, ext_hook=msgpack.ExtType)


def _encode(value: Any) -> Any:
    return pb.DynamicValue(msgpack=msgpack.packb(value, use_bin_type=True))
