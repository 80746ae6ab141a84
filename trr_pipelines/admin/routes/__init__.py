"""The pages, one module for each thing they are about. Each reads from the backend and renders a template."""
