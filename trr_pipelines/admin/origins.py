"""The addresses of the app: the hosts it serves, and the origins whose pages may request changes."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from trr_pipelines.settings import Settings


@dataclass(frozen=True)
class Origins:
    """Origins (`scheme://host[:port]`) of the app itself; every other Origin and Host is refused."""

    known: frozenset[str]
    is_secure: bool

    @classmethod
    def of(cls, settings: Settings) -> Origins:
        """The origin of TRR_ADMIN_URL; if it is not set, loopback at the app's port."""
        if settings.admin_url:
            return cls(frozenset({origin_of(settings.admin_url)}), settings.admin_url.startswith("https://"))
        port = settings.admin_port
        return cls(frozenset({f"http://127.0.0.1:{port}", f"http://localhost:{port}"}), False)

    @property
    def hosts(self) -> frozenset[bytes]:
        """Values of the Host header that are accepted."""
        return frozenset(origin.partition("://")[2].encode() for origin in self.known)


def origin_of(url: str) -> str:
    """The origin of an http(s) URL, without its default port, as browsers send it."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
