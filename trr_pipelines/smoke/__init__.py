"""The smoke: what must work in an environment before a rollout may be closed, tried there and written down.

It knows the environment as its users do: backend and admin app over HTTP, the face bank through Screenalytics.
"""
