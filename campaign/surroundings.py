"""What a batch is computed with beside its data: code, packages, machine and threads; and how to compute so again.

The same surroundings give the same batch to the last bit. Nothing here names the machine or its user.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    *("torch", "botorch", "gpytorch", "linear-operator", "numpy", "scipy", "scikit-learn", "pandas", "pymatgen"),
    *("pydantic", "safetensors", "ase", "chgnet", "fairchem-core"),
)
"""Those whose numbers, or whose reading of a spec, enter a batch."""
ROOMS = ("acquisition", "campaign", "db", "lab_io", "surrogates")
"""Folders of the code that a batch is computed by."""
GIT_SECONDS = 10


def surroundings() -> dict[str, Any]:
    """Plain values: `code`, `packages`, `machine`, `threads`, and whether algorithms are deterministic."""
    return {
        "code": dict(code()),
        "packages": dict(_packages()),
        "machine": dict(_machine()),
        "threads": threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def threads() -> dict[str, int]:
    """Threads of torch, and of the libraries of linear algebra that numpy and scipy call."""
    return {"torch": torch.get_num_threads(), "blas": max((lib["num_threads"] for lib in _libraries()), default=1)}


_alone = threading.RLock()
"""Modes and threads are those of the whole process: in it, one batch is computed after the other."""


@contextmanager
def reproducible(wanted: Mapping[str, int] | None = None) -> Iterator[None]:
    """Deterministic algorithms, and as many threads as wanted; afterwards all is as before.

    Args:
        wanted: as `threads` gives them; None for as many as there are.
    """
    from threadpoolctl import threadpool_limits

    with _alone, ExitStack() as after:
        after.callback(torch.set_num_threads, torch.get_num_threads())
        after.callback(torch.set_deterministic_debug_mode, torch.get_deterministic_debug_mode())
        filled: Any = torch.utils.deterministic
        after.callback(setattr, filled, "fill_uninitialized_memory", filled.fill_uninitialized_memory)
        torch.set_deterministic_debug_mode("error")  # `use_deterministic_algorithms` imports the compiler, 4 s of it
        filled.fill_uninitialized_memory = False  # none is read
        if wanted is not None:
            torch.set_num_threads(wanted["torch"])
            after.enter_context(threadpool_limits(wanted["blas"], user_api="blas"))
        yield


@cache
def code() -> Mapping[str, Any]:
    """`version`, `sha256` of the source files, and in a checkout its `git` commit and whether it is `modified`."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return {"version": version("siteloop"), "sha256": digest.hexdigest(), **_checkout(root)}


def code_version() -> str:
    """`0.1.0`, and in a checkout `0.1.0+g2dcc123` with `.modified` where files differ from the commit."""
    found = code()
    commit = f"+g{found['git'][:7]}{'.modified' if found['modified'] else ''}" if "git" in found else ""
    return f"{found['version']}{commit}"


def _checkout(root: Path) -> dict[str, Any]:
    """Of the commit that the code is from; nothing where it is installed, or git cannot be asked."""
    if not (root / ".git").exists() or not (root / "pyproject.toml").is_file():
        return {}
    asked = []
    for question in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no", "--", *ROOMS)):
        command = ["git", "-C", str(root), *question]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
        except (OSError, subprocess.SubprocessError):
            return {}
        asked.append(done.stdout.strip())
    return {"git": asked[0], "modified": bool(asked[1])}


@cache
def _packages() -> Mapping[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def _machine() -> Mapping[str, Any]:
    """What decides about the last bits: processor, its instructions as torch uses them, libraries, interpreter."""
    blas = sorted(
        {f"{lib['internal_api']} {lib['version']} {lib.get('architecture', '')}".strip() for lib in _libraries()}
    )
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": "cpu",
        "torch_blas": "mkl" if torch.backends.mkl.is_available() else "other",
        "blas": blas,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _libraries() -> list[dict[str, Any]]:
    """The libraries of linear algebra that numpy and scipy have loaded."""
    import scipy.linalg  # noqa: F401 - with it both are there, whatever was imported before
    from threadpoolctl import threadpool_info

    return [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
