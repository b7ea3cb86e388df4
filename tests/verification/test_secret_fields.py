"""Secrets in fields of XML, forms, commands, drivers and archives, and tokens of known services; and the texts near to them that stay."""

from __future__ import annotations

import json

import pytest

from tests.verification.test_redaction_of_long_texts import run
from verification.redaction.redactor import MARK, Redactor

S = "Zq7xK9mPw2Lr4TnV"


def pair(first: str, name: str, second: str, value: str) -> str:
    return json.dumps({first: name, second: value})


@pytest.mark.parametrize(
    "text",
    [
        *(pair("name", name, "value", S) for name in ("X-Api-Key", "Set-Cookie", "Cookie", "csrf_token", "sid")),
        pair("value", S, "name", "X-Api-Key"),
        pair("key", "Authorization", "value", f"Basic {S}"),
        json.dumps({"headers": [{"name": "Host", "value": "a"}, {"name": "X-Api-Key", "value": S}]}, indent=2),
        json.dumps({"reason": pair("name", "X-Api-Key", "value", S)}),
        f"Header(name='X-Api-Key', value='{S}')",
        f'<input type="hidden" name="csrf_token" value="{S}">',
        f'<input value="{S}" type="hidden" name="csrf_token">',
        f'<input name="csrf_token" id="a" type="hidden" value="{S}">',
        f'<meta name="csrf-token" content="{S}">',
        json.dumps({"token": {"value": S}}),
        json.dumps({"tokens": [{"value": S}]}),
        f"<token>{S}</token>",
        f"<a:ApiKey>{S}</a:ApiKey>",
        f"<clientSecret type='x'><![CDATA[{S}]]></clientSecret>",
        f"user[password]={S}&a=1",
        f"user%5Bpassword%5D={S}&a=1",
        f"tokens[]={S}&tokens%5B%5D={S}",
        f"E     {{'Authorization': 'Bearer '\nE                       '{S}'}}",
        f"GET /x?next=%2Flogin%3Ftoken%3D{S}%26a%3D1",
        f"GET /x?next=%252Flogin%253Ftoken%253D{S}",
        f"https://{S}@host/x",
        f"token = {S}",
        f"API_KEY= {S}",
        f"tool --token {S} run",
        f"['tool', '--password', '{S}']",
        f"'token' => '{S}'",
        f':token=>"{S}"',
        f'token := "{S}"',
        f"SecretStr('{S}')",
        f"auth=('user', '{S}')",
        f'"auth": ["user", "{S}"]',
        f"BasicAuth('user', '{S}')",
        f'Content-Disposition: form-data; name="password"\r\n\r\n{S}\r\n--x',
        repr(f'Content-Disposition: form-data; name="password"\r\nContent-Type: text/plain\r\n\r\n{S}\r\n--x'),
        f"token: |\n  {S}\n  {S}\nnext: 1",
        f"DETAIL:  Key (token)=({S}) already exists.",
        f"DETAIL:  Key (user_id, api_key)=(1, {S}) already exists.",
        f"<Morsel: sid={S}; Path=/>",
        f"<SimpleCookie: sid='{S}'>",
        f"Cookie(version=0, name='sid', value='{S}', port=None)",
        f"curl -u admin:{S} http://a",
        f"curl -X POST -b 'sid={S}; b=1' http://a",
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{S}\n-----END PGP PRIVATE KEY BLOCK-----",
    ],
)
def test_a_secret_in_a_usual_form_is_hidden(text: str) -> None:
    cleaned = Redactor(()).clean(f"before {text}" if text[0] not in "{<" else text)
    assert S not in cleaned
    assert MARK in cleaned
    assert Redactor(()).clean(cleaned) == cleaned
    written = Redactor(()).clean(json.dumps({"reason": cleaned, "next": "ordinary"}))
    assert json.loads(written)["next"] == "ordinary"


@pytest.mark.parametrize(
    "token",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp" + "_16C7e42F292c6912E7710c838347Ae178B4a",
        "xoxb" + "-123456789012-abcdefABCDEF123",
        "sk_live" + "_4eC39HqLyjWDarjtT1zdp7dc",
        "glpat" + "-abcdefghij0123456789",
        "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sgn1xabc",
    ],
)
def test_a_token_of_a_known_service_is_hidden_wherever_it_stands(token: str) -> None:
    for text in ("got {}", '{{"text": "{}"}}', "assert '{}' == 'x'", "/a/{}/b"):
        assert Redactor(()).clean(text.format(token)) == text.format(MARK)


@pytest.mark.parametrize(
    "text",
    [
        pair("name", "Content-Type", "value", "application/json"),
        pair("name", "plan", "value", "gold-2026"),
        '{"in": "header", "name": "Authorization", "required": true}',
        '{"name": "token", "expected": "a value"}',
        '<input type="text" name="email" value="a@b.c">',
        '<meta name="viewport" content="width=device-width">',
        '{"count": {"value": "12"}}',
        "<p>the token is wrong</p>, <Key>data/2026/part-0001.parquet</Key>, list<Token> of <token> and </token>",
        "<Response>status 401</Response>",
        "filter[name]=anna&page[size]=10&rows[key]=order-000123",
        "filter%5Bstatus%5D=open&rows[]=order-000123",
        "docker login --password-stdin 123456789012.dkr.ecr.us-east-1.example",
        "-  'token': '[redacted]',\n+  'token': '[redacted]'\n   'name': 'ordinary'\n   }",
        "GET /x?next=%2Flogin%3Fpage%3D2%26sort%3Dname",
        "ssh://git@host/x, postgresql://telehealth@host/db, https://host/a@b1234567890123456",
        "token = blue_session_2, session = make_session2(x), key = order-000123, token = 3 of 4",
        "use --token TOKEN, --password is missing, --token-file keys/release2.pem, --key order-000123",
        "'status' => 'open', x => 'a token'",
        "author=('Jane', 'Doe'), SecretStr is a type",
        'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello',
        "token: the text\n  is indented",
        "text: |\n  is indented\ntoken: passed",
        "DETAIL:  Key (email)=(a@b.c) already exists. f(token)=2",
        "DETAIL:  Key (id, key)=(1, order-000123) already exists.",
        "docker run -u app:app x, curl -u admin:$PASSWORD http://a, ls -b a=1",
        "curl -b cookies.txt http://a",
        json.dumps({"reason": "use --token ", "next": "ordinary", "last": "SecretStr("}),
        '{"reason": "no <token>", "next": "no </token>"}',
        "AKIA, ghp_, xoxb-1, sk_live, risk_live_data_2026, task_test_results_20261130, message eyJ",
    ],
)
def test_the_nearest_ordinary_texts_stay(text: str) -> None:
    assert Redactor(()).clean(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "['Authorization', 'Content-Type']",
        "missing headers: {'set-cookie', 'content-length'}",
        "('authorization', 'missing')",
        '{"loc":["header","authorization","scheme"],"msg":"bad"}',
        '{"loc":["header","authorization"],"msg":"field required"}',
        "names: ['cookie', 'date', 'etag'] and ['cookie', 'x-request-id']",
        "expected one of 'cookie', 'bearer'",
        json.dumps({"reason": '["Cookie", "Accept"]'}),
    ],
)
def test_names_of_headers_in_a_list_stay(text: str) -> None:
    assert Redactor(()).clean(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "('Authorization', 'Bearer canary')",
        "['Authorization', 'canary']",
        '["Set-Cookie", "sid=canary"]',
        "[b'cookie', b'canary']",
        "(b'authorization', b'missing-canary', True)",
        "['Host', 'a', 'Authorization', 'Basic canary', 'Accept', '*/*']",
        "['Host', 'a', 'Cookie', 'sid=canary', 'Accept', '*/*']",
        json.dumps({"reason": '["Authorization", "Basic canary"]'}),
    ],
)
def test_the_value_of_a_header_in_a_list_is_hidden(text: str) -> None:
    cleaned = Redactor(()).clean(text)
    assert "canary" not in cleaned
    assert MARK in cleaned


UNITS = [
    *(
        'name="a" ',
        'name="',
        "value='",
        'value="a" ',
        '"token":{',
        "<token>",
        "<a:",
        "[token]",
        "%5Btoken%5D=",
        "%3Ftoken",
    ),
    *(
        "https://a1b2",
        "a1" * 8 + "@",
        "--token ",
        "--a-",
        "auth=('",
        'form-data; name="a"\n',
        "name=a\n\n",
        "token: |\n ",
    ),
    *(
        " \n",
        "(token,",
        ")=(",
        "<Morsel: a",
        "Cookie(name='",
        "curl -u a:",
        "-b a=",
        "xoxb-",
        "sk_live_a",
        "pypi-AgEIcHlwaS5vcmc",
    ),
    *(
        "['cookie', ",
        "'cookie', 'a",
        "token = ",
        "token=>",
        "/reset-password: ",
        "cookie: test_x",
        "a.py:",
        "'[redacted]'\n",
        "token[]=",
    ),
]


@pytest.mark.parametrize("group", range(2))
def test_the_forms_are_looked_for_in_a_time_that_grows_with_the_length(group: int) -> None:
    """A pattern whose time grows with the square needs more than 5 s for one of these texts, and the others 0.2 s."""
    program = (
        "import time\nfrom verification.redaction.redactor import Redactor\n"
        f"for unit in {UNITS[group::2]!r}:\n"
        "    text = 'curl key: ' + unit * (50_000 // len(unit)) + '\\n\"my-token\": \"canary\" </a'\n"
        "    begun = time.process_time()\n"
        "    assert 'canary' not in Redactor(()).clean(text), unit\n"
        "    assert time.process_time() - begun < 2, unit\n"
        "print('done')"
    )
    assert run(program) == "done"
