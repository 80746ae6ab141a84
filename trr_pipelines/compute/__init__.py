"""Where rendering runs: child processes under limits of time and memory, of this machine or of a Dask cluster's.

What is rendered is decided in `pipeline`, how in `imaging`.
"""
