"""Runs several Locust processes as one load: Locust's own master and workers, and the checks that its protocol lacks.

Locust's messages are neither signed nor secret, and it trusts every process that joins. So a worker sends no request
before it has the plan from a master that knows the smoke users' passwords, and the master counts only workers that know
them as well; the passwords are never sent. The master compares the report that a worker sends at its end with the
statistics that arrived from it: if anything was lost, the load has no result.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import socket
from collections.abc import Mapping
from typing import Any

import gevent

from verification.load.locusts.results_file import failures, write
from verification.load.locusts.timekeeping import Timekeeper
from verification.load.locusts.users import MISSING_TOKENS, adopt, clear
from verification.load.model import MOST_REMOVING_S

# Users finish within Locust's --stop-timeout of 2 s, then delete.
_LAST_WORDS_S = 10.0 + MOST_REMOVING_S
# From the order to begin to the last worker's first user, on a machine under load.
_BEGINNING_S = 15.0
# The keys that the master sends to a worker; none of them is secret.
_SHARED = ("base_url", "rate_per_user", "service", "timeout_s", "largest", "ca_file")
_HELLO, _PLAN, _JOINED, _BEGUN, _WORKED = "hello", "plan", "joined", "begun", "worked"


def _key(config: Mapping[str, Any]) -> bytes:
    """Return a key from the users' passwords and the key that only processes on this machine get.

    It is slow to compute, so that a listener cannot guess passwords.
    """
    known = json.dumps([config.get("key", ""), sorted([user["email"], user["password"]] for user in config["users"])])
    return hashlib.scrypt(known.encode(), salt=b"load workers", n=2**14, r=8, p=1)


def _proof(key: bytes, *parts: str) -> str:
    return hmac.new(key, json.dumps(parts).encode(), "sha256").hexdigest()


class Master:
    """Sends no request; sends the plan to workers, ends the load, and adds up their results."""

    def __init__(self, environment: Any, config: Mapping[str, Any]) -> None:
        self._environment, self._runner, self._config = environment, environment.runner, config
        self._key = _key(config)
        self._text = json.dumps({name: config[name] for name in _SHARED})
        self._challenge = secrets.token_hex(16)
        self._seen: set[str] = set()
        self._joined: dict[str, str] = {}
        self._worked: dict[str, dict[str, Any]] = {}
        self._time = Timekeeper()
        self._begun: set[str] = set()
        self._over = False
        listeners = (
            (_HELLO, self._hello),
            (_JOINED, self._join),
            (_BEGUN, self._begin),
            (_WORKED, self._receive_report),
        )
        for name, listener in listeners:
            self._runner.register_message(name, listener)
        environment.events.worker_connect.add_listener(self._connected)
        environment.events.test_start.add_listener(self._started)
        environment.events.test_stopping.add_listener(self._stopping)
        environment.events.quitting.add_listener(self._write)
        gevent.spawn_later(config["join_s"], self._give_up)
        write(config["port_file"], {"port": self._runner.server.port})

    def _connected(self, client_id: str, **_: Any) -> None:
        if not self._over:
            self._seen.add(client_id)

    def _hello(self, msg: Any, **_: Any) -> None:
        if self._over:  # it came for the next load, and this master is about to leave
            self._runner.send_message("quit", client_id=msg.node_id)
            return
        proof = _proof(self._key, _PLAN, str(msg.data["nonce"]), self._text, self._challenge)
        plan = {"plan": self._text, "challenge": self._challenge, "proof": proof, "index": len(self._joined)}
        self._runner.send_message(_PLAN, plan, client_id=msg.node_id)

    def _join(self, msg: Any, **_: Any) -> None:
        host, proof = str(msg.data["host"]), str(msg.data["proof"])
        if hmac.compare_digest(proof, _proof(self._key, _JOINED, self._challenge, msg.node_id, host)):
            self._joined[msg.node_id] = host

    def _receive_report(self, msg: Any, **_: Any) -> None:
        self._worked[msg.node_id] = dict(msg.data)

    def _give_up(self) -> None:
        if not self._time.begun:
            problem = (
                f"{len(self._joined)} of {self._config['expected']} workers joined within {self._config['join_s']:g} s"
            )
            write(self._config["extra"], {"problem": problem})
            os._exit(1)  # Locust's own exit would leave the workers that have joined running

    def _started(self, **_: Any) -> None:
        if not self._time.begun:  # Locust starts the test again if a worker comes or goes
            self._time.begin()
            gevent.spawn_later(_BEGINNING_S + self._config["seconds"], self._end)

    def _begin(self, msg: Any, **_: Any) -> None:
        """End the load ``seconds`` after the last worker's first user, so that each makes as much as planned."""
        self._begun.add(msg.node_id)
        if len(self._begun) == self._config["expected"]:
            gevent.spawn_later(self._config["seconds"], self._end)

    def _stopping(self, **_: Any) -> None:
        self._time.end()

    def _end(self) -> None:
        """End the load. Locust's own ``quit`` waits half a second for the last statistics; users that wait for an answer take longer."""
        self._over = True
        self._runner.stop(send_stop_to_client=False)
        self._runner.send_message("quit")
        # The master quits when the last worker has reported that it quits, and does not wait longer than this.
        gevent.spawn_later(_LAST_WORDS_S, self._runner.quit)

    def _problem(self) -> str | None:
        expected, strangers = self._config["expected"], self._seen - self._joined.keys()
        if strangers:
            return f"{len(strangers)} of the workers that joined do not know the smoke users"
        lost = [host for one, host in self._joined.items() if one not in self._worked]
        if lost or len(self._joined) < expected:
            where = f" (on {', '.join(sorted(set(lost)))})" if lost else ""
            return f"{len(lost) or expected - len(self._joined)} of {expected} workers were lost{where}"
        missing = [text for one in self._worked.values() for text in one.get("missing_tokens", ())]
        if missing:
            return str(missing[0])
        made = sum(int(one["requests"]) for one in self._worked.values())
        arrived = sum(entry.num_requests for entry in self._environment.stats.entries.values())
        return None if made == arrived else f"workers made {made} requests, and statistics of {arrived} arrived"

    def _write(self, **_: Any) -> None:
        workers = [{**self._worked.get(one, {}), "host": host} for one, host in self._joined.items()]
        noted = {**self._time.figures, "errors": failures(self._environment.stats), "workers": workers}
        write(self._config["extra"], {**noted, "problem": self._problem()})


class Worker:
    """Makes a part of the load, after the master has proved that it knows the smoke users."""

    def __init__(self, environment: Any, config: Mapping[str, Any]) -> None:
        self._runner, self._users = environment.runner, config["users"]
        self._own = {name: config.get(name) for name in ("route", "ledger")}  # workers elsewhere get none
        self._key = _key(config)
        self._nonce = secrets.token_hex(16)
        self._host = socket.gethostname()
        self._requests = 0
        self._time = Timekeeper()
        self._runner.register_message(_PLAN, self._adopt)
        environment.events.request.add_listener(self._requested)
        environment.events.request.add_listener(self._time.requested)
        environment.events.test_start.add_listener(self._started)
        environment.events.test_stopping.add_listener(self._stopping)
        environment.events.test_stop.add_listener(self._report)
        self._runner.send_message(_HELLO, {"nonce": self._nonce})

    def _adopt(self, msg: Any, **_: Any) -> None:
        text, challenge = str(msg.data["plan"]), str(msg.data["challenge"])
        if not hmac.compare_digest(str(msg.data["proof"]), _proof(self._key, _PLAN, self._nonce, text, challenge)):
            print("the master does not know the smoke users: nothing is asked for it", flush=True)
            os._exit(76)
        adopt({**json.loads(text), **self._own}, self._users, int(msg.data["index"]))
        proof = _proof(self._key, _JOINED, challenge, self._runner.client_id, self._host)
        self._runner.send_message(_JOINED, {"host": self._host, "proof": proof})

    def _requested(self, **_: Any) -> None:
        self._requests += 1

    def _started(self, **_: Any) -> None:
        self._time.begin()
        self._runner.send_message(_BEGUN, {})

    def _stopping(self, **_: Any) -> None:
        self._time.end()

    def _report(self, **_: Any) -> None:
        """Report after the last user, and before Locust sends the last statistics."""
        if self._time.begun:
            more = {"left": clear(), "missing_tokens": sorted(MISSING_TOKENS)}
            self._runner.send_message(_WORKED, {"requests": self._requests, **more, **self._time.figures})
