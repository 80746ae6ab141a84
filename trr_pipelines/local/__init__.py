"""All processes on one machine: what `trr up` and `trr demo` start and stop, and in which order.

In production a supervisor runs the same processes; only the CLI imports this package.
"""
