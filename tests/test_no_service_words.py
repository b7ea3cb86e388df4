"""The framework knows no service: no word of a contract or description in the tree occurs in its code, texts and schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FRAMEWORK = ("plugins", "deployment", "verification", "infrastructure", "scripts")
# Images of example services, and the estate, whose names their owner chooses.
ELSEWHERE = ("infrastructure/embedded/registry", "infrastructure/terraform")
KINDS = (".py", ".json", ".toml", ".yaml", ".yml", ".txt", ".js", ".html", ".css")
DESCRIPTIONS = [ROOT / "suites", *sorted((ROOT / "examples").glob("*/suites"))]
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

# Words that any service could use, or that are the framework's own: the gates, HTTP's and JSON's terms, fields of AWS's APIs.
COMMON = frozenset(
    [
        "access_token",
        "anything",
        "api",
        "args",
        "auth",
        "code",
        "created_at",
        "credentials",
        "data",
        "database",
        "detail",
        "echo",
        "email",
        "event",
        "expires_in",
        "get",
        "health",
        "headers",
        "id",
        "items",
        "json",
        "login",
        "logout",
        "method",
        "name",
        "origin",
        "password",
        "problem",
        "reason",
        "redis",
        "status",
        "title",
        "token",
        "token_type",
        "type",
        "up",
        "url",
        "uuid",
        "version",
        "web",
    ]
)
# Words that stay, each with the reason.
EXCEPTIONS = {
    "telehealth": ("infrastructure/embedded/images.py", "infrastructure/aws/registry/images.py"),
}
"""``com.telehealth.migration`` is the annotation of images that exist: another name would make an irreversible release reversible."""


def words_of(suites: Path) -> set[str]:
    """Return the words of a service: its name, paths, operation ids, schemas and fields of its contract, its journeys' fields."""
    described = yaml.safe_load((suites / "service.yaml").read_text(encoding="utf-8"))
    words = set(re.findall(r"[a-z]+", described["service"]))
    words.update(re.findall(r"[A-Za-z_]+", " ".join(_paths(described))))
    if "contract" in described:
        contract = yaml.safe_load((suites / described["contract"]).read_text(encoding="utf-8"))
        words.update(re.findall(r"[A-Za-z_]+", " ".join(contract["paths"])))
        words.update(contract.get("components", {}).get("schemas", {}))
        words.update(_fields(contract))
        operations = [one for item in contract["paths"].values() for key, one in item.items() if key in METHODS]
        words.update(one["operationId"] for one in operations if "operationId" in one)
    return {word for word in words if len(word) > 1 and not {word.lower(), word.lower().removesuffix("s")} & COMMON}


def _paths(value: Any) -> Iterator[str]:
    """Yield the paths of all requests, without placeholders and queries."""
    if isinstance(value, dict):
        request = value.get("request")
        path = request.partition(" ")[2] if isinstance(request, str) else (request or {}).get("path", "")
        yield re.sub(r"\$\{[^}]*\}", " ", path.partition("?")[0])
        for inner in value.values():
            yield from _paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner)


def _fields(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("properties"), dict):
            yield from value["properties"]
        for inner in value.values():
            yield from _fields(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner)


def framework_files() -> list[Path]:
    found = [path for folder in FRAMEWORK for path in sorted((ROOT / folder).rglob("*")) if path.suffix in KINDS]
    return [path for path in found if not path.relative_to(ROOT).as_posix().startswith(ELSEWHERE)]


def occurrences(words: set[str], files: list[Path], root: Path) -> list[str]:
    """Return where the words occur, in any case, with or without a plural's s, and within names such as ``readOrder``."""
    parts = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    pattern = re.compile(rf"(?<![A-Za-z])(?:{parts})s?(?![A-Za-z])", re.IGNORECASE)
    found = []
    for path in files:
        name = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for word in pattern.findall(line):
                if name not in EXCEPTIONS.get(word.lower(), ()):
                    found.append(f"{name}:{number}: {word}")
    return found


@pytest.mark.parametrize("suites", DESCRIPTIONS, ids=lambda path: path.parent.name)
def test_the_framework_has_no_word_of_a_service(suites: Path) -> None:
    words, files = words_of(suites), framework_files()
    assert words
    assert len(files) > 200
    assert occurrences(words, files, ROOT) == []


def test_a_word_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text('ask("GET", "/consults")\ninconsultable = createConsult\nCONSULT_ID = 1\n')
    words = {"consult", "createConsult"}
    assert [one.partition(": ")[2] for one in occurrences(words, [path], tmp_path)] == [
        "consults",
        "createConsult",
        "CONSULT",
    ]
    assert {"telehealth", "consults", "createConsult", "ConsultPage", "next_cursor", "patient"} <= words_of(
        ROOT / "suites"
    )
