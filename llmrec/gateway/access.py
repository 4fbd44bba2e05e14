"""Who may ask for what: API keys with roles, people and rates, from a file that holds only what keys hash to."""

import hashlib
import hmac
import ipaddress
import json
import logging
import math
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

import yaml
from filelock import FileLock

from llmrec.config import load_config
from llmrec.errors import ConfigError, InputError
from llmrec.gateway.faults import Refusal

log = logging.getLogger(__name__)

Role = Literal["read", "events", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
HASH = re.compile(r"sha256:[0-9a-f]{32}:[0-9a-f]{64}")
LOOK_AGAIN = 1.0  # seconds between two looks at the file
BUCKETS = 10_000
HEADER = "# Keys of the gateway: llmrec keys add, list, remove. What stands here opens nothing.\n"


@dataclass(frozen=True)
class Entry:
    """One key in the file."""

    hash: str
    """The key's salt and what both hash to: sha256:SALT:DIGEST."""
    roles: tuple[Role, ...]
    """What the key may do: read (ask), events (tell what people did, forget them), admin (everything)."""
    people: str | None = None
    """The key may ask only for people whose id begins so; it ends in a sign, as in shop1/."""
    rate: int | None = None
    """Requests a minute; all of them may come at once. No limit without it."""

    def __post_init__(self) -> None:
        if not HASH.fullmatch(self.hash):
            raise ConfigError("hash is not of the form sha256:SALT:DIGEST. Make the key with `llmrec keys add`")
        if not self.roles:
            raise ConfigError(f"roles is empty: name at least one of {', '.join(ROLES)}")
        if self.people is not None and (not self.people or self.people[-1].isalnum()):
            # With the prefix shop1 a key would open the people of shop10 too.
            raise ConfigError(
                f"people is {self.people!r}: let it end in a sign that parts it from the id, as in shop1/"
            )
        if self.rate is not None and self.rate < 1:
            raise ConfigError(f"rate is {self.rate}: it is at least 1 request a minute")


@dataclass(frozen=True)
class KeysFile:
    """The file of keys, in YAML or JSON."""

    keys: Mapping[str, Entry] = field(default_factory=dict)
    """Each key by its name."""

    def __post_init__(self) -> None:
        for name in self.keys:
            _check_name(name)


@dataclass(frozen=True)
class Key:
    """Somebody who asks, and what they may."""

    name: str
    roles: tuple[Role, ...] = ("read",)
    people: str | None = None
    rate: int | None = None

    def require(self, role: Role) -> None:
        """Refuse what the key has no role for."""
        if role not in self.roles and "admin" not in self.roles:
            raise Refusal(
                403, f"The key {self.name!r} has not the role {role!r}, only {', '.join(self.roles)}. Use another",
                code="missing_role",
            )  # fmt: skip

    def require_person(self, person: str) -> None:
        """Refuse people of somebody else."""
        if self.people is not None and not person.startswith(self.people):
            raise Refusal(
                403, f"The key {self.name!r} may ask only for people whose id begins with {self.people!r}",
                param="user", code="foreign_person",
            )  # fmt: skip


class Keys:
    """The keys that open the gateway. A changed file counts within a second; a broken one leaves the former keys."""

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic):
        self._path, self._clock = path, clock
        self._entries: Mapping[str, Entry] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._looked = -math.inf

    @classmethod
    def open(cls, path: Path, clock: Callable[[], float] = time.monotonic) -> "Keys":
        """The keys of a file, which is watched from then on."""
        opened = cls(Path(path), clock)
        opened._stamp = _stamp(Path(path))  # before it is read: a change in between is seen at the next look
        opened._entries = read_keys(path)
        opened._looked = clock()
        return opened

    @classmethod
    def none(cls) -> "Keys":
        """No keys: whoever reaches the gateway may do everything. `require_loopback` says where that may be."""
        return cls(None)

    @property
    def guarded(self) -> bool:
        """Whether a key is needed."""
        return self._path is not None

    def require_loopback(self, host: str) -> None:
        """Refuse to listen without keys where others can reach it."""
        try:
            inside = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            inside = False
        if not self.guarded and not inside:
            raise InputError(
                f"{host} can be reached from outside, and no keys are asked for. Make some: llmrec keys add keys.yaml "
                "--name shop --role read. Or listen on 127.0.0.1"
            )

    def check(self, header: str | None) -> Key:
        """Who it is, from the header `Authorization`."""
        if self._path is None:
            return Key("anyone", ROLES)
        self._look()
        scheme, _, given = (header or "").strip().partition(" ")
        given = given.strip()
        if scheme.lower() != "bearer" or not given:
            raise _unknown(
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY)",
                None,
            )
        # The name in the key says which hash to compare with; that of no key is compared with one that nothing has, so
        # that the time tells nobody which names there are.
        name = given.removeprefix("sk-").rpartition("-")[0]
        entry = self._entries.get(name)
        if not _matches(given, entry.hash if entry else NOBODY) or entry is None:
            raise _unknown("Incorrect API key provided. Ask whoever runs this server for one", "invalid_api_key")
        return Key(name, entry.roles, entry.people, entry.rate)

    def _look(self) -> None:
        now = self._clock()
        if self._path is None or now - self._looked < LOOK_AGAIN:
            return
        self._looked = now
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._entries = read_keys(self._path)
        except InputError as error:
            log.error("The keys stay as they were: %s", error)


class Limiter:
    """A bucket of requests a key, which fills again at the key's rate; the least used go where there are too many."""

    def __init__(self, most: int = BUCKETS, clock: Callable[[], float] = time.monotonic):
        self._most, self._clock = most, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what was left, and when
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Key) -> None:
        """Count one request, or refuse it with the time to wait."""
        if key.rate is None:
            return
        with self._lock:
            now = self._clock()
            left, then = self._buckets.get(key.name, (float(key.rate), now))
            left = min(float(key.rate), left + max(0.0, now - then) * key.rate / 60)
            allowed = left >= 1 - 1e-9  # the sum of many small times may stay a little below 1
            self._buckets[key.name] = (left - 1 if allowed else left, now)
            self._buckets.move_to_end(key.name)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        if not allowed:
            wait = max(1, math.ceil((1 - left) * 60 / key.rate))
            raise Refusal(
                429, f"Rate limit reached for {key.name!r}: {key.rate} requests a minute. Try again in {wait} s",
                code="rate_limit_exceeded", headers={"Retry-After": str(wait)},
            )  # fmt: skip


def read_keys(path: Path) -> Mapping[str, Entry]:
    """The keys in a file, by name."""
    return load_config(KeysFile, Path(path)).keys


def add_key(path: Path, name: str, roles: Sequence[str], *, people: str | None = None, rate: int | None = None) -> str:
    """Make a key, write what it hashes to into the file, and return the key: it can never be read again."""
    _check_name(name)
    known_roles = tuple(role for role in ROLES if role in roles)
    if wrong := set(roles) - set(known_roles):
        raise InputError(f"{min(wrong)!r} is not a role. The roles are {', '.join(ROLES)}")
    key = f"sk-{name}-{secrets.token_hex(32)}"
    entry = Entry(_hashed(key, secrets.token_bytes(16)), known_roles, people, rate)
    with _lock(path):
        known = read_keys(path) if Path(path).exists() else {}
        if name in known:
            raise InputError(f"{path} has a key {name!r} already. Choose another --name, or remove that one first")
        _write(Path(path), {**known, name: entry})
    return key


def remove_key(path: Path, name: str) -> None:
    """Take a key out of the file: within a second it opens nothing any more."""
    with _lock(path):
        known = read_keys(path)
        if name not in known:
            raise InputError(f"{path} has no key {name!r}. It has {', '.join(known) or 'none at all'}")
        _write(Path(path), {other: entry for other, entry in known.items() if other != name})


def _hashed(key: str, salt: bytes) -> str:
    """What stands in the file for a key.

    One round of SHA-256 is enough: a key is 256 random bits, which nobody guesses however fast the hash is. A slow hash
    (scrypt) protects passwords that people chose; here it would cost every request tens of milliseconds, and give
    whoever sends wrong keys a way to keep the server busy.
    """
    return f"sha256:{salt.hex()}:{hashlib.sha256(salt + key.encode()).hexdigest()}"


NOBODY = f"sha256:{'0' * 32}:{'0' * 64}"


def _matches(given: str, hashed: str) -> bool:
    salt = bytes.fromhex(hashed.split(":")[1])
    return hmac.compare_digest(_hashed(given, salt), hashed)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a key. Use up to 64 small letters, digits, '-', '_' and '.', a letter or digit first"
        )


def _unknown(message: str, code: str | None) -> Refusal:
    return Refusal(401, message, code=code, headers={"WWW-Authenticate": "Bearer"})


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does, also where it was replaced within one tick of the clock."""
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_ino, told.st_size


def _lock(path: Path) -> FileLock:
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a folder. Make it first, or choose another place for the keys")
    beside = path.with_name(f".{path.name}.lock")
    try:
        beside.touch(mode=0o600)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}). Choose another place for the keys") from error
    return FileLock(beside, mode=0o600)


def _write(path: Path, entries: Mapping[str, Entry]) -> None:
    """Replace the file whole, readable by its owner alone."""
    told = {
        "keys": {
            name: {what: list(value) if isinstance(value, tuple) else value for what, value in asdict(entry).items()
                   if value is not None}
            for name, entry in entries.items()
        }
    }  # fmt: skip
    text = (
        json.dumps(told, indent=2) + "\n" if path.suffix == ".json" else HEADER + yaml.safe_dump(told, sort_keys=False)
    )
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            if path.exists():  # a server of another user goes on reading it where root changes it
                owner = path.stat()
                if (owner.st_uid, owner.st_gid) != (os.getuid(), os.getgid()):
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}). The keys are as they were") from error
    finally:
        partial.unlink(missing_ok=True)
