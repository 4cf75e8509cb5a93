"""Checkpoints: all that a training run needs to go on, in one safetensors file, written whole or not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as serialised

from ember_ml.core import tree
from ember_ml.core.files import written_whole
from ember_ml.nn.saving import read
from ember_ml.tensor.conversion import host

NAME = "checkpoint.safetensors"


def write_checkpoint(folder: str | os.PathLike, arrays: dict[str, Any], facts: dict[str, Any]) -> Path:
    """Write trees of arrays by name, and JSON-able facts, to `folder`; until then the old one stays."""
    flat = {
        f"{name}/{i}": np.asarray(host(leaf), order="C")
        for name, values in arrays.items()
        for i, leaf in enumerate(tree.leaves(values))
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / NAME) as part:
        part.write_bytes(serialised(flat, metadata={"facts": json.dumps(facts)}))
    return folder / NAME


def read_checkpoint(
    folder: str | os.PathLike, like: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return trees of host arrays, in the structures of `like`, and the facts; None without a checkpoint.

    Raises ValueError for a checkpoint of another model.
    """
    path = Path(folder) / NAME
    if not path.exists():
        return None
    flat, metadata = read(path)
    arrays = {}
    for name, values in like.items():
        leaves, structure = tree.flatten(values)
        try:
            found = [flat[f"{name}/{i}"] for i in range(len(leaves))]
        except KeyError as error:
            raise ValueError(f"{path} is a checkpoint of another model: it has no {error}") from error
        for mine, theirs in zip(leaves, found, strict=True):
            if tuple(mine.shape) != theirs.shape:
                raise ValueError(
                    f"{path} is a checkpoint of another model: "
                    f"{name} has shape {theirs.shape}, not {tuple(mine.shape)}"
                )
        arrays[name] = tree.unflatten(structure, found)
    return arrays, json.loads(metadata["facts"])
