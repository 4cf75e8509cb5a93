"""PyTorch with torch.compile: the same tensors and ops, and compiled functions through Inductor."""

from __future__ import annotations

import shutil
import warnings

import torch

from ember_ml.backend.torch_backend import TorchBackend


class TorchOptimizedBackend(TorchBackend):
    """PyTorch that compiles by torch.compile; where no C++ compiler is, it runs eagerly and says so."""

    name = "torch_optimized"
    compiles = True
    _warned = False

    def jit(self, function, *, whole=True):
        if not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
            if not TorchOptimizedBackend._warned:
                TorchOptimizedBackend._warned = True
                warnings.warn(
                    "torch_optimized: no C++ compiler found, compiled functions run eagerly", stacklevel=2
                )
            return function
        return torch.compile(function, dynamic=False) if whole else function
