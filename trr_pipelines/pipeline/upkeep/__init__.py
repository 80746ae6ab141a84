"""Upkeep: retention of superseded objects, and reconciling rows with objects."""
