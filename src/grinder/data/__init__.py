"""Market data: instruments, fixtures and importers."""
