"""Smoke tests: end-to-end checks of a running environment, with evidence for the rollout.

They use the environment as its users do: backend and admin app over HTTP, the face bank through Screenalytics.
"""
