"""The parts of the atelier, the drawn shop: its vocabulary, its pictures, its people and its words."""
