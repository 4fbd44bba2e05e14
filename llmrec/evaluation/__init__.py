"""Honest evaluation: measures, their certainty, the comparison of systems, and the report."""
