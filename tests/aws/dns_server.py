"""A small authoritative DNS server on loopback: it answers from a zone's weighted records as it last read them."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

Records = Callable[[], Sequence[Mapping[str, Any]]]
TTL_S = 60


class DnsServer:
    """Answers A queries from Route 53's record sets as ``records`` lists them; ``refresh`` reads them again."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._known: Sequence[Mapping[str, Any]] = ()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self._stop = threading.Event()
        self.place = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked = 0
        self.refresh()

    def refresh(self) -> None:
        """Replace the known records by the current ones."""
        self._known = self._records()

    @contextmanager
    def running(self) -> Iterator[DnsServer]:
        """Serve while the block runs."""
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join(5)
            self._socket.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                data, client = self._socket.recvfrom(4096)
                answer = self._answer(dns.message.from_wire(data))
            except (TimeoutError, dns.exception.DNSException):
                continue
            self._socket.sendto(answer.to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        self.asked += 1
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        asked = query.question[0]
        owner = name = asked.name.to_text().rstrip(".").lower()
        for _ in range(5):  # an alias may lead to another alias
            chosen = self._choose(name, asked.rdtype)
            if chosen is None:
                break
            if "AliasTarget" in chosen:  # answered with the target's records under this name
                name = str(chosen["AliasTarget"]["DNSName"]).rstrip(".").lower()
                continue
            values = [value["Value"] for value in chosen["ResourceRecords"]]
            if chosen["Type"] == "CNAME":
                values = [f"{value.rstrip('.')}." for value in values]
            ttl = chosen.get("TTL", TTL_S)
            answer.answer.append(dns.rrset.from_text_list(f"{owner}.", ttl, "IN", chosen["Type"], values))
            if chosen["Type"] != "CNAME":
                break
            owner = name = values[0].rstrip(".").lower()
        return answer

    def _choose(self, name: str, kind: dns.rdatatype.RdataType) -> Mapping[str, Any] | None:
        """Return one of a name's records, chosen by weight as Route 53 does: never one of weight 0, unless all weights are 0."""
        found = [
            one
            for one in self._known
            if one["Name"].rstrip(".").lower() == name and one["Type"] in (dns.rdatatype.to_text(kind), "CNAME")
        ]
        weights = [int(one.get("Weight", 1)) for one in found]
        if not found:
            return None
        return random.choices(found, weights if any(weights) else None)[0]
