"""Alembic's environment and the revisions of the face bank, each written in SQL beside a two-line Python file.

The schema lies beside tables of others, and one of ours may be lost: so every statement here makes what is missing and
leaves what is there, and `trr db upgrade` runs them all again.
"""
