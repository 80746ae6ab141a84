"""Public addresses, and accepted spellings of a host."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trr_pipelines.errors import InputError
from trr_pipelines.pipeline.imports.fetching.addresses import check_host, may_contact, parse_networks

NO_DEADLINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is not a failure

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "151.101.1.140",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "64:ff9b::808:808",
]

NOT_PUBLIC = {
    "unspecified": "0.0.0.0",  # noqa: S104  an address to refuse, not to bind
    "this network": "0.1.2.3",
    "loopback": "127.0.0.1",
    "loopback, other": "127.255.255.254",
    "private 10": "10.0.0.1",
    "private 172": "172.16.0.1",
    "private 172, end": "172.31.255.255",
    "private 192": "192.168.1.1",
    "link-local": "169.254.1.1",
    "metadata": "169.254.169.254",
    "metadata behind CGNAT": "100.100.100.200",
    "CGNAT": "100.64.0.1",
    "CGNAT, end": "100.127.255.255",
    "host agent": "168.63.129.16",
    "protocol assignments": "192.0.0.170",
    "documentation 1": "192.0.2.1",
    "documentation 2": "198.51.100.1",
    "documentation 3": "203.0.113.1",
    "6to4 relay": "192.88.99.1",
    "benchmark": "198.18.0.1",
    "multicast": "224.0.0.1",
    "multicast, end": "239.255.255.255",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "v6 unspecified": "::",
    "v6 loopback": "::1",
    "v6 mapped loopback": "::ffff:127.0.0.1",
    "v6 mapped metadata": "::ffff:169.254.169.254",
    "v6 mapped public": "::ffff:8.8.8.8",
    "v6 compatible": "::127.0.0.1",
    "v6 translated": "::ffff:0:127.0.0.1",
    "NAT64 metadata": "64:ff9b::a9fe:a9fe",
    "NAT64 loopback": "64:ff9b::7f00:1",
    "NAT64 private": "64:ff9b::a00:1",
    "NAT64 local use": "64:ff9b:1::a9fe:a9fe",
    "6to4 metadata": "2002:a9fe:a9fe::",
    "6to4 public": "2002:808:808::1",
    "Teredo": "2001:0:a9fe:a9fe::1",
    "v6 documentation": "2001:db8::1",
    "v6 documentation, new": "3fff::1",
    "v6 unique local": "fd00:ec2::254",
    "v6 link-local": "fe80::1",
    "v6 link-local with zone": "fe80::1%eth0",
    "v6 site-local": "fec0::1",
    "v6 multicast": "ff02::1",
    "v6 discard": "100::1",
    "v6 segment routing": "5f00::1",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_contacted(address: str) -> None:
    assert may_contact(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC.keys())
def test_a_private_or_special_address_may_not_be_contacted(address: str) -> None:
    assert not may_contact(ip_address(address))


@NO_DEADLINE
@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address))
def test_no_address_that_ipaddress_calls_not_global_may_be_contacted(
    address: IPv4Address | IPv6Address,
) -> None:
    if isinstance(address, IPv4Address) or address not in parse_networks(["64:ff9b::/96"])[0]:
        assert address.is_global or not may_contact(address)


@NO_DEADLINE
@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_address_reached_through_nat64_counts_as_itself(address: IPv4Address) -> None:
    assert may_contact(IPv6Address(int(IPv6Address("64:ff9b::")) + int(address))) == may_contact(address)


def test_only_the_listed_networks_are_allowed_besides_public_ones() -> None:
    allow = parse_networks(["127.0.0.0/8", "fd12::/16", "10.1.2.3"])
    for address in ("127.0.0.1", "fd12::1", "10.1.2.3", "8.8.8.8"):
        assert may_contact(ip_address(address), allow)
    for address in ("10.1.2.4", "::1", "::ffff:127.0.0.1", "fd13::1", "169.254.169.254"):
        assert not may_contact(ip_address(address), allow)


@pytest.mark.parametrize("network", ["", "loopback", "10.0.0.1/8", "10.0.0.0/33", "10.0.0"])
def test_an_invalid_network_is_named(network: str) -> None:
    with pytest.raises(InputError, match="not a network"):
        parse_networks(["10.0.0.0/8", network])


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "example.com.",
        "localhost",
        "cdn-1.example.co.uk",
        "my_bucket.s3.example",
        "xn--bcher-kva.example",
        "1.2.3.4",
        "3com.example",
        "0x7f.example",
        "::1",
        "2001:db8::1",
    ],
)
def test_a_name_or_an_address_in_canonical_form_is_a_host(host: str) -> None:
    check_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0X7F.1".lower(),
        "0x",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "127.0.0.1.2",
        "256.0.0.1",
        "example.1",
        "\uff11\uff12\uff17.0.0.1",
        "127\u30020\u30020\u30021",
        "\u2460\u2461\u2466.0.0.1",
        "",
        ".",
        "a..b",
        ".example.com",
        "-a.example",
        "a-.example",
        "a b",
        "a%00b",
        "a\nb",
        "a/b",
        "a@b",
        "a" * 64,
        "a." * 130,
        "fe80::1%eth0",
        "fe80::1%25eth0",
        ":::1",
        "127.0.0.1:80",
    ],
)
def test_any_other_spelling_is_refused(host: str) -> None:
    with pytest.raises(InputError):
        check_host(host)
