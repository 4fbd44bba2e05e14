"""The kinds of content that an item's word can be made of, by name; nothing heavy, since recipes are read anywhere."""

TOLD = "told"
EYES = ("picture", "sight")
KINDS = (*EYES, TOLD, "text", "collaborative", "popularity")
