"""Pretraining stages: what a model learns of a catalogue before it is tuned to rank and explain."""
