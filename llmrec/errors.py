"""The errors that llmrec raises; only the command line and the gateway turn them into exit codes and responses.

LlmrecError             anything that went wrong and was foreseen: exit code 1
├── DiskFull            no space was left; what was half written has been removed
├── StoreDown           the items cannot be read or written just now; later they may be
└── InputError          what was given is wrong: exit code 2
    ├── ConfigError     a recipe, a mapping or a key=value that cannot be used
    ├── TemplateError   a prompt template that cannot be loaded or rendered
    └── DatasetError    a dataset with problems: all of them, not the first
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


class LlmrecError(Exception):
    """Base of all errors that llmrec raises on purpose."""


class DiskFull(LlmrecError):
    """The disk was full while a stage wrote its result."""


class StoreDown(LlmrecError):
    """The store of items cannot be read or written just now."""


class InputError(LlmrecError):
    """The user's input or usage is wrong; the message says what was seen and what to do."""


class ConfigError(InputError):
    """A configuration file or an override that cannot be used."""


class TemplateError(InputError):
    """A prompt template that cannot be loaded or rendered."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with data: where, what was seen, how often, and what to do."""

    file: str
    what: str
    remedy: str
    rows: tuple[int, ...] = ()
    count: int = 1
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.file}{self.place()}: {self.what}. {self.remedy}"

    def place(self) -> str:
        """The rows, counted from 1 without any header, with the number of those not named."""
        if not self.rows:
            return ""
        rest = self.count - len(self.rows)
        named = ", ".join(str(row) for row in self.rows)
        return f", row{'s' if self.count > 1 else ''} {named}" + (f" and {rest:,} more" if rest > 0 else "")


class DatasetError(InputError):
    """A dataset that cannot be used; `problems` holds every reason."""

    def __init__(self, where: str, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        errors = [problem for problem in problems if problem.severity == "error"]
        lines = "\n".join(f"  - {problem}" for problem in errors)
        super().__init__(f"{where} has {len(errors)} problem{'s' if len(errors) != 1 else ''}:\n{lines}")
