"""Shared by the web apps: sign-in tokens, problem responses, bodies, logs, payloads. Routes belong to the apps."""
