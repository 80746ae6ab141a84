"""The command line: reads arguments, calls one use case, prints. Nothing is decided here.

A module per group of commands, put together in `entry`. Modules that take long to import (Dagster 1.3 s, pandas 0.6 s)
are imported by the command that needs them.
"""

from trr_pipelines.cli.entry import main

__all__ = ["main"]
