"""Pages of the site that are made from the code when it is built, so that none can differ from it."""
