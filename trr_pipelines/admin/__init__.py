"""The admin web app: pages, sign-in, and a proxy for a few changes. It reaches the backend over HTTP only."""
