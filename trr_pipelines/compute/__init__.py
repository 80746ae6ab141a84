"""Where rendering runs: child processes of this machine under limits of time and memory.

What is rendered is decided in `pipeline`, how in `imaging`.
"""
