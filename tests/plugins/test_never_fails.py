"""Checks that cannot fail are refused: assertions that are always true, lost, swallowed or never reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.project import REFUSED, Project
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


ONE = "def one(client, path='/'):\n    assert client.get(path).status_code == 500\n"
INNER = f"{CLIENT}def one(path):\n        assert client.get(path).status_code == 500\n    "
COROUTINE = "import asyncio\nasync def one(client):\n    assert client.get('/').status_code == 500\nasync def every(client):\n    "
NO_EFFECT = {
    f"{INNER}map(one, ['/health'])": ":4 calls map",
    f"{ONE}{CLIENT}filter(lambda path: one(client, path), ['/health'])": ":4 calls filter",
    f"{ONE}{CLIENT}(one(client, path) for path in ['/health'])": ":4 creates a generator",
    f"{CLIENT}[client.get(path).status_code == 500 for path in ['/health']]": ":2 compares without a result",
    f"{CLIENT}all(client.get(path).status_code == 500 for path in ['/health'])": ":2 compares without a result",
    f"{COROUTINE}await asyncio.gather(one(client), one(client), return_exceptions=True)": ":5 loses the failures of one",
    f"{COROUTINE}await asyncio.gather(*(one(client) for _ in '12'), return_exceptions=True)": ":5 loses the failures of one",
    f"{COROUTINE}await asyncio.wait([asyncio.create_task(one(client))])": ":5 loses the failures of one",
}
AN_EFFECT = [
    f"{INNER}list(map(one, ['/health']))",
    f"from pool import map\n{INNER}map(one, ['/health'])",
    f"{CLIENT}def map(function, values): [function(one) for one in values]\n    map(client.get, ['/health'])\n    assert client.ok",
    f"{ONE}{CLIENT}[one(client, path) for path in ['/health']]",
    f"{ONE}{CLIENT}assert all(one(client, path) for path in ['/health'])",
    f"{ONE}{CLIENT}all(one(client, path) for path in ['/health'])",
    f"{COROUTINE}await asyncio.gather(one(client), one(client))",
    f"{COROUTINE}answers = await asyncio.gather(one(client), return_exceptions=True)\n    assert answers == [None]",
    f"{COROUTINE}task.cancel()\n    await asyncio.gather(task, return_exceptions=True)",
    f"{COROUTINE}done, _ = await asyncio.wait([asyncio.create_task(one(client))])\n    for task in done: task.result()",
    COROUTINE.replace("500", "500; seen.append(1)")
    + "await asyncio.gather(one(client), return_exceptions=True)\n    assert len(seen) == 1",
]
ASSERTS = "assert client.get('/orders').status_code == 500"
TRY = f"try:\n        {ASSERTS}\n    "
POOL = "from concurrent.futures import ThreadPoolExecutor, wait, as_completed\n" + INNER
SUBMITS = f"{POOL}with ThreadPoolExecutor(2) as pool:\n        futures = [pool.submit(one, path) for path in ['/health']]\n    "
QUIET = "import contextlib\n@contextlib.contextmanager\ndef quiet():\n    try:\n        yield\n    except AssertionError:\n        "
DECORATOR = "import functools\ndef quiet(f):\n    @functools.wraps(f)\n    def inner(*a, **k):\n        "
LOG = "import logging\nlog = logging.getLogger(__name__)\n"
LOST = [
    f"{SUBMITS}wait(futures)",
    f"{SUBMITS}done, pending = wait(futures)",
    f"{SUBMITS}for future in as_completed(futures):\n        assert future.done()",
    f"{POOL}pool = ThreadPoolExecutor()\n    pool.submit(one, '/')\n    pool.shutdown()",
    f"{POOL}futures = []\n    with ThreadPoolExecutor() as pool:\n        for path in ['/', '/a']:\n"
    "            futures.append(pool.submit(one, path))\n    wait(futures, timeout=5)",
    f"{POOL}with ThreadPoolExecutor(2) as pool: results = pool.map(lambda path: one(path), range(3))",
    f"from concurrent import futures\n{INNER}pool = futures.ThreadPoolExecutor()\n"
    "    futures.wait([pool.submit(one, path) for path in ('/a', '/b')])",
    f"{INNER}results = (one(path) for path in ['/health'])\n    print(results)",
    f"{INNER}results = map(one, ['/health'])",
    f"{CLIENT}{TRY}except* AssertionError:\n        pass",
    f"from contextlib import ExitStack, suppress\n{CLIENT}with ExitStack() as stack:\n"
    f"        stack.enter_context(suppress(AssertionError))\n        {ASSERTS}",
    f"from contextlib import suppress\n{CLIENT}with client.stream('GET', '/'), suppress(AssertionError):\n        {ASSERTS}",
    f"import logging\n{CLIENT}{TRY}except AssertionError as error:\n        logging.warning('failed: %s', error)",
    f"{LOG}{CLIENT}{TRY}except Exception:\n        log.exception('failed', exc_info=True)",
    f"{LOG}{CLIENT}{TRY}except AssertionError as error:\n        log.error(f'failed: {{error}}' + str(error))",
    f"import logging\n{CLIENT}{TRY}except AssertionError:\n        logging.getLogger('a').error('failed')",
    f"from loguru import logger\n{CLIENT}{TRY}except AssertionError:\n        logger.info('failed')",
    f"import traceback\n{CLIENT}{TRY}except AssertionError:\n        traceback.print_exc()",
    f"{CLIENT}errors = []\n    {TRY}except AssertionError as error:\n        errors.append(error)\n    print(errors)",
    f"{QUIET}pass\n{CLIENT}with quiet():\n        {ASSERTS}",
    f"{LOG}{QUIET}log.warning('failed')\n{CLIENT}with quiet():\n        {ASSERTS}",
    f"{DECORATOR}try:\n            return f(*a, **k)\n        except AssertionError:\n            pass\n    return inner\n"
    f"@quiet\n{CLIENT}{ASSERTS}",
    f"{LOG}{DECORATOR}try: f(*a, **k)\n        except Exception as error: log.error(error)\n    return inner\n"
    f"@quiet\n{CLIENT}{ASSERTS}",
    *(
        f"{CLIENT}for path in {nothing}:\n        {ASSERTS}"
        for nothing in (
            "range(0)",
            "{}",
            "()",
            "zip([], [])",
            "enumerate([])",
            "set()",
            "{}.items()",
            "''",
            "range(3, 1)",
        )
    ),
    f"PATHS = []\n{CLIENT}for path in PATHS:\n        {ASSERTS}",
    f"{CLIENT}paths = []\n    for path in paths:\n        {ASSERTS}",
    f"ENABLED = False\n{CLIENT}if ENABLED:\n        {ASSERTS}",
    f"ENABLED: bool = False\n{CLIENT}if not ENABLED:\n        return\n    {ASSERTS}",
    f"{CLIENT}client.get('/')\n    if True:\n        return\n    {ASSERTS}",
    f"{CLIENT}if client.get('/').is_error:\n        return\n    else:\n        return\n    {ASSERTS}",
]
FIXTURE = (
    f"import pytest\n@pytest.fixture(scope='module')\ndef healthy(client):\n    {TRY}except AssertionError:\n        "
)
CHECKED_BY_FIXTURE = "\ndef test_x(healthy, client):\n    client.get('/')"
LOST += [f"{FIXTURE}pass{CHECKED_BY_FIXTURE}", f"{LOG}{FIXTURE}log.error('no'){CHECKED_BY_FIXTURE}"]
NOT_LOST = [
    f"{FIXTURE}raise{CHECKED_BY_FIXTURE}",
    f"{FIXTURE}pass\n    yield\n    check(client){CHECKED_BY_FIXTURE}",
    f"{FIXTURE}pass{CHECKED_BY_FIXTURE}.raise_for_status()",
    f"{FIXTURE.replace('scope=', 'name=')}pass{CHECKED_BY_FIXTURE}",
    f"{SUBMITS}wait(futures)\n    for future in futures: future.result()",
    f"{SUBMITS}done, _ = wait(futures)\n    for future in done: future.result()",
    f"{SUBMITS}for future in as_completed(futures):\n        assert future.exception() is None",
    f"{SUBMITS}wait(futures)\n    assert not any(one.exception() for one in futures)",
    f"{SUBMITS}check(futures)",
    f"{SUBMITS}for future in as_completed(futures, timeout=5): pass",
    f"import functools\ndef logged(name): return functools.partial(call, name)\n@logged('a')\n{CLIENT}{ASSERTS}",
    "import contextlib\n@contextlib.contextmanager\ndef quiet(client):\n    assert client.get('/').is_success\n"
    f"    try: yield\n    except AssertionError: pass\n{CLIENT}with quiet(client):\n        {ASSERTS}",
    QUIET.replace("AssertionError:", "AssertionError as error:")
    + f"error = str(error)\n    else: return\n    raise AssertionError\n{CLIENT}with quiet():\n        {ASSERTS}",
    f"from settings import *\nENABLED = False\nfrom settings import *\n{CLIENT}if ENABLED:\n        {ASSERTS}",
    f"{SUBMITS.replace('wait, ', '')}from helpers import wait\n    wait(futures)",
    f"{POOL}pool = ThreadPoolExecutor()\n    future = pool.submit(one, '/')\n    pool.shutdown()\n    future.result()",
    f"{POOL}with ThreadPoolExecutor(2) as pool: results = pool.map(one, range(3))\n    assert list(results) == [None]",
    f"{ONE}{CLIENT}results = (one(client, path) for path in ['/health'])\n    for _ in results: pass",
    f"{CLIENT}{TRY}except* AssertionError:\n        raise",
    f"{CLIENT}{TRY}except* ValueError:\n        pass",
    f"from contextlib import ExitStack, suppress\n{CLIENT}with ExitStack() as stack:\n"
    f"        stack.enter_context(suppress(KeyError))\n        stack.callback(client.delete, '/')\n        {ASSERTS}",
    f"from contextlib import ExitStack, suppress\n{CLIENT}with ExitStack() as stack:\n        {ASSERTS}\n"
    "        stack.enter_context(suppress(AssertionError))\n        client.delete('/')",
    f"{LOG}{CLIENT}{TRY}except AssertionError:\n        log.warning('failed')\n        raise",
    f"{LOG}{CLIENT}for _ in (1, 2):\n        try:\n            {ASSERTS}\n            return\n"
    "        except AssertionError as error:\n            log.info(error)\n    raise AssertionError('too late')",
    f"from soft import log\n{CLIENT}{TRY}except AssertionError as error:\n        log.error(error)",
    f"import logging\n{CLIENT[:-7]}, logging):\n    {TRY}except AssertionError as error:\n        logging.error(error)",
    f"{CLIENT}errors = []\n    {TRY}except AssertionError as error:\n        errors.append(error)\n    assert not errors",
    f"{CLIENT}errors = []\n    {TRY}except AssertionError as error:\n        errors.append(error)\n    if errors:\n        raise errors[0]",
    f"{CLIENT}errors = []\n    {TRY}except AssertionError as error:\n        errors.append(error)\n    check(errors)",
    f"ERRORS = []\n{CLIENT}{TRY}except AssertionError as error:\n        ERRORS.append(error)\n"
    "def test_z(): assert not ERRORS",
    f"class TestIt:\n  def test_x(self, client):\n    {TRY}except AssertionError as error:\n        self.errors.append(error)",
    f"{QUIET}raise\n{CLIENT}with quiet():\n        {ASSERTS}",
    f"{QUIET}pass\n{CLIENT}with quiet():\n        client.delete('/')\n    {ASSERTS}",
    QUIET.replace("quiet()", "quiet(errors)").replace(" AssertionError:", " AssertionError as error:")
    + f"errors.append(error)\n{CLIENT}errors = []\n    with quiet(errors):\n        {ASSERTS}\n    assert not errors",
    f"{DECORATOR}try:\n            return f(*a, **k)\n        except AssertionError:\n            print(1)\n            raise\n"
    f"    return inner\n@quiet\n{CLIENT}{ASSERTS}",
    f"{DECORATOR}try: print(k)\n        except AssertionError: pass\n        return f(*a, **k)\n    return inner\n@quiet\n{CLIENT}{ASSERTS}",
    f"{CLIENT}for path in range(1):\n        {ASSERTS}",
    f"{CLIENT}for path in zip(paths(), []):\n        pass\n    {ASSERTS}",
    f"PATHS = []\nPATHS.append('/')\n{CLIENT}for path in PATHS:\n        {ASSERTS}",
    f"PATHS = []\nfill(PATHS)\n{CLIENT}for path in PATHS:\n        {ASSERTS}",
    f"PATHS = []\nPATHS += ['/']\n{CLIENT}for path in PATHS:\n        {ASSERTS}",
    f"{CLIENT}paths = []\n    paths.append('/')\n    for path in paths:\n        {ASSERTS}",
    f"ENABLED = False\n{CLIENT}if not ENABLED:\n        {ASSERTS}",
    f"ENABLED = False\ndef enable():\n    global ENABLED\n    ENABLED = True\n{CLIENT}if ENABLED:\n        {ASSERTS}",
    f"import os\nENABLED = os.environ.get('A')\n{CLIENT}if ENABLED:\n        {ASSERTS}",
    f"ENABLED = False\n{CLIENT}if ENABLED:\n        print(1)\n    {ASSERTS}",
    f"ENABLED = False\ndef test_x(client, monkeypatch):\n    monkeypatch.setattr('test_more.ENABLED', True)\n    if ENABLED:\n        {ASSERTS}",
    f"{CLIENT}if client.get('/').is_error:\n        return\n    {ASSERTS}",
]


@pytest.mark.parametrize("source", NO_EFFECT)
def test_statement_that_loses_its_checks(tmp_path: Path, source: str) -> None:
    [text] = found(tmp_path, source)
    assert text.startswith(f"suites/privacy/test_more.py{NO_EFFECT[source]}")


@pytest.mark.parametrize("source", LOST)
def test_assertion_that_is_lost_swallowed_or_never_reached(tmp_path: Path, source: str) -> None:
    [text] = found(tmp_path, source)
    assert text.startswith("suites/privacy/test_more.py::test_x never fails by its assertions")


@pytest.mark.parametrize("source", [*AN_EFFECT, *NOT_LOST])
def test_check_that_notices_its_failures(tmp_path: Path, source: str) -> None:
    assert found(tmp_path, source) == []


def test_run_with_a_swallowed_failure_is_refused(project: Project) -> None:
    project.add("endpoints", f"{LOG}{CLIENT}{TRY}except Exception:\n        log.exception('failed')\n")
    run = project.run()
    assert run.result == REFUSED, run.output
