"""`trr`, also as `python -m trr_pipelines`.

The commands take a second to import; Ctrl-C in that time ends the process without a traceback, as nothing has started.
"""

from __future__ import annotations

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run a command; see `cli.entry.main`."""
    interrupted = signal.getsignal(signal.SIGINT)
    if interrupted is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from trr_pipelines.cli import main as run_command

    signal.signal(signal.SIGINT, interrupted)
    run_command()


if __name__ == "__main__":
    main()
