"""Suites of experiments: what of several ways is worth what it costs, answered by running all of them."""
