"""Whether a host or URL is this machine: decided by what the URL is parsed to, never by how its text begins."""

from __future__ import annotations

from ipaddress import ip_address

import httpx


def is_loopback(host: str) -> bool:
    """Whether a host, as parsed from a URL or a connection, is `localhost` or a loopback address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Whether an http(s) URL is at this machine; never with a user or password. Parsed as httpx does."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        return False
    return parsed.scheme in ("http", "https") and not parsed.userinfo and is_loopback(parsed.host)
