"""Screenalytics: a client of the backend with a database of its own, the face bank.

It knows the backend by HTTP only: neither the catalogue nor the pipeline is imported here.
"""
