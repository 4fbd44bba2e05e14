"""Tuning: a model, item words and a dataset go in, a run comes out."""
