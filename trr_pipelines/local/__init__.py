"""The whole system on one machine: what `trr up` and `trr demo` start, in which order, and how it ends.

Production runs the same parts under a supervisor of its own; nothing else imports this package.
"""
