"""The routes, one module for each thing they are about. Each is thin: read, call one use case, answer."""
