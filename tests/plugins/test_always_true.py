"""Checks that cannot fail as they are written are refused, also if warnings are hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.integrity.always_true import always_true
from tests.plugins.project import ASKS, PROMOTED, REJECTED, ROOT, Project

CANNOT_FAIL = {
    "def test_x(client): return client.get('/').status_code == 200": "::test_x returns a value",
    "class TestIt:\n    def test_x(self, client):\n        if client: return client.ok": "::TestIt::test_x returns a value",
    "if True:\n    def test_x(client): return []": "::test_x returns a value",
    "test_x = lambda client: client.get('/').status_code == 200": "::test_x returns a value",
    "def test_x(client): assert (client.ok, 'text')": ":1 asserts a tuple",
    "def test_x(client): assert client\ntest_x = print": "::test_x is replaced",
    "def test_x(client): assert client\nfrom os.path import join as test_x": "::test_x is replaced",
    "class TestIt:\n    def test_x(self): assert self\n    test_x = print": "::TestIt::test_x is replaced",
    "def helper(client):\n    assert (client.ok,)\ndef test_x(client): helper(client)": ":2 asserts a tuple",
    "def test_x(client):\n    assert client.ok\n    yield": "::test_x has a yield",
    "class Case(unittest.TestCase):\n    def test_x(self):\n        self.assertEqual(1, 2)\n        yield from []": "::Case::test_x has",
    "@pytest.mark.slow\ndef test_x(client):\n    one = yield\n    assert client": "::test_x has a yield",
    "def logged(f):\n    def call(*given):\n        return f(*given)\n    return call\n@logged\ndef test_x(client):\n"
    "    assert client.ok\n    yield": "::test_x has a yield",
}
CLIENT = "def test_x(client, signed_in):\n    "
NO_EFFECT = {
    "assert client.get('/orders', headers=signed_in)": ":2 asserts an answer",
    "assert client.get('/orders'), 'no orders'": ":2 asserts an answer",
    "assert client.request('GET', '/orders') and client.post('/orders')": ":2 asserts an answer",
    "assert (answer := client.get('/orders'))": ":2 asserts an answer",
    "answer = client.get('/orders')\n    assert answer": ":3 asserts an answer",
    "answer: object = client.get('/')\n    answer = client.put('/')\n    assert answer": ":4 asserts an answer",
    "answer = client.get('/orders')\n    assert answer.json": ":3 asserts the method json",
    "answer = client.get('/orders')\n    assert answer is not None": ":3 asserts that there is an answer",
    "client.get('/orders').status_code == 200": ":2 compares without a result",
    "answer = client.get('/orders')\n    answer.status_code in (200, 204)": ":3 compares without a result",
    "not client.get('/orders').is_error": ":2 compares without a result",
    "for path in '/a', '/b':\n        client.get(path).status_code == 200": ":3 compares without a result",
    "try:\n        client.get('/').status_code == 200\n    finally:\n        client.delete('/')": ":3 compares without",
    "with client.stream('GET', '/') as answer:\n        answer.status_code == 200": ":3 compares without",
    "assert client.get('/orders').status_code == 200 or 204": ":2 asserts an 'or' with a side that is always true",
    "assert client.get('/orders').is_success or True": ":2 asserts an 'or'",
    "assert client.get('/orders').is_success or 'no orders'": ":2 asserts an 'or'",
    "assert client.get('/orders').is_success or client.get('/orders')": ":2 asserts an 'or'",
    "assert 'orders are listed'": ":2 asserts a constant",
    "assert f'{client} lists orders'": ":2 asserts a text",
    "assert [client.get('/orders').is_success]": ":2 asserts a list",
    "assert {'status': client.get('/orders').status_code == 200}": ":2 asserts a dictionary",
    "assert (client.get(path).is_success for path in ('/a', '/b'))": ":2 asserts a generator",
    "assert lambda: client.get('/orders').is_success": ":2 asserts a function",
    "assert all(one for one in [])": ":2 asserts all(…) of nothing",
    "assert client.get('/').is_success or all([])": ":2 asserts an 'or'",
    "assert 1 if client else 'no client'": ":2 asserts a constant",
    "answer = client.get(f'/orders/{signed_in[0]}')\n    assert answer": ":3 asserts an answer",
    "if signed_in:\n        assert client.get(path_of('/orders')) is not None": ":3 asserts that there is an answer",
    "answer = client.get('/orders')\n    assert answer\n    assert answer.json": ":4 asserts the method json",
    "answer = client.get('/orders')\n    assert answer\n    answer.status_code == 200": ":4 compares without a result",
    "client.get('/orders')": "::test_x checks no answer",
    "answer = client.get('/orders')\n    print(answer.status_code)": "::test_x checks no answer",
    "client.get('/orders', headers=signed_in)\n    assert True": "::test_x checks no answer",
    "if client.get('/a').is_success:\n        client.get('/b')": "::test_x checks no answer",
    "for path in ['/a', '/b']:\n        client.get(path)": "::test_x checks no answer",
    "try:\n        client.get('/a')\n    except Exception:\n        pass": "::test_x checks no answer",
    "with client.stream('GET', '/') as answer:\n        pass": "::test_x checks no answer",
}
ASSERTS = "assert client.get('/orders').status_code == 200"
LOST = [
    f"try:\n        {ASSERTS}\n    except Exception:\n        pass",
    f"try:\n        {ASSERTS}\n    except AssertionError as error:\n        print(error)",
    f"try:\n        {ASSERTS}\n    except (ValueError, AssertionError): pass",
    f"try:\n        helper(client)\n        {ASSERTS}\n    except: pass",
    "try:\n        assert client.get('/').json()['id'] == len('abc')\n    except Exception: return",
    f"try:\n        {ASSERTS}\n    finally:\n        return",
    f"with contextlib.suppress(AssertionError):\n        {ASSERTS}",
    f"with suppress(Exception):\n        {ASSERTS}",
    f"for _ in (1, 2):\n        try:\n            {ASSERTS}\n            return\n        except AssertionError: continue",
    f"client.get('/')\n    return\n    {ASSERTS}",
    f"client.get('/')\n    if False:\n        {ASSERTS}",
    f"client.get('/')\n    while 0:\n        {ASSERTS}",
    f"for one in []:\n        {ASSERTS}",
    f"def ask():\n        {ASSERTS}\n    ask",
    f"def ask(_):\n        {ASSERTS}\n    with ThreadPoolExecutor(2) as pool: pool.map(ask, range(3))",
    f"def ask():\n        {ASSERTS}\n    with futures.ThreadPoolExecutor() as pool:\n        pool.submit(ask)",
]
"""Bodies whose assertions are caught, lost in a thread, or never reached."""
NOT_LOST = [
    f"try:\n        {ASSERTS}\n    except AssertionError:\n        raise",
    f"try:\n        {ASSERTS}\n    except AssertionError:\n        stop('no')",
    f"try:\n        {ASSERTS}\n    except ValueError: pass",
    f"try:\n        {ASSERTS}\n    finally:\n        client.delete('/')",
    "try:\n        assert client.get('/').json()['id'] == 1\n    except AssertionError: pass",
    f"try:\n        pytest.fail('no')\n        {ASSERTS}\n    except Exception: pass",
    f"try:\n        helper(client)\n        {ASSERTS}\n    except Exception: pass",
    f"for _ in (1, 2):\n        try:\n            {ASSERTS}\n            return\n        except AssertionError: pass\n"
    "    raise AssertionError('no')",
    f"for _ in (1, 2):\n        try:\n            {ASSERTS}\n            break\n        except AssertionError: pass\n"
    "    else:\n        stop('no')",
    f"with suppress(ValueError):\n        {ASSERTS}",
    f"try:\n        client.get('/')\n    except Exception: pass\n    {ASSERTS}",
    f"if True:\n        {ASSERTS}",
    f"if False: pass\n    else:\n        {ASSERTS}",
    f"for one in []: pass\n    else:\n        {ASSERTS}",
    f"def ask():\n        {ASSERTS}\n    ask()",
    f"def ask(_):\n        {ASSERTS}\n    with ThreadPoolExecutor(2) as pool: list(pool.map(ask, range(3)))",
    f"def ask():\n        {ASSERTS}\n    with ThreadPoolExecutor(2) as pool:\n        one = pool.submit(ask)\n    one.result()",
    f"seen = []\n    def ask(_):\n        {ASSERTS}\n        seen.append(1)\n"
    "    with ThreadPoolExecutor(2) as pool: pool.map(ask, range(3))\n    assert len(seen) == 3",
    "assert all(one for one in client.get('/').json())",
    f"if client is None:\n        return\n    {ASSERTS}",
]
EMPTY = {
    "def test_x(): pass": "::test_x checks nothing",
    "def test_x(client): ...": "::test_x checks nothing",
    "try:\n    from shared import test_x\nexcept ImportError:\n    test_x = lambda: None": "::test_x checks nothing",
    "class TestIt:\n    test_x = lambda self, client: client.get('/')": "::TestIt::test_x checks no answer",
    "def test_x(client):\n    'Orders are listed.'": "::test_x checks nothing",
    "class TestIt:\n    def test_x(self, client): client.get('/')": "::TestIt::test_x checks no answer",
    "import pytest\n@pytest.mark.parametrize('path', ['/a'])\ndef test_x(client, path): client.get(path)": "::test_x checks",
    "import pytest\n@pytest.fixture\ndef rows(client):\n    assert client.get('/')\n"
    "def test_x(rows): assert rows": ":4 asserts an answer",
    "def helper(rows): assert rows or [1]\ndef test_x(client): helper(client)": ":1 asserts an 'or'",
}
GOOD = [
    "assert client.get('/').is_success",
    "assert client.get('/').json() is not None",
    "assert client.get('/').json()",
    "assert client.get('/').json() or client.get('/').status_code == 204",
    "assert client.get('/').status_code == 200 or client.get('/').status_code == 204",
    "assert client.get('/').json().get('rows') or []",
    "assert client.get('/').status_code in (200, 204), f'{client}'",
    "answer = client.get('/')\n    assert not answer.is_error, answer",
    "answer = client.get('/').json()\n    assert answer",
    "answer = None\n    for path in paths():\n        answer = client.get(path)\n    assert answer",
    "answer = client.get('/').json() if client else client.get('/')\n    assert answer",
    "client = Rows()\n    assert client.get('id')",
    "rows = {'a': 1}\n    assert rows.get('a')",
    "answer = client.get('/')\n    answer = answer.json()\n    assert answer",
    "answer = client.get('/')\n    for answer in answer.json(): pass\n    assert answer",
    "client.get('/').raise_for_status()",
    "client.get('/').json()['id']",
    "check(client.get('/'))",
    "client.get(path_of('/'))",
    "status, = [client.get('/').status_code]",
    "if client.get('/').is_error: raise AssertionError('no')",
    "import pytest\n    if client.get('/').is_error: pytest.fail('no')",
    "import pytest\n    with pytest.raises(KeyError):\n        client.get('/').json()['id'] == 1",
    "import pytest\n    with pytest.raises(TypeError):\n        client < 1",
    "try:\n        client < 1\n    except TypeError: return\n    raise AssertionError('no')",
    "with client.stream('GET', '/') as answer:\n        answer.read()\n        answer.raise_for_status()",
    "assert all(client.get(path).is_success for path in ('/a', '/b'))",
    "assert [one for one in client.get('/').json()]",
    "assert [*client.get('/').json()]",
    "assert {**client.get('/').json()}",
    "answer = client.get('/')\n    assert f'{answer.text}'",
    "helper()\n    assert True",
    "answer = client.get('/')\n    assert answer is not None\n    assert answer.status_code == 200",
    "answer = client.get('/')\n    assert answer, 'no answer'\n    assert answer.status_code == 200",
    "assert (answer := client.get('/')) is not None\n    if answer.is_error: raise AssertionError(answer.text)",
    "for path in ('/a', '/b'):\n        assert client.get(path)\n        client.get(path).raise_for_status()",
    "assert client.get('/')\n    assert client.get(client.get('/').json()['next'])",
    "client.get('/').status_code == 200 or stop('no')",
    "match client.get('/').status_code:\n        case 200: pass\n        case _: raise AssertionError('no')",
    "while client.get('/').status_code != 200: wait()",
    "for one in client.get('/').json(): pass",
    "assert client.get('/') == 1",
]
FIXTURES_CHECK = [
    "def test_x(consult): pass",
    "def test_x(signed_in): pass",
    "def test_x(client, baked): client.get('/')",
    "def test_x(client, new_rows): client.get('/')",
    "import pytest\n@pytest.mark.usefixtures('consult')\ndef test_x(client): client.get('/')",
    "import pytest\npytestmark = pytest.mark.usefixtures('consult')\ndef test_x(client): client.get('/')",
    "import pytest\n@pytest.fixture(autouse=True)\ndef every(): yield\ndef test_x(client): client.get('/')",
    "import pytest\n@pytest.fixture\ndef client(): return 1\ndef test_x(client): client.get('/')",
    "import pytest\n@pytest.fixture\ndef client(): return 1\ndef test_x(client): assert client.get('/')",
    "import pytest\n@pytest.mark.parametrize('rows', [1], indirect=True)\ndef test_x(rows): pass",
    "@given(1)\ndef test_x(client): client.get('/')",
    "import pytest\n@pytest.mark.skipif(True, reason='no')\ndef test_x(client): client.get('/')",
    "import pytest\n@pytest.mark.xfail\ndef test_x(client): client.get('/')",
    "class TestIt:\n    def teardown_method(self): assert self\n    def test_x(self, client): client.get('/')",
    "class TestIt(Base):\n    def test_x(self, client): client.get('/')",
    "def teardown_function(): assert 1 == 2\ndef test_x(client): client.get('/')",
    "import pytest\n@pytest.fixture\ndef answer(client):\n    answer = client.get('/')\n    assert answer is not None\n"
    "    return answer\ndef test_x(answer): assert answer.status_code == 200",
    "import pytest\n@pytest.fixture\ndef answer(client):\n    answer = client.get('/')\n    assert answer\n"
    "    yield answer\n    client.delete('/')\ndef test_x(answer): assert answer.status_code == 200",
    "def ask(client): return client.get('/')\ndef test_x(client): assert ask(client).is_success",
    "import requests\ndef test_x(base_url): assert requests.get(base_url)",
    "def helper(client): assert client.get('id')\ndef test_x(): helper({'id': 1})",
]
CAN_FAIL = [
    "def test_x(client):\n    if not client: return\n    assert client",
    "def test_x(client):\n    check(client)\n    return None",
    "def test_x(client):\n    def inner(): return 1\n    assert inner() and (lambda: 2)()",
    "import pytest\n@pytest.fixture\ndef test_user(): return 1",
    "def text_of(client): return client.text",
    "class Helper:\n    def test_x(self): return 1",
    "def test_x(client): assert client in (1, 2), (client, 'text')",
    "def test_x(:",
    "def test_x(client): assert client\ntest_x = twice(test_x)",
    "import pytest\n@pytest.fixture\ndef test_user(): yield 1",
    "def test_x(client):\n    def rows(): yield 1\n    assert list(rows()) == client",
    "def test_x(client): assert list(one for one in client)",
    "import contextlib\n@contextlib.contextmanager\ndef test_mode(): yield",
    "from twisted.internet.defer import inlineCallbacks\n@inlineCallbacks\ndef test_x(client):\n    yield client\n    assert client",
    "def runs(f):\n    def call(*given):\n        for _ in f(*given): pass\n    return call\n@runs\ndef test_x(client):\n"
    "    assert client\n    yield",
    "test_data = [1]\ndef test_x(client): assert test_data",
]


def found(tmp_path: Path, source: str) -> list[str]:
    gate = tmp_path / "suites" / "privacy"
    gate.mkdir(parents=True)
    (gate / "test_more.py").write_text(source + "\n")
    return [" ".join(one) for one in always_true(tmp_path / "suites")]


@pytest.mark.parametrize("source", CANNOT_FAIL)
def test_check_that_cannot_fail(tmp_path: Path, source: str) -> None:
    [text] = found(tmp_path, source)
    assert text.startswith(f"suites/privacy/test_more.py{CANNOT_FAIL[source]}")


@pytest.mark.parametrize("source", CAN_FAIL)
def test_other_code(tmp_path: Path, source: str) -> None:
    assert found(tmp_path, source) == []


@pytest.mark.parametrize("body", NO_EFFECT)
def test_statement_without_an_effect(tmp_path: Path, body: str) -> None:
    [text] = found(tmp_path, CLIENT + body)
    assert text.startswith(f"suites/privacy/test_more.py{NO_EFFECT[body]}")


ASYNC = "async def ask(client): assert client.is_closed\n"
YIELDS = "def ask(client):\n    yield client\n    assert client.is_closed\n"
CHECK = "def test_x(client):\n    assert client.get('/health').is_success\n    "
NOT_STARTED = {
    f"{ASYNC}{CHECK}ask(client)": ":4 calls ask",
    f"{YIELDS}{CHECK}if client: ask(client)": ":6 calls ask",
    f"import contextlib\n@contextlib.contextmanager\n{YIELDS}{CHECK}ask(client)": ":8 calls ask",
    f"{CHECK}async def inner(): assert client\n    inner()": ":4 calls inner",
    f"{ASYNC}class TestIt:\n    def test_x(self, client):\n        assert client\n        ask(client)": ":5 calls ask",
}
STARTED = [
    f"import asyncio\n{ASYNC}{CHECK}asyncio.run(ask(client))",
    f"{ASYNC}async def more(client):\n    await ask(client)",
    f"{YIELDS}{CHECK}list(ask(client))",
    f"{YIELDS}{CHECK}for _ in ask(client): pass",
    f"@synchronous\n{ASYNC}{CHECK}ask(client)",
    f"{ASYNC}ask = synchronous(ask)\n{CHECK}ask(client)",
    f"{ASYNC}def test_x(client, ask):\n    ask(client)\n    assert client.is_closed",
    f"{ASYNC}{CHECK}def ask(client): assert client\n    ask(client)",
    f"class Base:\n    async def ask(client): pass\n{CHECK}ask(client)",
    "import contextlib\n@contextlib.contextmanager\n" + YIELDS + CHECK + "with ask(client): pass",
]


@pytest.mark.parametrize("source", NOT_STARTED)
def test_call_that_runs_nothing(tmp_path: Path, source: str) -> None:
    [text] = found(tmp_path, source)
    assert text.startswith(f"suites/privacy/test_more.py{NOT_STARTED[source]}, which does not run")


@pytest.mark.parametrize("source", STARTED)
def test_call_that_runs(tmp_path: Path, source: str) -> None:
    assert found(tmp_path, source) == []


@pytest.mark.parametrize(
    "call",
    ["one = ask(client)\n    del one", pytest.param("print(ask(client))", marks=pytest.mark.soak), "[ask(client)]"],
)
def test_check_that_loses_a_coroutine_fails(project: Project, call: str) -> None:
    project.add("endpoints", f"{ASYNC}{CHECK}{call}\n")
    run = project.run("-W", "ignore")
    assert run.result == REJECTED, run.output
    assert "the coroutine ask was never awaited" in run.report["reason"]


def test_coroutine_of_a_library_changes_nothing(project: Project) -> None:
    project.add("endpoints", f"import asyncio\n{CHECK}one = asyncio.sleep(0)\n    del one\n")
    assert project.run().result == PROMOTED


WRAPS = "import functools\ndef again(f):\n    @functools.wraps(f)\n    def call(*given, **named):\n        "
RETRIED = [
    f"{WRAPS}for _ in range(2):\n            try: return f(*given, **named)\n            except AssertionError: pass\n"
    "        return f(*given, **named)\n    return call\n@again",
    "def again(times):\n    def wrap(f):\n        def call(client):\n            while times:\n                try: f(client)\n"
    "                except Exception as error: print(error)\n                else: break\n        return call\n"
    "    return wrap\n@again(3)",
    f"def once(times): return times\n{WRAPS.replace('(f)', '(f, times=2)', 1)}while times:\n            try: f(*given)\n"
    "            except AssertionError: continue\n            else: return\n    return call\n@again",
    "def again(f=None, *, times=3):\n    def wrap(f):\n        def call(client):\n            while times:\n"
    "                try: return f(client)\n                except: pass\n        return call\n"
    "    return wrap(f) if f else wrap\n@again(times=2)",
    "from tenacity import retry, stop_after_attempt\n@retry(stop=stop_after_attempt(3))",
    "import backoff\n@backoff.on_exception(backoff.expo, AssertionError)",
]
TRIES = f"{WRAPS}for n in range(3):\n            try: return f(*given, **named)\n            "
HANDLES = "    return call\n@again"
RETRIED += [
    f"{TRIES}except AssertionError:\n                {handler}\n{HANDLES}"
    for handler in (
        "if n == 2: raise\n                time.sleep(1)",
        "if n < 2: continue\n                raise",
        "if n == 2: raise\n                elif n == 1: print(n)\n                else: return",
        "if n:\n                    if n == 2: raise\n                else: raise",
    )
]
RETRIED += [
    f"{WRAPS}end = time.monotonic() + 9\n        while True:\n            try: return f(*given)\n"
    "            except Exception as error:\n                if time.monotonic() > end: raise\n"
    "                print(error)\n    return call\n@again",
]
TENACITY = "import httpx\nfrom tenacity import retry, retry_if_exception_type, retry_if_not_exception_type, stop_after_attempt\n"
RETRIED += [
    f"{TENACITY}AGAIN = retry_if_exception_type((httpx.ConnectError, AssertionError))\n@retry(retry=AGAIN)",
    f"{TENACITY}TIMES = 3\n@retry(stop=stop_after_attempt(TIMES), wait=httpx.wait)",
    "import backoff, limits\n@backoff.on_exception(backoff.expo, Exception, max_time=limits.timeout)",
    "from retry import retry\nTIMES = 3\n@retry(tries=TIMES)",
]
READY = (
    "import functools, time\ndef when_ready(probe):\n    def deco(check):\n        @functools.wraps(check)\n"
    "        def inner(client):\n            for _ in range(10):\n                try:\n                    probe(client)\n"
    "                    break\n                except AssertionError: time.sleep(1)\n            return check(client)\n"
    "        return inner\n    return deco\n@when_ready(lambda client: client.get('/'))"
)
CLEANS = (
    "def cleans(undo, times=3):\n    def deco(check):\n        def inner(client):\n            check(client)\n"
    "            while times:\n                try: return undo(client)\n                except Exception as error: print(error)\n"
    "        return inner\n    return deco\n@cleans(lambda client: client.delete('/a'))"
)
NOT_RETRIED = [
    "from .retry import logged\n@logged",
    f"{TENACITY}TRANSIENT = retry_if_exception_type((httpx.ConnectError, httpx.ReadTimeout))\n@retry(retry=TRANSIENT)",
    f"{TENACITY}BROKEN = (httpx.ConnectError,)\nTRANSIENT: object = retry_if_exception_type(BROKEN)\n@retry(retry=TRANSIENT)",
    f"{TENACITY}from other import BROKEN\n@retry(retry=retry_if_exception_type(BROKEN), stop=stop_after_attempt(3))",
    f"{TENACITY}@retry(retry=retry_if_not_exception_type(AssertionError))",
    "import backoff, socket\n@backoff.on_exception(backoff.expo, socket.timeout)",
    "import backoff, socket\n@backoff.on_exception(backoff.expo, (OSError, socket.error), max_tries=3)",
    "import backoff\n@backoff.on_exception(backoff.expo, Exception, giveup=lambda error: isinstance(error, AssertionError))",
    f"{TENACITY}OPTIONS = {{'retry': retry_if_exception_type(httpx.ConnectError)}}\n@retry(**OPTIONS)",
    "import stamina\n@stamina.retry(on=TimeoutError, attempts=3)",
    f"{TRIES}except AssertionError: raise\n            except Exception: time.sleep(1)\n{HANDLES}",
    *(
        f"{TRIES}except Exception as error:\n                {handler}\n{HANDLES}"
        for handler in (
            "print(error)\n                raise",
            "if n == 2: raise\n                else: return",
            "if isinstance(error, AssertionError): raise\n                time.sleep(1)",
            "if 'reset' in str(error): continue\n                raise",
            "pytest.fail(str(error))",
            "with log(): raise",
        )
    ),
    READY,
    CLEANS,
    CLEANS.replace("inner(client)", "inner(client, undo)"),
    f"{WRAPS.replace('*given', 'probe')}for _ in range(2):\n            try: return probe(**named)\n"
    "            except AssertionError: pass\n        return f(**named)\n    return call\n@again",
    f"{WRAPS}for _ in range(2): f(*given, **named)\n    return call\n@again",
    f"{WRAPS}print(f.__name__)\n        return f(*given, **named)\n    return call\n@again",
    f"{WRAPS}for _ in range(2):\n            try: return f(*given, **named)\n            except AssertionError: raise\n"
    "    return call\n@again",
    f"{WRAPS}for _ in range(2):\n            try: return f(*given, **named)\n            except KeyError: pass\n"
    "    return call\n@again",
    "import backoff, httpx\n@backoff.on_exception(backoff.expo, httpx.ConnectError)",
    "import tenacity\n@tenacity.retry\ndef wait(client): assert client.get('/').is_success\n",
]


@pytest.mark.parametrize("decorator", RETRIED)
def test_check_that_its_decorator_repeats(tmp_path: Path, decorator: str) -> None:
    [text] = found(tmp_path, f"{decorator}\n{CHECK}")
    assert text.startswith("suites/privacy/test_more.py::test_x is repeated by its decorator until it passes")


@pytest.mark.parametrize("decorator", NOT_RETRIED)
def test_decorator_that_repeats_no_failure(tmp_path: Path, decorator: str) -> None:
    assert found(tmp_path, f"{decorator}\n{CHECK}") == []


@pytest.mark.parametrize("module", ["retry.py", "privacy/retry.py", "retry/__init__.py"])
def test_local_module_with_the_name_of_a_package(tmp_path: Path, module: str) -> None:
    file = tmp_path / "suites" / "privacy" / "test_more.py"
    assert len(found(tmp_path, f"from retry import logged\n@logged\n{CHECK}")) == 1
    (file.parents[1] / module).parent.mkdir(exist_ok=True)
    (file.parents[1] / module).write_text("def logged(check): return check\n")
    assert always_true(tmp_path / "suites") == []


@pytest.mark.parametrize("body", LOST)
def test_assertion_that_is_caught_or_never_reached(tmp_path: Path, body: str) -> None:
    [text] = found(tmp_path, CLIENT + body)
    assert text.startswith("suites/privacy/test_more.py::test_x never fails by its assertions")


@pytest.mark.parametrize("source", EMPTY)
def test_check_in_which_nothing_can_fail(tmp_path: Path, source: str) -> None:
    [text] = found(tmp_path, source)
    assert text.startswith(f"suites/privacy/test_more.py{EMPTY[source]}")


@pytest.mark.parametrize("source", [CLIENT + body for body in (*GOOD, *NOT_LOST)] + FIXTURES_CHECK)
def test_good_check(tmp_path: Path, source: str) -> None:
    assert found(tmp_path, source) == []


@pytest.mark.parametrize(
    "source", ["@pytest.fixture(autouse=True)\ndef every(): yield", "@pytest.fixture\ndef client(): return {}"]
)
def test_conftest_decides_about_the_checks_below_it(tmp_path: Path, source: str) -> None:
    (tmp_path / "suites" / "other").mkdir(parents=True)
    conftest = tmp_path / "suites" / "other" / "conftest.py"
    conftest.write_text(f"import pytest\n{source}\n")
    [text] = found(tmp_path, "def test_x(client): client.get('/')")
    assert "checks no answer" in text
    conftest.rename(tmp_path / "suites" / "conftest.py")
    assert always_true(tmp_path / "suites") == []


@pytest.mark.parametrize("project", [ROOT, *sorted((ROOT / "examples").iterdir())], ids=lambda path: path.name)
def test_shipped_checks_can_fail(project: Path) -> None:
    assert always_true(project / "suites") == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def test_bad(client): assert client.get('/health')\n", ":1 asserts an answer"),
        ("def test_bad(client): client.get('/health').status_code == 500\n", ":1 compares without a result"),
        ("def test_bad(client): return client.get('/health').status_code == 500\n", "test_bad returns a value"),
        ("def test_bad(client): assert (client.get('/health').status_code == 500, 'x')\n", ":1 asserts a tuple"),
        (
            "class Check:\n    def __call__(self, client): assert client is None\ntest_bad = Check()\n",
            "test_bad is not a function",
        ),
    ],
)
def test_run_that_hides_warnings_is_refused(project: Project, source: str, words: str) -> None:
    project.add("endpoints", source)
    run = project.run("-W", "ignore")
    assert (run.code, run.report["verdict"], run.calls) == (4, "refused", []), run.output
    assert words in run.report["reason"]


def test_selected_check_is_not_refused_for_another_file(project: Project) -> None:
    project.add("endpoints", "def test_bad(client): return 1\n")
    assert project.run("suites/redis", target=None).code == 0
    project.add("redis", f"{ASKS}def test_bad(client): return 1\n")
    assert project.run("suites/redis", target=None).code == 4
