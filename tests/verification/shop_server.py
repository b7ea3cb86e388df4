"""A small real server of another kind: HTTP Basic, health in plain text, no version, created orders named by a Location header."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

USER = {"email": "anna", "password": "canary-Pass/word+2"}
DESCRIPTION = """\
service: shop
health: {request: GET /up, version: none}
dependencies: none
sessions:
  customer: {kind: basic}
journeys:
  look around:
    steps:
      - {name: look, request: GET /goods, expect: {status: 200, headers: {Content-Type: {matches: "^text/html"}}}}
  order:
    as: customer
    live: true
    steps:
      - name: order
        request: {method: POST, path: /orders, form: {tag: "${marker}"}}
        expect: {status: 201}
        capture: {where: header Location}
      - {name: read, request: {method: GET, path: "${where}"}, expect: {status: 200, body: {tag: "${marker}"}}}
    undo:
      - {name: cancel, request: {method: DELETE, path: "${where}"}, expect: {status: 204}}
    sweep:
      request: GET /orders
      items: $.orders
      where: {tag: "${marker}"}
      capture: {where: $.where}
  keep a note:
    as: customer
    live: true
    steps:
      - {name: put, request: {method: PUT, path: "/notes/${uuid}", body: "${marker}"}, expect: {status: 201}}
      - {name: get, request: "GET /notes/${uuid}", expect: {status: 200, body: {tag: "${marker}"}}}
    undo:
      - {name: drop, request: "DELETE /notes/${uuid}", expect: {status: 204}}
      - {name: dropped, request: "GET /notes/${uuid}", expect: {status: 404}}
  complain:
    as: customer
    steps:
      - {name: complain, request: {method: POST, path: /complaints, json: {text: hm}}, expect: {status: 201}, capture: {number: $.number}}
      - {name: answered, request: "GET /complaints/${number}"}
      - {name: count, request: GET /complaints, expect: {status: 200, body: {count: {type: integer}}}}
"""


class Shop:
    """The server's state; ``orders`` holds tags by path, of notes as well. ``lose``: so many orders are taken in, but not answered.

    ``fail`` maps a path, or ``*`` for each other path, to a status. ``version`` is what the header X-Version says; ``only_with``: the header and value without
    which a request is answered 503, as if it had reached another release. ``hosts``: the Host headers that came. ``base``: a path before
    each path of the shop, which a gateway takes off.
    """

    def __init__(self) -> None:
        self.orders: dict[str, str] = {}
        self.seen: list[str] = []
        self.lose = 0
        self.delete_fails = False
        self.fail: dict[str, int] = {}
        self.version = ""
        self.base = ""
        self.only_with: tuple[str, str] | None = None
        self.hosts: set[str] = set()
        self._numbers = 0
        self.lock = threading.Lock()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.shop = self
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://shop.localhost:{self.server.server_address[1]}"

    def order(self, tag: str) -> str:
        with self.lock:
            self._numbers += 1
            where = f"/orders/{self._numbers}"
        self.orders[where] = tag
        return where

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    shop: Shop

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error: a client that closes its connection does not fail the test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        shop = self.server.shop
        path = urlsplit(self.path).path.removeprefix(shop.base)
        shop.seen.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        pair = base64.b64encode(f"{USER['email']}:{USER['password']}".encode()).decode()
        shop.hosts.add(self.headers["Host"])
        if shop.only_with is not None and self.headers.get_all(shop.only_with[0]) != [shop.only_with[1]]:
            self._answer(503, "another release", "text/plain")
        elif (status := shop.fail.get(path, shop.fail.get("*"))) is not None:
            self._answer(status, "broken", "text/plain")
        elif path == "/up":
            self._answer(200, "fine", "text/plain", {"X-Version": shop.version})
        elif path == "/goods":
            self._answer(200, "<h1>Goods</h1>", "text/html; charset=utf-8")
        elif self.headers.get("Authorization") != f"Basic {pair}":
            self._answer(401, "who are you?", "text/plain", {"WWW-Authenticate": 'Basic realm="shop"'})
        elif path.startswith(("/orders", "/notes/")):
            self._orders(shop, path, body)
        else:
            self._answer(201 if self.command == "POST" else 200, {"count": 0, "number": 1})

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the base class defines the names

    def _orders(self, shop: Shop, path: str, body: str) -> None:
        if self.command == "POST":
            where = shop.order(parse_qs(body)["tag"][0])
            if shop.lose > 0:
                shop.lose -= 1
                self.close_connection = True
            else:
                self._answer(201, "", "text/plain", {"Location": f"{shop.url}{where}"})
        elif self.command == "PUT":
            shop.orders[path] = body
            self._answer(201, "", "text/plain")
        elif path == "/orders":
            orders = [(where, tag) for where, tag in list(shop.orders.items()) if where.startswith(path)]
            self._answer(200, {"orders": [{"where": where, "tag": tag} for where, tag in orders]})
        elif path not in shop.orders:
            self._answer(404, "no such order", "text/plain")
        elif self.command == "DELETE" and shop.delete_fails:
            self._answer(500, "broken", "text/plain")
        elif self.command == "DELETE":
            del shop.orders[path]
            self._answer(204, "", "text/plain")
        else:
            self._answer(200, {"tag": shop.orders[path]})

    def _answer(
        self, status: int, value: Any, content_type: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        body = (value if isinstance(value, str) else json.dumps(value)).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        if status != 204:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if status != 204 else b"")
