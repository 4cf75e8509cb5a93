"""What goes wrong becomes one message and an exit status; what nobody foresaw keeps its traceback."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.text import Text

STOPPED = 130  # the exit status of what Ctrl-C ended
REMEDIES = {
    errno.ENOSPC: "make room, or name a folder on another disk",
    errno.EDQUOT: "make room, or name a folder on another disk",
    errno.EFBIG: "raise the limit on the size of files, or name a folder on another disk",
    errno.EROFS: "name a folder that can be written",
    errno.EACCES: "name a folder that can be written",
}


class CommandError(Exception):
    """What the person at the keyboard can set right; the message says how."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C, and what to say about it."""


@contextmanager
def reported() -> Iterator[None]:
    """Turn what can go wrong within the context into a message on stderr and a non-zero exit status."""
    from safetensors import SafetensorError

    from ember_ml.data import DataError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, of numbers too large: the loss will tell
        warnings.showwarning = lambda message, *_: say("note", str(message), style="yellow")
        try:
            yield
        except KeyboardInterrupt as stop:
            say("stopped", str(stop) or "nothing was written", style="yellow")
            raise typer.Exit(STOPPED) from None
        except BrokenPipeError:
            raise typer.Exit(1) from None
        except (CommandError, DataError, ImportError) as error:
            say("error", str(error))
        except OSError as error:
            say("error", words_of(error))
        except SafetensorError as error:  # its write and read errors are no OSErrors
            say("error", f"a model file cannot be written or read: {error}")
        else:
            return
        raise typer.Exit(1)


def say(kind: str, text: str, *, style: str = "bold red") -> None:
    """Write `kind: text` to stderr."""
    console = Console(stderr=True)
    console.print(Text.assemble((f"{kind}:", style), f" {text}"), soft_wrap=not console.is_terminal)


def words_of(error: OSError) -> str:
    """Return what an OSError says, with the file and the remedy."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    place = f"{error.filename}: " if error.filename else ""
    remedy = REMEDIES.get(error.errno or 0)
    return f"{place}{reason[:1].lower()}{reason[1:]}" + (f": {remedy}" if remedy else "")
