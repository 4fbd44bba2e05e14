"""A talk with a gateway in the terminal: answers as they come, items with their pictures where these can be shown."""
