"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a name beside `path` to write to; it takes the place of `path` when the block ends well.

    After an error or Ctrl-C, what stood at `path` stands there still. A pipe or a device is written directly.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        yield path
        return
    part = path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
