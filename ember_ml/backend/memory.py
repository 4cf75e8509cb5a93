"""How much memory the machine's CPU has for this process, with the limits that containers set."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def host_memory() -> dict[str, int]:
    """Return the bytes of memory `total`, `available`, and `used` by this process."""
    total, available = _machine()
    for limit, free in _limits():
        total, available = min(total, limit), min(available, free)
    return {"total": total, "available": available, "used": _used()}


def _machine() -> tuple[int, int]:
    facts = _table(Path("/proc/meminfo"))
    if "MemTotal" in facts:
        free = facts.get("MemAvailable", facts.get("MemFree", 0))
        return facts["MemTotal"] * 1024, free * 1024
    page = os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * page
    known = "SC_AVPHYS_PAGES" in os.sysconf_names  # macOS does not count free pages: all of them, then
    return total, os.sysconf("SC_AVPHYS_PAGES") * page if known else total


def _limits() -> list[tuple[int, int]]:
    """Return limit and free bytes of each control group, version 2, that this process is in."""
    found = []
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        number, _, path = line.split(":", 2)
        if number != "0":
            found += _version_one(path) if "memory" in line.split(":")[1].split(",") else []
            continue
        group = _CGROUPS / path.lstrip("/")
        for folder in [group, *group.parents]:
            limit = _read(folder / "memory.max").strip()
            if limit.isdecimal():
                held = int(_read(folder / "memory.current") or 0)
                cache = _table(folder / "memory.stat").get("inactive_file", 0)  # given up when needed
                found.append((int(limit), max(0, int(limit) - held + cache)))
            if folder == _CGROUPS:
                break
    return found


def _version_one(path: str) -> list[tuple[int, int]]:
    for folder in (_CGROUPS / "memory" / path.lstrip("/"), _CGROUPS / "memory"):
        limit, held = _read(folder / "memory.limit_in_bytes"), _read(folder / "memory.usage_in_bytes")
        if limit.strip().isdecimal() and held.strip().isdecimal():
            cache = _table(folder / "memory.stat").get("total_inactive_file", 0)
            return [(int(limit), max(0, int(limit) - int(held) + cache))]
    return []


def _used() -> int:
    pages = _read(Path("/proc/self/statm")).split()
    if pages:
        return int(pages[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # the most so far, in bytes on macOS


def _table(path: Path) -> dict[str, int]:
    """Return the numbers of a file whose lines are a name and a number."""
    words = (line.replace(":", " ").split() for line in _read(path).splitlines())
    return {w[0]: int(w[1]) for w in words if len(w) > 1 and w[1].isdecimal()}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
