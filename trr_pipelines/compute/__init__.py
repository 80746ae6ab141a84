"""Where rendering runs: in child processes with limits of time and memory, on this machine or on a Dask cluster.

What is rendered is decided in `pipeline`, how in `imaging`.
"""
