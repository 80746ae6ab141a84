"""Screenalytics: an HTTP client of the backend with its own database, the face bank.

It reaches the backend over HTTP only: neither the catalogue nor the pipeline is imported here.
"""
