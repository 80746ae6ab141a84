"""The app that people use: pages, sign-in, and the few changes it passes on. It knows the backend over HTTP only."""
