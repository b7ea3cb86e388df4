"""Checks that cannot fail are refused: assertions that are always true, lost, swallowed or never reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.test_always_true import found

CLIENT = "def test_x(client):\n    "
ANSWER = f"{CLIENT}answer = client.get('/health')\n    "
ANSWERS = f"{CLIENT}answers = [client.get(path) for path in paths()]\n    "
CASE = "import unittest\nclass HealthTest(unittest.TestCase):\n    def test_x(self):\n        "
ALWAYS_TRUE = {
    f"{ANSWERS}assert [one.status_code == 500 for one in answers]": ":3 asserts a list of comparisons",
    f"{ANSWERS}assert {{one.status_code == 500 for one in answers}}": ":3 asserts a list of comparisons",
    f"{ANSWERS}assert [not one.is_error for one in answers], 'some failed'": ":3 asserts a list of comparisons",
    f"{ANSWERS}assert [one.is_success for one in answers]": ":3 asserts a list of comparisons",
    f"{ANSWERS}assert list(map(lambda one: one.status_code == 500, answers))": ":3 asserts a list of comparisons",
    f"{ANSWERS}assert map(lambda one: one.status_code == 500, answers)": ":3 asserts map(…)",
    f"{ANSWERS}assert filter(is_bad, answers)": ":3 asserts filter(…)",
    f"{ANSWERS}assert bool(reversed(answers))": ":3 asserts reversed(…)",
    f"{CLIENT}assert client.get('/health').status_code": ":2 asserts a status code",
    f"{ANSWER}assert answer.status_code and answer.text": ":3 asserts a status code",
    f"{ANSWER}assert answer.status_code is not None": ":3 asserts a status code that every",
    f"{ANSWER}assert not answer.status_code is None": ":3 asserts a status code that every",
    f"{ANSWER}assert answer.status_code > 0": ":3 asserts a status code that every",
    f"{ANSWER}assert 100 <= answer.status_code < 600": ":3 asserts a status code that every",
    "def ok(response): assert response.status_code\ndef test_x(client): ok(client.get('/'))": ":1 asserts a status code",
    f"{CASE}assert self.client.get('/health').status_code": ":4 asserts a status code",
    f"{CLIENT}assert client.get('/health') != 200": ":2 compares an answer with another kind of value",
    f"{ANSWER}assert answer not in (500, 503)": ":3 compares an answer with another kind of value",
    f"{ANSWER}assert not answer == 500": ":3 compares an answer with another kind of value",
    f"def is_bad(answer):\n    return answer.is_error\n{ANSWER}assert is_bad, answer": ":5 asserts the function is_bad",
    f"{CLIENT}client.get('/').raise_for_status()\n    assert 200 == 200": ":3 compares constants",
    f"{ANSWER}assert answer.status_code == answer.status_code": ":3 compares a value with itself",
    f"{ANSWER}assert len(answer.json()) >= 0": ":3 compares a length",
    f"{ANSWER}assert 0 <= len(answer.json())": ":3 compares a length",
    f"{CASE}self.assertTrue(ask().status_code, 500)": ":4 gives assertTrue two values",
    f"{CASE}self.assertFalse(ask().is_error, True)": ":4 gives assertFalse two values",
    f"{CASE}self.assertTrue(self.client.get('/health').status_code)": ":4 asserts a status code",
    f"{CASE}self.assertEqual(200, 200)": ":4 compares constants",
}
MAY_BE_FALSE = [
    f"{ANSWERS}assert [one for one in answers if one.is_error]",
    f"{ANSWERS}assert [one.json()['id'] for one in answers]",
    f"{ANSWERS}assert [one.status_code for one in answers] == [200]",
    f"{ANSWERS}assert list(filter(is_bad, answers)) and list(map(str, answers))",
    f"{ANSWERS}assert set(map(str, answers)) == {{'a'}} and all(map(is_bad, answers))",
    f"from toolz.curried import map\n{ANSWERS}assert map(is_bad, answers)",
    f"{ANSWER}assert answer.headers.get('x')",
    f"{ANSWER}assert answer.json() and answer.text and answer.headers and answer.content",
    f"{ANSWER}assert answer.status_code != 200 and answer.status_code < 300 and answer.status_code >= 200",
    f"{ANSWER}assert answer is not None and answer.status_code == 200",
    f"{ANSWER}assert answer.status_code is not None\n    assert answer.status_code == 200",
    f"{ANSWER}assert answer.status_code and answer.status_code == 200 and answer.status_code is not None",
    f"{ANSWER}other = client.get('/')\n    assert answer.status_code == other.status_code",
    f"{CLIENT}assert client.get('/a').status_code == client.get('/a').status_code",
    "def test_x(event): assert event.status_code and event.status_code is not None",
    f"{CLIENT}order = client.get('/').json()\n    assert order != 200 and order not in (1, 2) and order is not None",
    f"def is_bad(answer): return answer.is_error\n{ANSWER}assert not is_bad(answer)",
    f"@lazy\ndef user(): return None\n{CLIENT}assert user",
    f"def items(): return []\n{CLIENT}items = client.get('/').json()\n    assert items",
    f"{CLIENT}from helpers import is_ready as callable_result\n    assert callable_result",
    f"{CLIENT}assert client.get('/id').json() == client.get('/id').json()",
    f"{ANSWER}assert answer.json()['a'] == answer.json()['b'] and answer.text != answer.reason_phrase",
    f"{ANSWER}assert len(answer.json()) >= 1 and len(answer.json()) > 0 and 0 < len(answer.text)",
    f"{CASE}self.assertTrue(ask().is_success, 'no')\n        self.assertTrue(ask().is_success, msg=str(self))",
    f"{CASE}self.assertTrue(ask().is_success, ask().text)\n        self.assertEqual(ask().status_code, 200)",
    f"{CASE}self.assertIsNotNone(ask())\n        self.assertIn(1, ask())\n        self.assertFalse([])",
]


@pytest.mark.parametrize("source", ALWAYS_TRUE)
def test_assertion_that_is_always_true(tmp_path: Path, source: str) -> None:
    [text] = found(tmp_path, source)
    assert text.startswith(f"suites/privacy/test_more.py{ALWAYS_TRUE[source]}")


@pytest.mark.parametrize("source", MAY_BE_FALSE)
def test_assertion_that_may_be_false(tmp_path: Path, source: str) -> None:
    assert found(tmp_path, source) == []
