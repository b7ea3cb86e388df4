"""The list's cursor: a position as 32 characters of base64url, opaque to callers."""

import base64
import binascii
import struct
import uuid
from datetime import UTC, datetime, timedelta

from app.problems import Problem
from app.store import Position

_LAYOUT = struct.Struct(">q16s")  # microseconds since 1970, id
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode_cursor(position: Position) -> str:
    """The cursor of a position."""
    microseconds = (position.created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(_LAYOUT.pack(microseconds, position.id.bytes)).decode()


def decode_cursor(text: str) -> Position:
    """The position of a cursor. Raises Problem (422) for any text that `encode_cursor` does not make."""
    try:
        microseconds, id_bytes = _LAYOUT.unpack(base64.b64decode(text, altchars=b"-_", validate=True))
        return Position(_EPOCH + timedelta(microseconds=microseconds), uuid.UUID(bytes=id_bytes))
    except (binascii.Error, ValueError, struct.error, OverflowError):
        raise Problem(422, "cursor: not one that this service gave") from None
