"""Edits by administrators: crops, and a better original in place of another."""
