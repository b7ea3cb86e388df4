"""The one place through which everything that a run writes passes; it learns secrets as they are read."""

from __future__ import annotations

from verification.redaction import Redactor


class RunRedactor:
    """A redactor that knows more and more secrets."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._redactor = Redactor(())

    def learn(self, *secrets: str) -> None:
        """Values that must not appear anywhere from now on."""
        self._known.update(secrets)
        self._redactor = Redactor(self._known)

    def clean(self, text: str) -> str:
        """The text without secrets."""
        return self._redactor.clean(text)
