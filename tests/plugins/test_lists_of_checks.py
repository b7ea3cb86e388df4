"""Lists of checks in files of another kind are refused; data that a check reads is not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.plugins.test_forgotten_checks import found

ENTRY = "  - name: a\n    request: GET /health\n    expect: {status: 200}\n"
LISTS = {
    "orders.json": ('{"checks": [{"name": "a", "request": "GET /health"}]}', "orders.yaml"),
    "tabs.json": (
        '{\n\t"description": "all",\n\t"checks": [\n\t\t{"name": "a", "request": "GET /"}\n\t]\n}',
        "tabs.yaml",
    ),
    "orders.text": ("checks:  # all\n" + ENTRY, "orders.yaml"),
    "orders.yml.off": ("description: all\nchecks:\n" + ENTRY, "orders.yml"),
    "orders.yaml.disabled": ('# all\n"checks": # these\n\n' + ENTRY, "orders.yaml"),
    "orders.yam": ("\ufeffchecks: [{name: a, steps: []}]", "orders.yaml"),
    "wrong_end.yam": ("checks:\n" + ENTRY + "  - name: {{\n\t- a", "wrong_end.yaml"),
    "large.text": ("checks:\n" + ENTRY + "# more\n" * 300_000, "large.yaml"),
    "latin.text": ("checks:\n" + ENTRY, "latin.yaml"),
}
OTHER_LISTS = {
    "health.json": '{"status": "UP", "checks": [{"name": "database", "status": "UP"}]}',
    "names.json": '{"checks": [{"name": "database"}, {"name": "redis"}]}',
    "severity.json": '{"checks": [{"name": "database", "severity": "required", "description": "all"}]}',
    "example.txt": "checks:\n" + ENTRY,
    "example.md": "checks:\n" + ENTRY,
    "notes.txt": "checks:\n  - the database\n  - the queue\n",
    "within.json": '{"answer": {"checks": [{"name": "a", "request": "GET /"}]}}',
    "map.txt": "checks:\n  name: a\n",
    "none.json": '{"checks": []}',
    "binary.bin": "checks:\n" + ENTRY + "\0",
    "rows.csv": "checks,name\n1,2\n",
    "template.txt": "{% for a in checks: %}\n",
    "deep.json": '{"checks": ' + "[" * 100_000,
    "deeper.json": '{"checks":' * 20_000,
    "indicators.txt": "checks: *a\n@ ` %\n",
    "spaces.txt": "{" + " " * 900_000 + "checks",
    "lines.txt": "\n" * 900_000 + "checks",
    "records.json": "[" + '{"checks": [{"name": "a"}]},' * 40_000,
    "repeated.json": '{"checks": {}, ' * 60_000,
}


@pytest.mark.parametrize("name", LISTS)
def test_list_of_checks_in_a_file_of_another_kind(tmp_path: Path, name: str) -> None:
    text, meant = LISTS[name]
    assert found(tmp_path, {name: text}) == [f"suites/privacy/{name} is never collected; {meant} was probably meant"]


@pytest.mark.parametrize("name", OTHER_LISTS)
def test_file_without_checks_is_read_in_no_time(tmp_path: Path, name: str) -> None:
    begin = time.process_time()
    assert found(tmp_path, {name: OTHER_LISTS[name]}) == []
    assert time.process_time() - begin < 2, "the search for checks depends on the file's size or depth"


READERS = {
    "test_orders.py": "FILE = 'suites/privacy/data/orders.json'\n",
    "test_pattern.py": "FILES = 'data/*.json'\n",
    "test_ending.py": "def path_of(name): return f'data/{name}.json'\n",
    "upload.yaml": "checks:\n  - name: a\n    request: {method: PUT, path: /, file: data/orders.json}\n",
}


@pytest.mark.parametrize("reader", READERS)
def test_data_that_a_check_reads(tmp_path: Path, reader: str) -> None:
    files = {"data/orders.json": LISTS["orders.json"][0]}
    assert len(found(tmp_path, {**files, "test_words.py": "NAMES = ['orders', 'checks']\n"})) == 1
    assert found(tmp_path, {**files, reader: READERS[reader]}) == []


LISTERS = {
    "test_orders.py": "for f in (Path(__file__).parent / 'data').iterdir(): json.loads(f.read_text())\n",
    "../auth/test_walk.py": "for folder, _, files in os.walk('suites/privacy/data'): print(files)\n",
    "conftest.py": "FILES = sorted(Path(__file__).parent.rglob('*'))\n",
    "data/__init__.py": "import os\nFILES = os.listdir(os.path.dirname(__file__))\n",
    "deeper/test_up.py": "FILES = [one for one in os.scandir('../data')]\n",
}


@pytest.mark.parametrize("lister", LISTERS)
def test_data_whose_folder_a_check_lists(tmp_path: Path, lister: str) -> None:
    data = {"data/orders.json": LISTS["orders.json"][0]}
    assert found(tmp_path, {**data, lister: LISTERS[lister]}) == []


@pytest.mark.parametrize(
    "source", [*(text.replace("data", "rows") for text in list(LISTERS.values())[:2]), "FOLDER = 'data'\n"]
)
def test_data_whose_folder_no_code_lists(tmp_path: Path, source: str) -> None:
    files = {"data/orders.json": LISTS["orders.json"][0], "../auth/test_rows.py": source, "../auth/rows/a.csv": ""}
    [text] = found(tmp_path, files)
    assert text.startswith("suites/privacy/data/orders.json")


@pytest.mark.parametrize("name", ["x.YAML", "x.yaml.off", "test_x.py.txt"])
def test_misspelt_file_in_a_folder_that_a_check_lists(tmp_path: Path, name: str) -> None:
    files = {f"data/{name}": "checks:\n" + ENTRY, "test_orders.py": LISTERS["test_orders.py"]}
    assert len(found(tmp_path, files)) == 1


@pytest.mark.parametrize("reading", ["'orders.json'", "'*.json'"])
def test_data_that_a_helper_outside_the_gates_reads(tmp_path: Path, reading: str) -> None:
    helper = f"from pathlib import Path\ndef rows(): return [*Path('suites/privacy/data').glob({reading})]\n"
    named = helper.replace(".glob", ".joinpath").replace("suites/privacy/data", ".")
    check = "from helpers.data import rows\ndef test_it(client): assert client.get(rows())\n"
    files = {"data/orders.json": LISTS["orders.json"][0], "test_uses.py": check}
    assert found(tmp_path / "listed", {**files, "../../helpers/data.py": helper}) == []
    assert found(tmp_path / "named", {**files, "../../helpers/data.py": named}) == []
    unused = {**files, "test_uses.py": "ROWS = []\n", "../../helpers/data.py": named}
    assert len(found(tmp_path / "unused", unused)) == 1


def test_text_in_another_encoding(tmp_path: Path) -> None:
    gate = tmp_path / "suites" / "privacy"
    gate.mkdir(parents=True)
    (gate / "latin.text").write_bytes(b"# caf\xe9\nchecks:\n" + ENTRY.encode())
    os.mkfifo(gate / "pipe.txt")
    (gate / "link.txt").symlink_to("pipe.txt")
    assert found(tmp_path, {}) == ["suites/privacy/latin.text is never collected; latin.yaml was probably meant"]


def test_checks_beside_the_contract(tmp_path: Path) -> None:
    files = {
        "../contract/more.yaml": "# one\nchecks:\n  - name: a\n    steps: []\n",
        "../contract/api.yaml": "openapi: 3.1.0\n",
    }
    [text] = found(tmp_path, files)
    assert text == "suites/contract/more.yaml is never collected; suites/GATE/more.yaml was probably meant"
    check = "def check_api(client): assert client.get('/api').is_success\n"
    [text] = found(tmp_path / "python", {"../contract/check_api.py": check, "../contract/make.py": "PATH = '/api'\n"})
    assert text == "suites/contract/check_api.py is never collected; suites/GATE/test_api.py was probably meant"
