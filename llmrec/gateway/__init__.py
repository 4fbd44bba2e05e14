"""What stands between people and the models: it understands what they ask, and answers."""
