"""The render process: reads photos from a pipe, one at a time, and replies with variants or a reason.

Started by `process`, never imported by it. Everything that protects the machine from a misbehaving decoder is set here
before the first byte of a photo arrives: limits of memory, time and files, death with the parent, no output.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from trr_pipelines.errors import MediaError

# Private writable memory. It keeps the resident size below the 1.5 GB of a worker: code and data of the libraries,
# which this limit does not count, take 45 MB.
MAX_DATA_BYTES = 1_400_000_000

MAX_OPEN_FILES = 64

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve requests until the parent closes the pipe."""
    parent, cpu_seconds = map(int, sys.argv[1:])
    _die_with(parent)
    _ignore_terminal_signals()
    requests, replies = _private_pipes()
    _limit_resources()
    warnings.simplefilter("ignore")

    from PIL import AvifImagePlugin  # after the limits

    import trr_pipelines.imaging.render  # noqa: F401  now, while errors still reach the parent
    from trr_pipelines.compute import protocol

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    _silence(2)
    _write(replies, protocol.frame({"ready": True}))
    while prefix := requests.read(protocol.LENGTHS.size):
        head_bytes, body_bytes = protocol.lengths(prefix)
        head = json.loads(requests.read(head_bytes))
        data = requests.read(body_bytes)
        # When it expires, SIGPROF ends the process. A timer and not RLIMIT_CPU, which counts from the start of the
        # process by another clock than getrusage: it killed a good photo after 0.9 s once 9,000 had been rendered.
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        _write(replies, _reply(head, data, replies))
        signal.setitimer(signal.ITIMER_PROF, 0)
        del data


def _reply(head: dict[str, Any], data: bytes, replies: BinaryIO) -> list[bytes]:
    from trr_pipelines.compute import failpoint, protocol
    from trr_pipelines.errors import MediaError
    from trr_pipelines.imaging.render import render

    try:
        failpoint.trigger(head["name"], replies)
        return protocol.reply(render(data, protocol.parse_request(head)), _resident_bytes())
    except MediaError as error:
        return protocol.failure(error, _resident_bytes())
    except MemoryError:
        return protocol.failure(_out_of_memory(), _resident_bytes())
    except Exception as error:  # noqa: BLE001  a bug must fail one photo, not the process
        return protocol.failure(_internal(error), _resident_bytes())


def _out_of_memory() -> MediaError:
    from trr_pipelines.errors import PermanentError, Reason

    return PermanentError(Reason.DECODE_OOM, f"rendering takes more than {MAX_DATA_BYTES // 1_000_000:,} MB")


def _internal(error: Exception) -> MediaError:
    from trr_pipelines.errors import PermanentError, Reason

    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    place = f" at {os.path.basename(where.tb_frame.f_code.co_filename)}:{where.tb_lineno}" if where else ""  # noqa: PTH119
    return PermanentError(Reason.INTERNAL, f"{type(error).__name__}: {' '.join(str(error).split())}{place}")


def _die_with(parent: int) -> None:
    """Make the kernel kill this process when its parent ends for any reason."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before the call
        os._exit(0)


def _ignore_terminal_signals() -> None:
    """Ctrl-C and SIGTERM reach the whole process group; the parent decides about the current photo."""
    stopping = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in stopping:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping)


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move both pipes away from stdin and stdout, which become /dev/null, so that libraries may print."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    _silence(0, 1)
    return requests, replies


def _silence(*standard: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in standard:
        os.dup2(null, descriptor)
    os.close(null)


def _limit_resources() -> None:
    for kind, limit in (
        (resource.RLIMIT_DATA, MAX_DATA_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        lowest = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (lowest, lowest))


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123  pathlib adds 8 ms to the start
        return int(statm.read().split()[1]) * resource.getpagesize()


def _write(pipe: BinaryIO, pieces: list[bytes]) -> None:
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[pipe.write(view) or 0 :]


if __name__ == "__main__":
    main()
