"""The trainer: one compiled step, repeated."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from ember_ml import ops
from ember_ml.backend import Backend, get_backend
from ember_ml.compiler import compile, value_and_grad
from ember_ml.core import tree
from ember_ml.core.keys import mixed
from ember_ml.nn import Module, functional_call
from ember_ml.nn.modules.settings import Part, Settings
from ember_ml.tensor.conversion import bare, host, to_engine
from ember_ml.training.checkpoint import read_checkpoint, write_checkpoint
from ember_ml.training.history import History, progress_bar
from ember_ml.training.loss import MSELoss
from ember_ml.training.optimizer import Optimizer


class Trainer(Settings):
    """Trains a module on arrays in memory, on one backend, by one compiled step.

    The same seed gives the same run: order of examples and random masks depend on it, on the epoch and on the
    step alone, so an interrupted run that is resumed ends in the numbers of an uninterrupted one, and all
    engines agree.

    `loss(output, target)` returns a single number. `clip_norm` limits the length of the whole gradient. What
    is set anew, here or on the module or the optimizer, holds from the next step on; see `Settings`.
    """

    def __init__(
        self,
        module: Module,
        optimizer: Optimizer,
        loss: Callable[[Any, Any], Any] | None = None,
        *,
        backend: str | Backend | None = None,
        seed: int = 0,
        clip_norm: float | None = None,
    ):
        self.module, self.optimizer, self.loss = module, optimizer, loss or MSELoss()
        self.backend = get_backend(backend)
        self.seed, self.clip_norm = int(seed), clip_norm
        self._step = compile(Part(self, "_train_step"), self.backend)
        self._forward = compile(Part(self, "_output"), self.backend)

    def fit(
        self,
        data: tuple[Any, Any],
        *,
        epochs: int,
        batch_size: int = 32,
        validation: tuple[Any, Any] | None = None,
        early_stopping: int | None = None,
        checkpoint: str | os.PathLike | None = None,
        resume: bool = False,
        progress: bool | str | None = None,
    ) -> History:
        """Train on `(inputs, targets)` and return the history; the module holds the trained parameters.

        `inputs` is an array, or a tuple of arrays that the module takes; all share the first axis with
        `targets`. `early_stopping` epochs without a better validation loss end the run, with the best
        parameters restored. With `checkpoint`, a folder, the run is saved there after every epoch and when it
        is interrupted by Ctrl-C, which is raised again; `resume` goes on from there. `progress` shows a bar;
        None, or a name to stand before it: on a terminal or in a notebook.

        Raises ValueError for arrays of different lengths, for no examples, and where early stopping lacks
        validation.
        """
        inputs, targets = self._loaded(data)
        size = len(targets)
        if epochs < 0 or batch_size < 1:
            raise ValueError(f"fit: expected epochs >= 0 and batch_size >= 1, got {epochs} and {batch_size}")
        if early_stopping is not None and validation is None:
            raise ValueError("fit: early_stopping needs validation=(inputs, targets)")
        with self.backend.activated():
            self.module.ensure_built(*(x[:1] for x in inputs))
        validation = None if validation is None else self._loaded(validation)
        run = _Run(self, size, batch_size, epochs)
        if checkpoint is not None and resume:
            run.restore(checkpoint)
        began = time.perf_counter()
        earlier = run.history.seconds
        try:
            with progress_bar(run.total_steps, len(run.history.losses) + len(run.pending), progress) as show:
                while run.epoch < epochs and not run.history.stopped_early:
                    self._run_epoch(run, inputs, targets, show)
                    self._end_epoch(run, validation, early_stopping)
                    run.history.seconds = earlier + time.perf_counter() - began
                    if checkpoint is not None:
                        run.save(checkpoint)
        except KeyboardInterrupt:
            run.history.seconds = earlier + time.perf_counter() - began
            if checkpoint is not None:
                run.save(checkpoint)
            raise
        finally:
            self._keep(run.carry if early_stopping is None else run.best_carry)
        return run.history

    def predict(self, inputs: Any, batch_size: int = 1024) -> np.ndarray:
        """Return the module's outputs for arrays in memory, in evaluation mode, as one NumPy array."""
        arrays = inputs if isinstance(inputs, tuple) else (inputs,)
        return self._outputs(self._carry(), arrays, batch_size)

    def evaluate(self, data: tuple[Any, Any], batch_size: int = 1024) -> float:
        """Return the loss on `(inputs, targets)`, in evaluation mode."""
        return self._evaluate(self._carry(), self._loaded(data), batch_size)

    # One step

    def _train_step(self, carry: dict, data: Any, places: Any, key: Any) -> tuple[dict, Any]:
        inputs, targets = tree.map(lambda x: ops.take(x, places), data)

        def objective(params: dict) -> tuple[Any, dict]:
            output, buffers = functional_call(self.module, params, *inputs, buffers=carry["buffers"], key=key)
            return self.loss(output, targets), buffers

        (loss, buffers), grads = value_and_grad(objective, has_aux=True)(carry["params"])
        if self.clip_norm is not None:
            length = ops.sqrt(sum(ops.sum(ops.square(g)) for g in tree.leaves(grads)))
            grads = tree.map(lambda g: g * ops.minimum(self.clip_norm / (length + 1e-12), 1.0), grads)
        params, state = self.optimizer.update(carry["params"], grads, carry["optimizer"])
        bounded = {name for name, p in self.module.named_parameters() if p.nonnegative}
        params = {name: ops.maximum(p, 0.0) if name in bounded else p for name, p in params.items()}
        return {"params": params, "buffers": buffers, "optimizer": state}, loss

    def _output(self, params: dict, buffers: dict, inputs: Any) -> Any:
        return functional_call(self.module, params, *inputs, buffers=buffers)[0]

    # One epoch

    def _run_epoch(self, run: _Run, inputs: Any, targets: Any, show: Callable[[int, str], None]) -> None:
        self.module.train()
        began, first = time.perf_counter(), run.batch
        order = np.random.default_rng((self.seed, run.epoch)).permutation(run.size).astype("int32")
        word, _ = mixed((self.seed >> 32) & 0xFFFFFFFF, self.seed & 0xFFFFFFFF, 0)  # of all of the seed
        note = run.note
        while run.batch < run.batches:
            places = order[run.batch * run.batch_size : (run.batch + 1) * run.batch_size]
            key = np.array([word, run.step + 1], "uint32")
            given = ((inputs, targets), self.backend.array(places), self.backend.array(key))
            carry, loss = self._step(run.carry, *given)
            run.losses.append(loss)
            run.place = (carry, run.batch + 1)
            show(1, note)
        run.close_epoch()
        run.history.epochs[-1] |= {"steps": run.batches - first, "seconds": time.perf_counter() - began}

    def _end_epoch(self, run: _Run, validation: tuple[Any, Any] | None, patience: int | None) -> None:
        entry = run.history.epochs[-1]
        if validation is None:
            return
        entry["validation"] = score = self._evaluate(run.carry, validation, 1024)
        if run.best is None or score < run.best:
            run.best, run.best_epoch, run.best_carry = score, entry["epoch"], run.carry
        elif patience is not None and entry["epoch"] - run.best_epoch >= patience:
            run.history.stopped_early = True

    def _evaluate(self, carry: dict, loaded: tuple[tuple, Any], batch_size: int) -> float:
        inputs, targets = loaded
        outputs = self._outputs(carry, inputs, batch_size)
        return float(host(self.loss(self.backend.array(outputs), targets)))

    def _outputs(self, carry: dict, arrays: Any, batch_size: int) -> np.ndarray:
        modes = [(m, m.training) for m in self.module.modules()]
        self.module.eval()
        try:
            parts = []
            for start in range(0, len(arrays[0]), batch_size):
                rows = tuple(self._array(x[start : start + batch_size]) for x in arrays)
                parts.append(host(self._forward(carry["params"], carry["buffers"], rows)))
            return np.concatenate(parts) if parts else np.zeros((0,), "float32")
        finally:
            for module, mode in modes:
                module.training = mode

    # Arrays

    def _loaded(self, data: tuple[Any, Any]) -> tuple[tuple, Any]:
        inputs, targets = data
        arrays = inputs if isinstance(inputs, tuple) else (inputs,)
        lengths = [len(x) for x in (*arrays, targets)]
        if len(set(lengths)) != 1:
            raise ValueError(f"fit: inputs and targets must share their first axis, got lengths {lengths}")
        if not lengths[0]:
            raise ValueError("fit: there are no examples")
        return tuple(map(self._array, arrays)), self._array(targets)

    def _array(self, x: Any) -> Any:
        return to_engine(bare(x), self.backend)

    def _carry(self) -> dict:
        params = {n: self._array(p.data) for n, p in self.module.named_parameters()}
        buffers = {n: self._array(b.data) for n, b in self.module.named_buffers()}
        return {"params": params, "buffers": buffers}

    def _keep(self, carry: dict) -> None:
        """Let the module hold what was trained."""
        for name, tensor in (*self.module.named_parameters(), *self.module.named_buffers()):
            tensor.data = (carry["params"] | carry["buffers"])[name]


class _Run:
    """Where a run stands. `place` changes as one, so that an interrupt never finds it half done."""

    def __init__(self, trainer: Trainer, size: int, batch_size: int, epochs: int):
        carry = trainer._carry()
        carry["optimizer"] = trainer.optimizer.init(carry["params"])
        self.trainer, self.size, self.batch_size = trainer, size, batch_size
        self.batches = -(-size // batch_size)
        self.total_steps = epochs * self.batches
        self.place: tuple[dict, int] = (carry, 0)  # arrays, and how many batches of the epoch they have seen
        self.losses: list[Any] = []  # of these batches, and perhaps of the next; native, so nothing waits
        self.history = History()
        self.best: float | None = None
        self.best_epoch = 0
        self.best_carry = carry

    @property
    def carry(self) -> dict:
        return self.place[0]

    @property
    def batch(self) -> int:
        return self.place[1]

    @property
    def pending(self) -> list:
        return self.losses[: self.batch]

    @property
    def epoch(self) -> int:
        return len(self.history.epochs)

    @property
    def step(self) -> int:
        return self.epoch * self.batches + self.batch

    @property
    def note(self) -> str:
        shown = f", loss {self.history.epochs[-1]['train']:.4g}" if self.history.epochs else ""
        return f"epoch {self.epoch + 1}{shown}"

    def close_epoch(self) -> None:
        """Bring the epoch's losses to the host and note it in the history."""
        losses = list(map(float, self.pending))
        rate = self.trainer.optimizer.rate(self.carry["optimizer"]["step"])
        self.history.losses += losses
        weights = [min(self.batch_size, self.size - i * self.batch_size) for i in range(self.batches)]
        self.place, self.losses = (self.carry, 0), []
        self.history.epochs.append(
            {
                "epoch": self.epoch + 1,
                "train": float(np.average(losses, weights=weights)),
                "validation": None,
                "learning_rate": rate if isinstance(rate, int | float) else float(host(rate)),
            }
        )

    def save(self, folder: str | os.PathLike) -> None:
        """Write everything to a checkpoint."""
        carry, batch = self.place
        facts = {
            "history": asdict(self.history),
            "batch": batch,
            "pending": list(map(float, self.losses[:batch])),
            "best": self.best,
            "best_epoch": self.best_epoch,
            "settings": self._settings(),
        }
        write_checkpoint(folder, {"carry": carry, "best": self._best_arrays()}, facts)

    def restore(self, folder: str | os.PathLike) -> None:
        """Go on from a checkpoint, if there is one. Raises ValueError for one of another run."""
        found = read_checkpoint(folder, {"carry": self.carry, "best": self._best_arrays()})
        if found is None:
            return
        arrays, facts = found
        if facts["settings"] != self._settings():
            raise ValueError(
                f"fit: the checkpoint in {folder} was made with {facts['settings']}, not {self._settings()}"
            )
        to = self.trainer.backend.array
        self.place, self.losses = (tree.map(to, arrays["carry"]), facts["batch"]), facts["pending"]
        self.history = History(**facts["history"])
        self.best, self.best_epoch = facts["best"], facts["best_epoch"]
        self.best_carry = {**tree.map(to, arrays["best"]), "optimizer": self.carry["optimizer"]}

    def _best_arrays(self) -> dict:
        return {name: self.best_carry[name] for name in ("params", "buffers")}

    def _settings(self) -> dict:
        return {"seed": self.trainer.seed, "examples": self.size, "batch_size": self.batch_size}
