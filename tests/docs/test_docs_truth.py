"""The documents agree with the code about files, settings, fixtures and reports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deployment.phases import TERMINAL, TRANSITIONS
from deployment.settings import DeploymentLimits
from tests.docs.documents import DOCUMENTS, ROOT, Document, document

CODE = [
    path
    for folder in ("deployment", "plugins", "scripts", "infrastructure", "verification", "suites")
    for path in (ROOT / folder).rglob("*.py")
]
EXIT_CODES = ["0", "1", "2", "3", "4", "5", "10", "11"]
SCHEMA = json.loads((ROOT / "deployment" / "settings.schema.json").read_text(encoding="utf-8"))
REPORT_SCHEMA = json.loads((ROOT / "docs" / "verification.schema.json").read_text(encoding="utf-8"))
SHIPPED = tomllib.loads((ROOT / "deployment.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_resolve(path: Path) -> None:
    """Every linked file and heading exists."""
    found = Document(path)
    for link in found.links():
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), f"{found.name}: {link}"
        assert not anchor or anchor in Document(there).anchors(), f"{found.name}: {link}"


def test_documents_that_the_code_names_exist() -> None:
    """Every document that messages and comments name exists."""
    texts = [path.read_text(encoding="utf-8") for path in (*CODE, ROOT / "deployment.toml", ROOT / "pytest.ini")]
    named = {name for text in texts for name in re.findall(r"docs/[a-z-]+\.md", text)}
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_paths_in_back_quotes_exist() -> None:
    """Every file or folder of the project that a document names exists."""
    generated = re.compile(r"application/json$|reports/|audit\.jsonl|junit\.xml|report\.html|verification\.json")
    for found in map(Document, DOCUMENTS):
        written = {block.options["file"] for block in found.blocks() if "file" in block.options}
        for name in set(re.findall(r"`([\w./-]+/[\w./-]*)`", found.prose())) - written:
            if not generated.search(name) and not name.startswith("."):
                known = (ROOT / name).exists() or name.isupper() or "GATE" in name or "/TAG/" in name
                assert known, f"{found.name}: {name}"


def test_benchmarks_in_documents_exist() -> None:
    """Every benchmark that documents name exists."""
    named = {name for found in map(Document, DOCUMENTS) for name in re.findall(r"benchmarks/\w+\.py", found.text)}
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "docs/embedded.md",
            "check no credentials. Any local user can therefore read its secrets, and its signing key",
        ),
        ("docs/embedded.md", "they prove nothing to other people"),
        ("docs/run-a-deployment.md", "A rejected attempt uses up the way back"),
        ("docs/run-a-deployment.md", "`rollback --redeploy` deploys the previous release again"),
    ],
)
def test_limits_that_a_reader_must_know_are_written(name: str, words: str) -> None:
    assert words in " ".join(document(name).text.split())


# -- ARCHITECTURE.md -----------------------------------------------------------------------------------------------------


def test_architecture_names_every_package() -> None:
    """Each named folder exists, and each package is named."""
    rows = document("ARCHITECTURE.md").table("folder")
    named = {row[0].rstrip("/") for row in rows}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    tracked = listed.stdout.split() or [str(path.relative_to(ROOT)) for path in CODE]
    packages = {name.partition("/")[0] for name in tracked if "/" in name and name.endswith(".py")}
    assert sorted(packages - {name.partition("/")[0] for name in named}) == []


def test_files_in_the_architecture_exist() -> None:
    """Every module that ARCHITECTURE.md names exists."""
    text = document("ARCHITECTURE.md").text
    named = set(re.findall(r"\b(?:plugins|deployment|infrastructure|scripts)/[\w/]+\.(?:py|json)\b", text))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_transitions_match_the_code() -> None:
    """ARCHITECTURE.md's table and list of ends equal TRANSITIONS and TERMINAL."""
    rows = document("ARCHITECTURE.md").table("phase")
    assert [tuple(row) for row in rows] == [
        (str(phase.value), str(outcome.value), str(after.value)) for (phase, outcome), after in TRANSITIONS.items()
    ]
    ends = re.search(r"^(.+) are ends\.", document("ARCHITECTURE.md").prose(), flags=re.MULTILINE)
    assert ends is not None
    assert set(re.findall(r"[A-Z_]{4,}", ends[1])) == {str(phase.value) for phase in TERMINAL}


# -- docs/settings.md ----------------------------------------------------------------------------------------------------


def _rows(title: str) -> list[list[str]]:
    """Return the rows of the tables of one section of docs/settings.md."""
    text = document("docs/settings.md").text
    section = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert section is not None, title
    lines = [
        line for line in section[1].splitlines() if line.startswith("|") and not line.startswith(("| key", "| ---"))
    ]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def _reference(schema: Any) -> Any:
    return SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def test_every_setting_is_described() -> None:
    """Each key of the schema has a row, and each row is about a key of the schema."""
    definitions = SCHEMA["$defs"]
    assert sorted(row[0] for row in _rows("Top level")) == sorted(SCHEMA["properties"])
    assert [row[0] for row in _rows("`[deployment]`")] == list(definitions["deployment"]["properties"])
    assert [row[0] for row in _rows("`[access]`")] == list(definitions["access"]["properties"])
    gates = {
        f"{gate}.{key}"
        for gate, schema in definitions["gates"]["properties"].items()
        for key in _reference(schema)["properties"]
        if key in ("min_checks", "timeout") or key not in definitions["gate_basics"]["properties"]
    }
    own = set(definitions["gate_basics"]["properties"])
    described = [row[0] for row in _rows("`[gates.GATE]`")]
    assert sorted(described) == sorted(gates | own)
    environment = set(definitions["aws_environment"]["properties"]) | set(
        definitions["embedded_environment"]["properties"]
    )
    named = {name for row in _rows("`[environments.NAME]`") for name in row[0].split(", ")}
    assert named == environment


def test_values_are_the_shipped_ones() -> None:
    """The columns "shipped" and "embedded" equal the values of deployment.toml and the code's defaults."""
    embedded = SHIPPED["environments"]["embedded"]
    defaults = {field.name: field.default for field in fields(DeploymentLimits)}
    for key, _, shipped, own, _ in _rows("`[deployment]`"):
        assert json.loads(shipped) == SHIPPED["deployment"][key] == defaults[key], key
        assert json.loads(own) == embedded["deployment"].get(key, SHIPPED["deployment"][key]), key
    for row in _rows("`[gates.GATE]`"):
        if "." in row[0]:
            gate, key = row[0].split(".")
            assert json.loads(row[2]) == SHIPPED["gates"][gate][key], row[0]
            assert json.loads(row[3]) == embedded["gates"].get(gate, {}).get(key, SHIPPED["gates"][gate][key]), row[0]
    assert {row[0]: row[1] for row in _rows("Top level") if row[1]} == {
        key: json.dumps(SHIPPED[key]) for key in ("default_environment", "service")
    }


# -- docs/read-a-report.md -----------------------------------------------------------------------------------------------


def test_example_report_fits_its_schema() -> None:
    """The example is a complete report, and the schema is valid."""
    jsonschema.Draft202012Validator.check_schema(REPORT_SCHEMA)
    examples = [block for block in document("docs/read-a-report.md").blocks() if block.language == "json"]
    assert len(examples) == 1
    jsonschema.Draft202012Validator(REPORT_SCHEMA).validate(json.loads(examples[0].text))


def test_every_field_of_a_report_is_described() -> None:
    """Each property of the schema is in a table, and each kind of journal line is explained."""
    described = {name for row in document("docs/read-a-report.md").table("field") for name in row[0].split(", ")}
    definitions = REPORT_SCHEMA["$defs"]
    named = set(REPORT_SCHEMA["properties"]).union(
        *(definitions[part]["properties"] for part in ("gate", "step", "promotion", "rollback"))
    )
    assert sorted(named - described) == []
    text = document("docs/read-a-report.md").text
    kinds = {kind for path in CODE for kind in re.findall(r"\.append\(\s*\"([a-z_]+)\"", path.read_text("utf-8"))}
    kinds = {kind for kind in kinds if not kind.startswith("a path")}
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in text] == []


@pytest.mark.parametrize("name", ["README.md", "docs/run-a-deployment.md"])
def test_every_exit_code_is_explained(name: str) -> None:
    """The document lists all exit codes, in order."""
    assert [row[0] for row in document(name).table("code")] == EXIT_CODES


# -- docs/add-a-check.md -------------------------------------------------------------------------------------------------


def test_fixtures_are_those_that_pytest_shows() -> None:
    """Every fixture for checks is in the table, with the line that ``pytest --fixtures suites`` shows for it."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--fixtures", "suites", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-2000:]
    found = re.findall(r"^(\w+)(?: \[\w+ scope\])? -- (\S+?):\d+\n    (.+)$", ran.stdout, flags=re.MULTILINE)
    places = ("plugins/fixtures.py", "plugins/streams.py", "plugins/described/fixtures.py", "suites/conftest.py")
    ours = {name: line for name, where, line in found if where in places}
    assert {row[0]: row[1] for row in document("docs/add-a-check.md").table("fixture")} == ours
    assert "exit code" not in ran.stdout, "--fixtures must not count as a run"


def test_fixtures_not_for_checks_are_private() -> None:
    """Fixtures that only the framework uses begin with an underscore, so that ``--fixtures`` does not show them."""
    for path in (ROOT / "plugins").rglob("*.py"):
        for name, body in re.findall(r"@pytest\.fixture.*?\ndef (\w+)\(.*?:\n(.*)", path.read_text("utf-8")):
            assert name.startswith("_") or '"""' in body, f"{path.name}: {name} has no line"


# -- help texts ----------------------------------------------------------------------------------------------------------


COMMANDS = ["", "up", "down", "status", "deploy", "rollback", "recover", "adopt"]
HELP = """
import json, sys
sys.path.insert(0, "scripts")
from click.testing import CliRunner
from deploy import cli
print(json.dumps({word: CliRunner().invoke(cli, [*word.split(), "--help"]).output for word in sys.argv[1:]}))
"""


def test_help_fits_a_terminal() -> None:
    """Help texts fit 80 columns, no sentence is cut off with dots, and a document shows every command."""
    ran = subprocess.run([sys.executable, "-c", HELP, *COMMANDS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(ran.stdout)
    for command, text in shown.items():
        usage, *lines = text.splitlines()
        assert [line for line in lines if len(line) > 80 or line.endswith("...")] == [], f"{command}: {usage}"
    listed = re.findall(r"^  (\w+)  +\S", shown[""].partition("Commands:")[2], flags=re.MULTILINE)
    assert set(COMMANDS) - {""} <= set(listed)
    documents = "\n".join(Document(path).text for path in DOCUMENTS)
    assert [name for name in listed if f"scripts/deploy.py {name}" not in documents] == []


def test_options_are_documented() -> None:
    """docs/run-a-deployment.md describes every option of the deployment's group."""
    source = (ROOT / "plugins" / "options.py").read_text(encoding="utf-8")
    options = re.findall(r"addoption\(\s*\"(--[a-z-]+)\"", source)
    assert len(options) > 5
    text = document("docs/run-a-deployment.md").text
    assert [option for option in options if option not in text] == []


# -- docs/from-the-seed.md -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("letter", "many"), [("T", 21), ("D", 17), ("R", 8), ("H", 9), ("A", 8), ("S", 5)])
def test_each_defect_of_the_seed_names_files_and_tests_that_exist(letter: str, many: int) -> None:
    """Each defect has a row, in order, and the tests and files that it names exist."""
    rows = [row for row in document("docs/from-the-seed.md").table("#") if row[0].startswith(letter)]
    assert [row[0] for row in rows] == [f"{letter}{number}" for number in range(1, many + 1)]
    for row in rows:
        places = row[-1].split(", ")
        assert places, row[0]
        for place in places:
            path, _, test = place.partition("::")
            text = (ROOT / path).read_text(encoding="utf-8")
            assert not test or f"def {test}(" in text, f"{row[0]}: {place}"
