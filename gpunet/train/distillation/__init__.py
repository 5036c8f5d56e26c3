"""A teacher, and its answers kept on disk."""
