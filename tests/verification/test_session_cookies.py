"""The cookies of a sign-in are read as browsers read them, also those that Python's parser drops."""

from __future__ import annotations

from email.message import Message

import pytest

from verification.journeys.sessions import _cookies


class Answer:
    """An answer with these headers Set-Cookie."""

    status = 200
    body = b""

    def __init__(self, *lines: str) -> None:
        self.headers = Message()
        for line in lines:
            self.headers["Set-Cookie"] = line


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (["sid=abc; Path=/; Secure; HttpOnly; SameSite=None; Partitioned"], {"sid": "abc"}),
        (["sid=abc; Priority=High; Path=/"], {"sid": "abc"}),
        (['sid={"a":1}; Path=/'], {"sid": '{"a":1}'}),
        (["a[b]=c"], {"a[b]": "c"}),
        (['sid="a b"; Path=/'], {"sid": '"a b"'}),
        (["sid=a=b=="], {"sid": "a=b=="}),
        (["a=1; Path=/", "b=2"], {"a": "1", "b": "2"}),
        (["sid=old", "sid=new"], {"sid": "new"}),
        (["sid=new; Path=/", "sid=; Path=/old; Max-Age=0"], {"sid": "new"}),
        (["sid=new; Path=/", "sid=gone; Path=/old; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], {"sid": "new"}),
        (["sid=; Max-Age=0"], {}),
        (["sid=; Max-Age=-1"], {}),
        (["sid=abc; Max-Age=" + "9" * 5000], {"sid": "abc"}),
        (["sid=; Max-Age=-" + "9" * 5000], {}),
        (["sid=abc; Max-Age=3600; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], {"sid": "abc"}),
        (["sid=abc; Expires=Fri, 31 Dec 9999 23:59:59 GMT"], {"sid": "abc"}),
        (["sid=abc; Expires=soon"], {"sid": "abc"}),
        (["sid=abc; Max-Age=soon"], {"sid": "abc"}),
        (["no cookie at all", "=value", ""], {}),
    ],
)
def test_cookies_of_an_answer(lines: list[str], kept: dict[str, str]) -> None:
    assert _cookies(Answer(*lines)) == kept
