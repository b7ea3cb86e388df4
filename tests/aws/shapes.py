"""The check that requests to a fake, and its answers, fit botocore's model: a fake has no field that AWS does not have."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator


@cache
def _model(service: str) -> ServiceModel:
    return botocore.session.Session(session_vars={"profile": (None, None, None, None)}).get_service_model(service)


def checked(service: str, operation: str, given: Mapping[str, Any], answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer if request and answer fit the operation. Raises AssertionError that names the misfit."""
    model = _model(service).operation_model(operation)
    _fits(f"{service} {operation}", given, model.input_shape)
    _fits(f"the fake's answer to {service} {operation}", answer, model.output_shape)
    return answer


def _fits(what: str, value: Mapping[str, Any], shape: Shape | None) -> None:
    if shape is None:
        assert not value, f"{what} takes nothing"
        return
    report = ParamValidator().validate(value, shape)
    assert not report.has_errors(), f"{what}: {report.generate_report()}"
