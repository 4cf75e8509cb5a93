"""The process's stream of random keys, and how a key is folded on the host. No array is made here.

A stream is a seed and a count of the keys taken; see `ember_ml.ops.random` for what is drawn from them.
"""

from __future__ import annotations

import math
import threading

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))  # of threefry2x32 (Salmon et al., SC11, table 4)
PARITY = 0x1BD11BDA
_MASK = 0xFFFFFFFF


def mixed(first: int, second: int, count: int) -> tuple[int, int]:
    """Return the key of two words with a count folded in: `ops.fold_in` in Python's integers."""
    keys = (first, second, first ^ second ^ PARITY)
    x0, x1 = first, (second + count) & _MASK
    for i in range(5):
        for distance in ROTATIONS[i % 2]:
            x0 = (x0 + x1) & _MASK
            x1 = ((x1 << distance | x1 >> 32 - distance) & _MASK) ^ x0
        x0 = (x0 + keys[(i + 1) % 3]) & _MASK
        x1 = (x1 + keys[(i + 2) % 3] + i + 1) & _MASK
    return x0, x1


def drawn_size(shape: tuple[int, ...]) -> int:
    """Return how many numbers fill a shape. Raises ValueError where 32 bits do not count them."""
    size = math.prod(shape)
    if size >= 2**32:
        raise ValueError(f"random numbers come in arrays of less than 2**32, got shape {shape}")
    return size


class Stream:
    """A seed, and how many keys were taken. Threads may share it."""

    def __init__(self, seed: int = 0) -> None:
        self.lock, self.seed, self.taken = threading.Lock(), int(seed), 0

    def set(self, state: tuple[int, int]) -> None:
        """Continue from a seed and a count of keys taken."""
        with self.lock:
            self.seed, self.taken = int(state[0]), int(state[1])

    def take(self) -> tuple[int, int]:
        """Return the next key: the seed's, with a count folded in."""
        return mixed(*self.advance())

    def advance(self) -> tuple[int, int, int]:
        """Return what the next key is made of: the seed in two words, and a count."""
        with self.lock:
            self.taken += 1
            seed, count = self.seed, self.taken
        return (seed >> 32) & 0xFFFFFFFF, seed & 0xFFFFFFFF, count


_STREAM = Stream()


def set_seed(seed: int) -> None:
    """Start the process's stream of random keys anew."""
    set_stream((seed, 0))


def get_seed() -> int:
    """Return the seed with which the process's stream was started."""
    return _STREAM.seed


def get_stream() -> tuple[int, int]:
    """Return where the process's stream stands, as a seed and a count; see `set_stream`."""
    with _STREAM.lock:
        return _STREAM.seed, _STREAM.taken


def set_stream(state: tuple[int, int]) -> None:
    """Continue the process's stream from where `get_stream` said it stood."""
    _STREAM.set(state)


def take_key() -> tuple[int, int]:
    """Return the next key of the process's stream."""
    return _STREAM.take()


def advance() -> tuple[int, int, int]:
    """Return what the next key of the process's stream is made of; a program folds the count in itself."""
    return _STREAM.advance()
