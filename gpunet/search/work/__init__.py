"""The workers of a study: who is there, who proposes for all, and what each holds."""
