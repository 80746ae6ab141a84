"""The command line: parse arguments, call one use case, print. No domain logic belongs here.

One module per group of commands, assembled in `entry`. Modules that are slow to import (Dagster 1.3 s, pandas 0.6 s)
are imported by the command that needs them.
"""

from trr_pipelines.cli.entry import main

__all__ = ["main"]
