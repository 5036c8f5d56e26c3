"""A study: what is searched, its trials, and how a network of it is trained."""
