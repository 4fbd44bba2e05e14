"""Candidates for a person: popularity, neighbours, sequences, words and pictures, and their fusion."""
