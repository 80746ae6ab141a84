"""Which user of this machine is at the other end of a local TCP connection: the kernel's socket table (proc(5))."""

from __future__ import annotations

import os
import pwd
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from trr_pipelines.errors import SetupError

ANYONE: Final = "*"
_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ROOT: Final = 0

Address = tuple[str, int]
"""IP address and port."""


@dataclass(frozen=True)
class AllowedUsers:
    """The users of this machine who may connect: ours, root and `others`; None: everyone, from other machines too."""

    others: frozenset[int] | None

    @classmethod
    def parse(cls, names: str) -> AllowedUsers:
        """Read a comma-separated list of user names, or `*`. Raises SetupError for a user that does not exist."""
        if names.strip() == ANYONE:
            return cls(None)
        return cls(frozenset(_uid(name.strip()) for name in names.split(",") if name.strip()))

    def refusal(self, client: Address, server: Address) -> str | None:
        """Why a connection is not accepted, or None. Systems other than Linux do not say who connects."""
        if self.others is None or not sys.platform.startswith("linux"):
            return None
        uid = owner(client, server)
        if uid is None:
            return "connections from other machines are not accepted; see TRR_DAGSTER_USERS"
        if uid not in self.others | {_ROOT, os.geteuid()}:
            return f"the user with id {uid} may not use Dagster here; see TRR_DAGSTER_USERS"
        return None


def owner(client: Address, server: Address) -> int | None:
    """The user id of the process that opened the connection from `client` to `server`; None: not on this machine.

    None as well once it has closed its end: the kernel then no longer knows the owner, and writes 0, which is root.
    """
    wanted = {(mine, other) for mine in _written(client) for other in _written(server)}
    for local, remote, uid, inode in _sockets():
        if (local, remote) in wanted and inode != "0":
            return int(uid)
    return None


def _sockets() -> Iterator[tuple[str, str, str, str]]:
    for table in _TABLES:
        if table.exists():
            for line in table.read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                yield fields[1], fields[2], fields[7], fields[9]


def _written(address: Address) -> Iterator[str]:
    """An address as the kernel's tables have it: 32-bit words of host byte order; IPv4 as IPv6 too."""
    ip, port = ip_address(address[0].partition("%")[0]), address[1]
    forms = [ip.packed]
    if isinstance(ip, IPv4Address):
        forms.append(IPv6Address(f"::ffff:{ip}").packed)
    elif ip.ipv4_mapped is not None:
        forms.append(ip.ipv4_mapped.packed)
    for form in forms:
        words = struct.unpack(f"={len(form) // 4}I", form)
        yield "".join(f"{word:08X}" for word in words) + f":{port:04X}"


def _uid(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise SetupError(f"TRR_DAGSTER_USERS: this machine has no user {name!r}") from None
