"""Which hosts and addresses a fetch may contact.

Pure: nothing is resolved or connected here. Source URLs are untrusted input, so they must not reach hosts that only
this machine or its network can reach: internal services, routers, cloud metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from trr_pipelines.errors import InputError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# IANA's special-purpose registries, written out because `ipaddress` reads them differently from one Python to the
# next: on 3.11 64:ff9b::a9fe:a9fe and 2002:a9fe:a9fe:: (both 169.254.169.254) count as global.
_NOT_PUBLIC_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network, unspecified
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; holds a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's host agent, reachable only from its own machines
        "169.254.0.0/16",  # link-local, metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_GLOBAL_UNICAST_V6: Final = IPv6Network("2000::/3")  # all else is loopback, private, link-local, mapped or unassigned
_NOT_PUBLIC_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: any IPv4 address can hide in it
        "3fff::/20",  # documentation
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # how a network without IPv4 reaches public IPv4 hosts

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


def may_contact(address: Address, allow: Iterable[Network] = ()) -> bool:
    """Whether `address` is public, or in one of the networks that the operator allows."""
    return any(address in network for network in allow) or _is_public(address)


def parse_networks(networks: Iterable[str | Network]) -> tuple[Network, ...]:
    """Networks as an operator writes them (`10.1.0.0/16`, `::1`). Raises `InputError` naming the one that is none."""
    parsed = []
    for network in networks:
        try:
            parsed.append(ip_network(network))
        except ValueError as error:
            raise InputError(f"not a network: {error}") from error
    return tuple(parsed)


def check_host(host: str) -> None:
    """Raise `InputError` unless `host` is a DNS name or an address in canonical form.

    A host that ends in a number but is not a dotted quad (2130706433, 127.1, 0x7f.1, 0177.0.0.1) is parsed as an IPv4
    address by the C library, which a comparison of strings would miss.
    """
    if ":" in host:
        try:
            zone = IPv6Address(host).scope_id
        except ValueError:
            raise InputError(f"not an IPv6 address: {host[:60]!r}") from None
        if zone is not None:
            raise InputError(f"a link-local address with a zone: {host[:60]!r}")
        return
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise InputError(f"not a host name: {host[:60]!r}")
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        try:
            IPv4Address(host)
        except ValueError:
            raise InputError(f"an IPv4 address that is not in dotted decimal form: {host!r}") from None


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    if address in _NAT64:
        return _is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _GLOBAL_UNICAST_V6 and not any(address in network for network in _NOT_PUBLIC_V6)
