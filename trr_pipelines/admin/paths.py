"""Which paths can mean two things: to a browser or proxy one, to the app another."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes


def ambiguity(raw_path: bytes) -> str | None:
    """Why a path, as sent, is ambiguous; None if it is not."""
    raw = raw_path.lower()
    path = unquote_to_bytes(raw)
    if b"%2f" in raw or b"%5c" in raw or b"\\" in path or b"//" in path or any(byte < 32 for byte in path):
        return "the path is ambiguous: it has an encoded or doubled slash, a backslash or a control character"
    if any(segment in (b".", b"..") for segment in path.split(b"/")) or b"%" in path:
        return "the path is ambiguous: it has a dot segment or is encoded twice"
    return None
