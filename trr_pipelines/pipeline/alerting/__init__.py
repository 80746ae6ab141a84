"""Alerting: which conditions are alerts, and how they are delivered."""
