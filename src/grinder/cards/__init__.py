"""What runs, fixtures and plans look like in a notebook: one module a noun, the page they share, pictures of integers."""
