"""From nothing to a served model in one command: the product's own stages, one after the other."""
