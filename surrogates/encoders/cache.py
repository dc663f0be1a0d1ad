"""Features of sites that were encoded before, in a folder of safetensors files that may be deleted at any time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, MutableMapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

PER_FILE = 64
"""Most tensors of one file."""
OPEN_FILES = 16
"""Files whose tensors are kept in memory."""
SUFFIX = ".safetensors"


class FeatureCache(MutableMapping[str, Tensor]):
    """Tensors by key, on disk.

    `update` writes many tensors into few files. A file is named by the SHA-256 of its bytes, written beside its place
    and renamed, so that processes can write at the same time and a reader never sees half a file. Which keys there are
    is read once, when the cache is opened: what another process adds later is seen by the next one to open it. A file
    whose bytes do not fit its name counts as absent, and so do the tensors in it.
    """

    def __init__(self, folder: Path | str) -> None:
        """Open a folder; it is made if it does not exist.

        Raises:
            OSError: the folder cannot be made or read.
        """
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._files = {key: path for path in named_by_content(self.folder) for key in _keys(path)}
        self._tensors = lru_cache(maxsize=OPEN_FILES)(_tensors)

    def __getitem__(self, key: str) -> Tensor:
        path = self._files[key]
        tensors = self._tensors(path)
        if tensors is None:
            self._files = {other: place for other, place in self._files.items() if place != path}
            self._tensors.cache_clear()
            raise KeyError(key)
        return tensors[key]

    def __setitem__(self, key: str, value: Tensor) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        path = self._files[key]
        tensors = self._tensors(path) or {}
        kept = {other: tensor for other, tensor in tensors.items() if other != key and self._files[other] == path}
        self.update(kept)
        del self._files[key]
        path.unlink(missing_ok=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def update(self, other: Any = (), /, **named: Tensor) -> None:
        """Add tensors, up to 64 of them in a file."""
        given = dict(other, **named)
        keys = list(given)
        for start in range(0, len(keys), PER_FILE):
            part = {key: given[key].contiguous() for key in keys[start : start + PER_FILE]}
            self._files.update(dict.fromkeys(part, write_named(self.folder, save(part))))


def named_by_content(folder: Path) -> list[Path]:
    """The files of a folder that `write_named` wrote, by name."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def write_named(folder: Path, content: bytes) -> Path:
    """Write a file that is named by the SHA-256 of its bytes, beside its place, and rename it; makes the folder."""
    path = folder / f"{hashlib.sha256(content).hexdigest()}{SUFFIX}"
    folder.mkdir(parents=True, exist_ok=True)  # it may have been deleted since
    part = folder / f"{uuid4().hex}.part"
    part.write_bytes(content)
    part.replace(path)
    return path


def read_named(path: Path) -> bytes | None:
    """The bytes of such a file; None where it is gone or they do not fit its name."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == path.stem else None


def _keys(path: Path) -> list[str]:
    """Names of the tensors of a file, from its header; none where it is torn."""
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError):
        return []


def _tensors(path: Path) -> dict[str, Tensor] | None:
    """All tensors of a file; None where it is gone or torn."""
    content = read_named(path)
    return None if content is None else load(content)
