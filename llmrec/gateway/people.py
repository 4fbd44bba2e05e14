"""What is known of a person: the rows of the log, and the events that came since."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from llmrec.dataset import Dataset
from llmrec.gateway.events import Events
from llmrec.log import Log


@dataclass(frozen=True)
class Known:
    """A person's past."""

    taken: Sequence[str] = ()
    """Items, oldest first."""
    dismissed: frozenset[str] = frozenset()
    """Items that they do not want to see again."""


class People:
    """People of the log and of the events."""

    def __init__(self, dataset: Dataset | None, events: Events):
        self.events = events
        self._log: Log | None = dataset.log if dataset is not None else None
        self._timed = dataset is not None and dataset.clock == "ms"

    def known(self, person: str) -> Known:
        """What a person took, from the log and from events; nothing of somebody whom nobody knows."""
        live = self.events.history(person)
        return Known([*self._logged(person, live.since), *live.taken], live.dismissed)

    @property
    def any(self) -> bool:
        """Whether the log names people."""
        return bool(self._rows)

    def beginning(self, starts: Sequence[str], limit: int) -> list[tuple[str, Known]]:
        """People of the log whose ids begin with all of `starts`, in the order of their ids, who have a history now."""
        users = self._names
        for start in starts:
            users = users.filter(users.str.starts_with(start))
        found: list[tuple[str, Known]] = []
        for user in users:
            known = self.known(user)
            if known.taken:
                found.append((user, known))
            if len(found) == limit:
                break
        return found

    def _logged(self, person: str, since: int | None) -> list[str]:
        """What the log holds; of somebody who was forgotten only what came after, and nothing without a clock."""
        row = self._rows.get(person)
        if row is None or self._log is None or (since is not None and not self._timed):
            return []
        codes = self._log.history(row)
        if since is not None:
            codes = codes[self._log.time[self._log.start[row] : self._log.start[row + 1]] > since]
        return [self._items[code] for code in codes.tolist()]

    @cached_property
    def _items(self) -> list[str]:
        return [] if self._log is None else self._log.items.to_list()

    @cached_property
    def _names(self) -> pl.Series:
        return pl.Series([], dtype=pl.String) if self._log is None else self._log.users.sort()

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {} if self._log is None else {user: row for row, user in enumerate(self._log.users)}
