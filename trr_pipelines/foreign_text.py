"""Text that others wrote: names, file names, URLs, captions. How it is shown.

Anything of it that reaches a terminal, a log or Markdown goes through `shown` or `shown_url`: escape sequences would
act on the terminal, line breaks would forge lines, and direction characters reorder the text around them.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote, urlsplit

MAX_SHOWN_URL: Final = 500

# Marks and joiners that direct nothing stay as they are: Persian and emoji need U+200C and U+200D.
_DIRECTION: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Before the host of something that is nearly a URL.
_CREDENTIALS: Final = re.compile(r"(/{1,3})[^/@\s]*@")
# Control characters, lone surrogates, line and paragraph separators.
_NOT_SHOWN: Final = ("Cc", "Cs", "Zl", "Zp")


def shown(text: str) -> str:
    """`text` on one line, with control and direction characters written as escapes such as `\\x1b` and `\\u202e`."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(character if can_be_shown(character) else _escaped(character) for character in text)


def shown_url(url: str) -> str:
    """A URL without user name, password, query and fragment, which may be secrets; other text as `shown` writes it."""
    parts = _split(url)
    if parts is None:
        return shown(_CREDENTIALS.sub(r"\1", url.partition("?")[0]))[:MAX_SHOWN_URL]
    scheme, host, path = parts
    return shown(f"{scheme}://{host}{path}")[:MAX_SHOWN_URL]


def file_name_of(url: str) -> str:
    """The last part of a URL's path, decoded and shown, at most 80 characters; the host where it has no path."""
    parts = _split(url)
    if parts is None:
        return shown_url(url)[:80]
    _, host, path = parts
    return shown(unquote(path.rpartition("/")[2]) or host)[:80]


def host_of(url: str) -> str:
    """The host of a URL, without port; empty for other text."""
    parts = _split(url)
    return "" if parts is None else parts[1].rpartition(":")[0] or parts[1]


def can_be_shown(character: str) -> bool:
    """Whether `shown` leaves it as it is."""
    return unicodedata.category(character) not in _NOT_SHOWN and character not in _DIRECTION


def _split(url: str) -> tuple[str, str, str] | None:
    """Scheme, host with port, and path; None for text that is no URL with a host or path."""
    try:
        parts = urlsplit(url, allow_fragments=not url.startswith("file:"))
    except ValueError:  # such as an invalid IPv6 address: its credentials and query are cut off all the same
        scheme, separator, rest = url.partition("://")
        authority, slash, path = rest.partition("?")[0].partition("/")
        return (scheme, authority.rpartition("@")[2], slash + path) if separator else None
    if not parts.scheme or "://" not in url:
        return None
    return parts.scheme, parts.netloc.rpartition("@")[2], parts.path


def _escaped(character: str) -> str:
    codec = "raw_unicode_escape" if unicodedata.category(character) == "Cs" else "unicode_escape"
    return character.encode(codec, "surrogatepass").decode("ascii")
