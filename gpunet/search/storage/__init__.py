"""Where studies are kept: SQLite, PostgreSQL, or either behind Optuna's gRPC proxy."""
