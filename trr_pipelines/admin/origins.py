"""Where the app is reached: the hosts it answers under, and the origins whose pages may ask it for changes."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from trr_pipelines.settings import Settings


@dataclass(frozen=True)
class Origins:
    """Origins (`scheme://host[:port]`) of the app itself. Any other page, and any other Host, is a stranger."""

    known: frozenset[str]
    is_secure: bool

    @classmethod
    def of(cls, settings: Settings) -> Origins:
        """TRR_ADMIN_URL; without it, loopback under the port of the app."""
        if settings.admin_url:
            return cls(frozenset({origin_of(settings.admin_url)}), settings.admin_url.startswith("https://"))
        port = settings.admin_port
        return cls(frozenset({f"http://127.0.0.1:{port}", f"http://localhost:{port}"}), False)

    @property
    def hosts(self) -> frozenset[bytes]:
        """Values of the Host header that name this app."""
        return frozenset(origin.partition("://")[2].encode() for origin in self.known)


def origin_of(url: str) -> str:
    """The origin of an http(s) URL, its default port left out as browsers do."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
