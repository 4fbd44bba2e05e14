"""A real PostgreSQL server for tests: made in an empty folder, listening on this machine alone."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg


def programs() -> Path | None:
    """The folder of the server's programs, which Debian keeps off the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


class Server:
    """A server in a folder; `url()` makes an empty place on it."""

    def __init__(self, bin: Path, folder: Path):
        self.bin, self.folder, self.port = bin, folder, free_port()
        # It refuses to run as root.
        self._as = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
        if self._as:
            owner = pwd.getpwnam("nobody")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        made = folder / "data"
        self._run("initdb", "-D", made, "-U", "tests", "-E", "UTF8", "--locale=C", "-A", "trust", "--no-sync")
        self.start()

    def start(self) -> None:
        # Nothing here outlives the machine, and to recover without fsync takes no time.
        options = f"-p {self.port} -h 127.0.0.1 -k '' -c max_connections=60 -c fsync=off"
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is as if the power went."""
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-m", mode, "stop")

    def url(self) -> str:
        """The address of an empty schema, which is made much faster than a database."""
        name = f"tests_{uuid4().hex}"
        with psycopg.connect(self.database("postgres").replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return self.database("postgres") + f"?options=-csearch_path%3D{name}"

    def database(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql+psycopg://tests@127.0.0.1:{self.port}/{name}"

    def make(self, name: str, encoding: str) -> str:
        """The address of a new database with an encoding of its own."""
        self._run(
            "createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "tests", "-T", "template0", "-E", encoding, name
        )
        return self.database(name)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All its processes stand still: connections are open, and nothing answers."""
        first = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        every = [first, *map(int, children)]
        for process in every:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in every:
                os.kill(process, signal.SIGCONT)

    def _run(self, program: str, *words: object) -> None:
        # Not through a pipe, which the server that pg_ctl starts would hold open.
        with (self.folder / f"{program}.out").open("w+") as said:
            done = subprocess.run(
                [*self._as, str(self.bin / program), *map(str, words)],
                cwd="/", stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, check=False, timeout=60,
            )  # fmt: skip
            said.seek(0)
            assert done.returncode == 0, said.read()


@contextmanager
def running() -> Iterator[Server | None]:
    """A server while the block lasts; None where there are no programs for one."""
    bin = programs()
    if bin is None:
        yield None
        return
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    # Not in pytest's own folders: those can be entered by their owner alone.
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=memory))
    try:
        server = Server(bin, folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
