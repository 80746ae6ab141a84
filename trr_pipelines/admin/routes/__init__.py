"""The pages, one module per subject. Each reads from the backend and renders a template."""
