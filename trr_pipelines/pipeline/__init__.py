"""Use cases: importing, mirroring originals, rendering, retrying, reconciling. Plain functions, no Dagster.

Every one can be called from a test, the command line or an asset.
"""
