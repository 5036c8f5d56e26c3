"""Where a search starts, before there is a model of anything."""
