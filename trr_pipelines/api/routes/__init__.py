"""The routes, one module per subject. Each parses the request, calls one use case and returns its result."""
