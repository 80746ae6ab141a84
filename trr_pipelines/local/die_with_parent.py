"""`python -m trr_pipelines.local.die_with_parent PARENT MODULE ARG…`: runs a module that ends when its parent does.

The kernel sends it SIGKILL when the parent thread ends for any reason, so a killed `trr up` leaves no process behind.
(On SIGTERM a code server would first wait for its runs.) `stack` does the orderly stop.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Request the signal, then replace this process by the module."""
    parent, module, *arguments = sys.argv[1:]
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it ended before the request
        sys.exit(1)
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606  the setting survives exec


if __name__ == "__main__":
    main()
