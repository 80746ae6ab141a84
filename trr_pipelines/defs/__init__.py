"""Dagster only: assets, partitions, sensors, checks, jobs, resources.

Each reads its context, calls one plain function of `pipeline`, returns metadata. No SQL, no object store, no pixels.
"""
