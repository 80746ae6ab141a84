"""Checks: invariants that must hold, and guardrails that warn."""
