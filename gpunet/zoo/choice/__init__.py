"""Private: what a query asks for, what it looks at, and which records answer it."""
