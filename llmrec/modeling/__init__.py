"""Models: loading and assembling them, the content of items, item words, and stock folders."""
