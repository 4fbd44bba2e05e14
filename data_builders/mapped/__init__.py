"""The parts of the tabular builder: the mapping, reading tables, bringing columns to their types, and guessing."""
