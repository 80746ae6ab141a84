"""The backend over HTTP: routes and their wiring. Use cases are in `pipeline`."""
