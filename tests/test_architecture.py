"""The rules of ARCHITECTURE.md: imports run one way, files stay small, and the adapters name no address."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("conftest.py", "suites", "plugins", "deployment", "verification", "infrastructure", "scripts", "benchmarks")
OURS = {"suites", "plugins", "deployment", "verification", "infrastructure", "scripts", "benchmarks", "tests"}
IMAGES = ROOT / "infrastructure" / "embedded" / "registry"  # releases: separate programs, not part of the framework
MOST_LINES = 400
HTTP = {"httpx", "requests", "urllib3", "aiohttp", "urllib.request", "http.client", "http.server"}

# Package -> the project's modules that it may import. The first entry that a module's name begins with applies.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "infrastructure.aws": ("infrastructure.aws", "deployment.ports", "deployment.model", "deployment.errors"),
    "infrastructure.embedded": ("infrastructure.embedded",),
    "infrastructure.compose": ("infrastructure", "deployment", "verification"),
    "infrastructure.estate": ("infrastructure.aws.session", "deployment"),
    "infrastructure.front_door": ("deployment", "verification"),
    "infrastructure.live_domain": ("deployment", "verification"),
    "infrastructure": (),
    "deployment": ("deployment",),
    "verification": ("verification",),
    "plugins": ("plugins", "deployment", "verification", "infrastructure.compose"),
    "suites": ("suites", "plugins", "verification"),
    "scripts": ("scripts", "plugins", "deployment", "verification", "infrastructure"),
    "benchmarks": ("benchmarks", "scripts", "plugins", "deployment", "verification", "infrastructure", "tests"),
    "conftest": ("plugins",),
}
MUST_NOT_KNOW: dict[str, set[str]] = {
    "deployment": {"pytest", "_pytest", "xdist", "boto3", "botocore", *HTTP},
    "verification": {"boto3", "botocore"},
    "infrastructure.aws": {"pytest", "_pytest", *HTTP},
}


def files() -> list[Path]:
    found = [path for name in PACKAGES for path in (sorted((ROOT / name).rglob("*.py")) or [ROOT / name])]
    return [path for path in found if path.is_file() and IMAGES not in path.parents and "__pycache__" not in path.parts]


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, at any place; ``from a import b`` is ``a.b`` if that is a module."""
    package = module(path).split(".") if path.name == "__init__.py" else module(path).split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{name}.{alias.name}"
                yield full if full.split(".")[0] not in OURS or _exists(full) else name


def _exists(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or place.is_dir()


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def back_edges(path: Path) -> list[str]:
    """Return the imports of a file that MAY_IMPORT and MUST_NOT_KNOW forbid."""
    own = module(path)
    package = next(package for package in MAY_IMPORT if within(own, package))
    wrong = []
    for name in imports(path):
        if name.split(".")[0] in OURS:
            if not any(within(name, allowed) for allowed in MAY_IMPORT[package]):
                wrong.append(f"{own} imports {name}")
        elif any(within(name, foreign) for foreign in MUST_NOT_KNOW.get(package, ())):
            wrong.append(f"{own} knows {name}")
    return wrong


def test_imports_run_one_way() -> None:
    seen = files()
    assert len(seen) > 60, "too few files were found"
    assert [edge for path in seen for edge in back_edges(path)] == []


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("deployment/x.py", "import pytest"),
        ("deployment/x.py", "import boto3"),
        ("deployment/x.py", "from urllib import request"),
        ("deployment/x.py", "from infrastructure import compose"),
        ("deployment/x.py", "from plugins.state import State"),
        ("verification/x.py", "from deployment.model import Colour"),
        ("infrastructure/aws/x.py", "from deployment.machine import Machine"),
        ("infrastructure/aws/x.py", "from infrastructure.embedded import cloud"),
        ("infrastructure/aws/x.py", "from ..embedded import cloud"),
        ("infrastructure/embedded/x.py", "from deployment.model import Colour"),
        ("infrastructure/embedded/x.py", "def f():\n    import verification.http"),
        ("plugins/x.py", "from infrastructure.aws.dynamodb import DynamoLease"),
        ("plugins/x.py", "from infrastructure import front_door"),
        ("suites/health/x.py", "from deployment.model import Colour"),
        ("suites/health/x.py", "from infrastructure import compose"),
        ("infrastructure/front_door.py", "from infrastructure.aws import session"),
        ("infrastructure/new.py", "from infrastructure.aws import session"),
    ],
)
def test_a_back_edge_is_found(place: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(
        globals(), "_exists", lambda name: (Path(__file__).parents[1] / name.replace(".", "/")).exists()
    )
    assert len(back_edges(path)) == 1


@pytest.mark.parametrize("folder", [*PACKAGES[1:], "tests"])
def test_files_stay_small(folder: str) -> None:
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert sizes
    assert {str(path.relative_to(ROOT)): size for path, size in sizes.items() if size >= MOST_LINES} == {}


@pytest.mark.parametrize("path", sorted((ROOT / "infrastructure" / "aws").rglob("*.py")), ids=lambda path: path.stem)
def test_adapters_name_no_address(path: Path) -> None:
    words = r"embedded|loopback|localhost|127\.0\.0\.1|::1\b|0\.0\.0\.0|(?<!\[):\d{2,5}\b(?!:)"
    code = path.read_text(encoding="utf-8")
    assert re.findall(words, code, re.IGNORECASE) == []
