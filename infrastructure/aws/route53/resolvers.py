"""The answers of a resolver, asked by its address: the system's own resolver does not show what others have learned."""

from __future__ import annotations

_PORT = 53
TIMEOUT_S = 3.0


class NoAnswer(Exception):
    """The resolver did not answer, or did not answer this question; the error never leaves this package."""


def addresses(resolver: str, name: str, kind: str) -> frozenset[str]:
    """Return the addresses (``kind``: A or AAAA) at the end of a name's aliases; empty if it has none. Raises NoAnswer.

    ``resolver`` is ``ADDRESS`` or ``ADDRESS:PORT``, an IPv6 address in brackets.
    """
    # dnspython takes a tenth of a second to import, and runs without DNS do not need it.
    import dns.exception
    import dns.flags
    import dns.message
    import dns.query
    import dns.rcode
    import dns.rdatatype

    host, port = _place(resolver)
    question = dns.message.make_query(name, kind)
    try:
        answer, _ = dns.query.udp_with_fallback(question, host, timeout=TIMEOUT_S, port=port)
    except (dns.exception.DNSException, OSError, EOFError) as error:
        raise NoAnswer(f"{resolver} does not answer ({type(error).__name__})") from error
    code = answer.rcode()
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise NoAnswer(f"{resolver} answers {dns.rcode.to_text(code)}")
    wanted = dns.rdatatype.from_text(kind)
    return frozenset(item.to_text() for found in answer.answer if found.rdtype == wanted for item in found)


def _place(resolver: str) -> tuple[str, int]:
    if resolver.startswith("["):
        host, _, rest = resolver[1:].partition("]")
        return host, int(rest.removeprefix(":") or _PORT)
    host, _, port = resolver.partition(":")
    return host, int(port or _PORT)
