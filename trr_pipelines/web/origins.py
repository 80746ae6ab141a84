"""The addresses of a web app: the hosts it serves, and the origins whose pages may request changes."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers


@dataclass(frozen=True)
class Origins:
    """Origins (`scheme://host[:port]`) of the app itself; every other Origin and Host is refused."""

    known: frozenset[str]
    is_secure: bool

    @classmethod
    def of(cls, public_url: str, port: int) -> Origins:
        """The origin of an app's public URL; loopback at its port when the URL is empty."""
        if public_url:
            return cls(frozenset({origin_of(public_url)}), public_url.startswith("https://"))
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


def is_same_origin(headers: Headers, known: frozenset[str]) -> bool:
    """Whether a page of ours sent this request, by the two headers that browsers set and scripts cannot.

    `Sec-Fetch-Site`, if present, must be `same-origin`, or `none`, which does not name a page; `Origin`, if present,
    must be one of `known`. One of them must identify us: browsers send `Sec-Fetch-Site` to https and to this machine,
    and `Origin` with every method that is not safe.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site not in (None, "none", "same-origin"):
        return False
    return site == "same-origin" if origin is None else origin in known


def cross_origin_detail(headers: Headers) -> str:
    """The refusal of a request that `is_same_origin` does not accept."""
    origin, site = headers.get("origin", "not sent"), headers.get("sec-fetch-site", "not sent")
    return f"the request is not from a page of this app (Origin: {origin[:200]}, Sec-Fetch-Site: {site[:40]})"
