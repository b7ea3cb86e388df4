"""OpenAPI documents as people write them, with the right judgement of an answer: ``contract_cases.yaml``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from verification.contract import Contract, ContractViolation

CASES_FILE = Path(__file__).with_name("contract_cases.yaml")
CASES = yaml.load(CASES_FILE.read_bytes(), yaml.CSafeLoader)  # in C: ten times as fast


def document(case: dict[str, Any]) -> str:
    if "document" in case:
        return str(case["document"])
    head = {"openapi": case.get("openapi", "3.1.0"), "info": {"title": "t", "version": "1"}}
    paths = {"/p": {"get": {"responses": case["responses"]}}}
    return json.dumps(
        {**head, "paths": paths, "components": case.get("components", {}), **case.get("fields", {})}, ensure_ascii=False
    )


def answer(case: dict[str, Any]) -> httpx.Response:
    method, url = case["request"].split(" ", 1)
    headers = dict(case.get("headers", {}))
    if "content_type" in case:
        headers["content-type"] = case["content_type"]
    content = json.dumps(case["json"]).encode() if "json" in case else case.get("raw", "").encode("latin-1")
    if "deep" in case:
        content = b"[" * case["deep"] + b"]" * case["deep"]
    return httpx.Response(case["status"], headers=headers, content=content, request=httpx.Request(method, url))


def written(case: dict[str, Any], folder: Path) -> Path:
    path = folder / "c.yaml"
    path.write_text(document(case), encoding="utf-8")
    for name, text in case.get("files", {}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return path


def judged(path: Path, response: httpx.Response) -> tuple[str, str]:
    try:
        contract = Contract.load(path)
    except ValueError as error:
        return "refused", str(error)
    try:
        contract.check(response)
    except ContractViolation as violation:
        return "violates", str(violation)
    return "fits", ""


def test_no_case_is_lost() -> None:
    names = [case["name"] for case in CASES]
    assert len(names) == len(set(names)) >= 200


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_right_judgement(tmp_path: Path, case: dict[str, Any]) -> None:
    verdict, text = judged(written(case, tmp_path), answer(case))
    assert verdict == case["verdict"], text
    assert [words for words in case.get("says", ()) if words not in text] == [], text
