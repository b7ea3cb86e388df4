"""The structure in ARCHITECTURE.md: imports run one way, files and packages stay small, and adapters name no machine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("conftest.py", "suites", "plugins", "deployment", "verification", "infrastructure", "scripts", "benchmarks")
OURS = {"suites", "plugins", "deployment", "verification", "infrastructure", "scripts", "benchmarks", "tests"}
IMAGES = ROOT / "infrastructure" / "embedded" / "registry"  # releases: programs of their own, not part of the framework
MOST_LINES = 500
MOST_PARAMETERS = 6
MOST_MODULES = 14
HTTP = {"httpx", "requests", "urllib3", "aiohttp", "urllib.request", "http.client", "http.server"}

# Package -> the modules of the project that it may import. The first entry that a module's name begins with applies.
DEPLOYMENT_ROOT = tuple(
    f"deployment.{name}"
    for name in (
        "access",
        "clock",
        "errors",
        "events",
        "files",
        "model",
        "phases",
        "plan",
        "polling",
        "ports",
        "project",
        "releases",
        "settings",
        "strategy",
    )
)
PLUGINS_ROOT = tuple(
    f"plugins.{name}"
    for name in ("measurement", "options", "page", "recorder", "signals", "slow_answers", "stages", "state", "traffic")
)
VERIFICATION_BASE = ("verification.http", "verification.redaction", "verification.statistics")
VERIFICATION_JOURNEYS = (*VERIFICATION_BASE, "verification.journeys")
OUTSIDE_PLUGINS = ("deployment", "verification", "infrastructure.compose", "infrastructure.description")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "infrastructure.aws": ("infrastructure.aws", "deployment.ports", "deployment.model", "deployment.errors"),
    "infrastructure.embedded": ("infrastructure.embedded",),
    "infrastructure.compose": ("infrastructure", "deployment", "verification"),
    "infrastructure.description": ("infrastructure.embedded.layout", "deployment", "verification"),
    "infrastructure.audit_folder": ("deployment.ports", "deployment.model", "deployment.errors"),
    "infrastructure.estate": (
        "infrastructure.audit_folder",
        "infrastructure.aws.session",
        "infrastructure.aws.drain",
        "deployment",
    ),
    "infrastructure.front_door": ("deployment", "verification"),
    "infrastructure.journey_data": ("deployment", "verification", "infrastructure.front_door"),
    "infrastructure.colour_addresses": ("deployment", "verification"),
    "infrastructure.live_domain": ("deployment", "verification"),
    "infrastructure.named_secrets": ("deployment", "verification"),
    "infrastructure.secret_values": ("infrastructure.estate", "deployment", "verification"),
    "infrastructure.stopping": (
        "infrastructure.compose",
        "infrastructure.aws",
        "infrastructure.embedded",
        "deployment",
    ),
    "infrastructure": (),
    "deployment.evidence": (*DEPLOYMENT_ROOT, "deployment.evidence"),
    "deployment.preflight": (*DEPLOYMENT_ROOT, "deployment.evidence", "deployment.preflight"),
    "deployment.flow": (*DEPLOYMENT_ROOT, "deployment.evidence", "deployment.flow"),
    "deployment.recovery": (*DEPLOYMENT_ROOT, "deployment.evidence", "deployment.flow", "deployment.recovery"),
    "deployment": DEPLOYMENT_ROOT,
    "verification.redaction": ("verification.redaction",),
    "verification.http": ("verification.http", "verification.redaction"),
    "verification.contract": ("verification.contract", *VERIFICATION_BASE),
    "verification.journeys": ("verification.journeys", *VERIFICATION_BASE),
    "verification.stores": ("verification.stores",),
    "verification.declarative": ("verification.declarative", "verification.contract", *VERIFICATION_JOURNEYS),
    "verification.prober": ("verification.prober", *VERIFICATION_JOURNEYS),
    "verification.watch": ("verification.watch", "verification.prober", "verification.statistics"),
    "verification.latency": ("verification.latency", *VERIFICATION_JOURNEYS),
    "verification.load": ("verification.load", "verification.latency", *VERIFICATION_JOURNEYS),
    "verification.history": ("verification.history", "verification.statistics"),
    "verification": (),
    "plugins.described": (*OUTSIDE_PLUGINS, *PLUGINS_ROOT, "plugins.run", "plugins.fixtures", "plugins.described"),
    "plugins.integrity": (*OUTSIDE_PLUGINS, *PLUGINS_ROOT, "plugins.described.checks", "plugins.integrity"),
    "plugins.modes": (
        *OUTSIDE_PLUGINS,
        *PLUGINS_ROOT,
        "plugins.described.absent",
        "plugins.integrity",
        "plugins.modes",
    ),
    "plugins.scheduling": (*OUTSIDE_PLUGINS, *PLUGINS_ROOT, "plugins.integrity", "plugins.modes", "plugins.scheduling"),
    "plugins.terminal": (*OUTSIDE_PLUGINS, *PLUGINS_ROOT, "plugins.integrity", "plugins.modes", "plugins.terminal"),
    "plugins.run": (*OUTSIDE_PLUGINS, "plugins"),
    "plugins.fixtures": (*OUTSIDE_PLUGINS, *PLUGINS_ROOT, "plugins.run"),
    "plugins.declarative": (*OUTSIDE_PLUGINS, *PLUGINS_ROOT, "plugins.run", "plugins.fixtures", "plugins.declarative"),
    "plugins.streams": (*OUTSIDE_PLUGINS, *PLUGINS_ROOT, "plugins.run", "plugins.fixtures"),
    "plugins.reports": (*OUTSIDE_PLUGINS, *PLUGINS_ROOT, "plugins.modes", "plugins.run"),
    "plugins": (*OUTSIDE_PLUGINS, *PLUGINS_ROOT),
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


class Parsed(NamedTuple):
    """What the tests below ask of a file: its imports, its functions' names, lines and parameters, and its strings."""

    imports: list[ast.Import | ast.ImportFrom]
    functions: list[tuple[int, str, list[str], bool]]
    strings: list[str]


@cache
def parsed(path: Path) -> Parsed:
    """Read a file once for all tests; the tree itself is not kept, because the trees of all files are large."""
    found = Parsed([], [], [])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.imports.append(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.functions.append((node.lineno, node.name, parameters(node), is_for_pytest(node)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.strings.append(node.value)
    return found


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, at any place; ``from a import b`` is ``a.b`` if that is a module."""
    package = module(path).split(".") if path.name == "__init__.py" else module(path).split(".")[:-1]
    for node in parsed(path).imports:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
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
        ("deployment/x.py", "from deployment.flow.machine import Machine"),
        ("deployment/evidence/x.py", "from deployment.flow.steps import Steps"),
        ("deployment/flow/x.py", "from deployment.recovery.recover import recover"),
        ("deployment/preflight/x.py", "from deployment.flow import machine"),
        ("plugins/integrity/x.py", "from plugins.modes.coordinator import Coordinator"),
        ("plugins/modes/x.py", "from plugins.scheduling import serial"),
        ("plugins/x.py", "from plugins.run import suites_of"),
        ("verification/x.py", "from deployment.model import Colour"),
        ("verification/http/x.py", "from verification.contract.openapi import Contract"),
        ("verification/prober/x.py", "from verification.watch.watch import Watch"),
        ("verification/journeys/x.py", "from verification.load.model import LoadPlan"),
        ("infrastructure/aws/x.py", "from deployment.flow.machine import Machine"),
        ("infrastructure/aws/x.py", "from infrastructure.embedded import cloud"),
        ("infrastructure/aws/x.py", "from ..embedded import cloud"),
        ("infrastructure/embedded/x.py", "from deployment.model import Colour"),
        ("infrastructure/embedded/x.py", "def f():\n    import verification.http.client"),
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


def own_python_files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if IMAGES not in path.parents and "__pycache__" not in path.parts]


@pytest.mark.parametrize("folder", [*PACKAGES[1:], "tests"])
def test_files_stay_readable(folder: str) -> None:
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in own_python_files(folder)}
    assert sizes
    assert {str(path.relative_to(ROOT)): size for path, size in sizes.items() if size > MOST_LINES} == {}


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The names of a function's parameters, without ``self`` and ``cls``."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def is_for_pytest(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether pytest calls the function: then its parameters are fixtures, which no caller has to pass."""
    return function.name.startswith("test_") or any(
        ast.unparse(decorator).startswith(("pytest.fixture", "check(")) for decorator in function.decorator_list
    )


def too_many_parameters(path: Path) -> list[str]:
    return [
        f"{path.name}:{line} {name}({', '.join(given)})"
        for line, name, given, for_pytest in parsed(path).functions
        if len(given) > MOST_PARAMETERS and not for_pytest
    ]


# Rewritten together with the service description; these two go then.
KNOWN_LONG = {"open_client", "__init__"}


@pytest.mark.parametrize("folder", [*PACKAGES[1:], "tests"])
def test_functions_have_few_parameters(folder: str) -> None:
    found = [line for path in own_python_files(folder) for line in too_many_parameters(path)]
    if folder == "verification":
        found = [line for line in found if line.split()[1].partition("(")[0] not in KNOWN_LONG]
    assert found == []


def test_a_long_parameter_list_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        "def f(self, a, b, c, d, e, f): ...\ndef g(a, b, c, d, e, f, *, g): ...\ndef test_h(a, b, c, d, e, f, g): ...\n"
    )
    assert too_many_parameters(path) == ["x.py:2 g(a, b, c, d, e, f, g)"]


@pytest.mark.parametrize("folder", ["deployment", "plugins", "scripts", "infrastructure", "verification"])
def test_packages_stay_small(folder: str) -> None:
    modules: dict[str, int] = {}
    for path in own_python_files(folder):
        if path.name != "__init__.py":
            package = str(path.parent.relative_to(ROOT))
            modules[package] = modules.get(package, 0) + 1
    assert modules
    assert {package: count for package, count in modules.items() if count > MOST_MODULES} == {}


def test_every_package_says_what_it_holds() -> None:
    """The first line of ``__init__.py`` is what a newcomer reads first."""
    packages = [
        path
        for path in own_python_files("deployment", "plugins", "scripts", "infrastructure", "verification")
        if path.name == "__init__.py"
    ]
    silent = [
        str(path.relative_to(ROOT))
        for path in packages
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


@pytest.mark.parametrize("path", sorted((ROOT / "infrastructure" / "aws").rglob("*.py")), ids=lambda path: path.stem)
def test_adapters_name_no_address(path: Path) -> None:
    words = r"embedded|loopback|localhost|127\.0\.0\.1|::1\b|0\.0\.0\.0|(?<!\[):\d{2,5}\b(?!:)"
    code = path.read_text(encoding="utf-8")
    assert re.findall(words, code, re.IGNORECASE) == []


NAMED_MODULE = re.compile(
    r"(?:plugins|infrastructure|scripts|verification|deployment\.(?:evidence|flow|preflight|recovery))(?:\.\w+)+"
)


def named_modules(path: Path) -> list[str]:
    """The modules, and the attributes in them, that a file names in a string, for ``-m``, a lazy import or a patch."""
    return [text for text in parsed(path).strings if NAMED_MODULE.fullmatch(text)]


def resolves(name: str) -> bool:
    """Whether the name is a module of the project, or a name that stands in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        file = place.with_suffix(".py")
        if file.is_file():
            return (
                length == len(parts) or re.search(rf"\b{parts[length]}\b", file.read_text(encoding="utf-8")) is not None
            )
        if place.is_dir():
            return length == len(parts)
    return False


def test_modules_named_in_strings_exist() -> None:
    found = {name: path.name for path in own_python_files(*PACKAGES[1:], "tests") for name in named_modules(path)}
    assert len(found) > 10
    modules = {name: file for name, file in found.items() if not name.endswith(".json")}
    assert {name: file for name, file in modules.items() if not resolves(name)} == {}


# What finds a file by its own place finds a file of the framework. The project may be anywhere; deployment/project.py finds it.
OWN_PLACE = re.compile(r"__file__|Path\.cwd|getcwd|abspath|getfile|rootpath|rootdir")
PLACES = {
    "deployment/preflight/checklist.py": "its JSON Schema",
    "deployment/preflight/terraform_plan.py": "its JSON Schema",
    "deployment/project.py": "the framework's folder and version",
    "deployment/settings.py": "its JSON Schema",
    "infrastructure/embedded/layout.py": "the framework's folder, for its servers' processes",
    "plugins/declarative/collector.py": "the name of a check's file, as pytest shows it",
    "plugins/integrity/forgotten.py": "the names of the framework's fixtures",
    "plugins/integrity/hook_guard.py": "whether a hook belongs to the framework",
    "plugins/options.py": "pytest's folder is the project",
    "plugins/page/rendering.py": "the report's templates",
    "scripts/commands/init.py": "the templates of a project's files",
    "scripts/deploy.py": "the framework's import path, and where to search for the project",
    "verification/declarative/check_schema.py": "its JSON Schema",
    "verification/declarative/service.py": "its JSON Schema",
    "verification/load/processes.py": "the framework's folder, for Locust's processes",
    "verification/prober/prober.py": "the framework's folder, for the prober's process",
}


def test_only_one_function_finds_the_project() -> None:
    """A module that used its own place for a file of the project would work in this checkout only."""
    framework = own_python_files("deployment", "infrastructure", "plugins", "scripts", "verification")
    found = {path for path in framework if OWN_PLACE.search(path.read_text(encoding="utf-8"))}
    assert {str(path.relative_to(ROOT)) for path in found} == PLACES.keys()


@pytest.mark.parametrize("name", ["deployment.toml", "checklist.toml", "pytest.ini", ".embedded", "reports", "suites"])
def test_only_the_project_builds_the_paths_of_its_files(name: str) -> None:
    """Anywhere else, ``folder / "suites"`` would be a second opinion about where the project is."""
    framework = own_python_files("deployment", "infrastructure", "plugins", "scripts", "verification")
    joined = re.compile(rf"/ \"{re.escape(name)}\"|joinpath\(\"{re.escape(name)}\"|Path\(\"{re.escape(name)}\"")
    found = [str(path.relative_to(ROOT)) for path in framework if joined.search(path.read_text(encoding="utf-8"))]
    assert [place for place in found if place != "deployment/project.py"] == []
