"""Everything under `defs`, as Dagster loads it. No I/O beyond reading the code: no database, no store, no network."""

from pathlib import Path

from dagster import load_from_defs_folder

defs = load_from_defs_folder(path_within_project=Path(__file__).parent)
