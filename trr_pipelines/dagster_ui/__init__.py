"""Dagster's web UI behind a guard, since Dagster itself carries out the changes that any page or user requests.

`trr up` and every deployment serve this app instead of `dagster-webserver`.
"""
