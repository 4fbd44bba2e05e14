"""How figures and names are written in sentences."""

from collections.abc import Sequence


def listed(parts: Sequence[str], word: str = "and") -> str:
    """Several as people say them: a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"
