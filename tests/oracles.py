"""ncps's cells as oracles: built with random weights, and their weights or gradients under our names."""

import numpy as np
import pytest

from ember_ml import ops
from ember_ml.nn import AutoNCPMap

torch = pytest.importorskip("torch")
pytest.importorskip("ncps.torch")


def lecun_tanh_of_ncps(x):
    """1.7159 tanh(.666 x): ncps rounds the 2/3."""
    return ops.tanh(x * 0.666) * 1.7159


def in_torch(x, dtype):
    return torch.tensor(np.asarray(x, dtype))


def near(want, dtype):
    """Return how near numbers must come that are sums of many terms: relative to the largest of them.

    Five steps in single precision; in double it shows that the formula is the same.
    """
    rtol = {"float32": 1e-4, "float64": 1e-10}[str(dtype)]
    return {"rtol": rtol, "atol": 0.1 * rtol * max(1.0, float(np.abs(want).max()))}


def values(p):
    return p.detach().numpy().copy()


def slopes(p):
    return p.grad.numpy().copy()


def shaken(make, dtype):
    """Return the cell that `make` makes, with every parameter moved off its first value, in a dtype."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        cell = make()
        for p in cell.parameters():
            if p.requires_grad:
                p.add_(0.2 * torch.randn(p.shape, generator=generator))
    return cell.to(getattr(torch, str(dtype)))


def cfc_names(cell, read):
    """Return what `read` finds in the parameters of ncps's CfCCell, under the names of ours."""
    is_pure = cell.mode == "pure"
    heads = [cell.ff1] if is_pure else [cell.ff1, cell.ff2, cell.time_a, cell.time_b]
    last = (
        np.concatenate([read(h.weight).T for h in heads], 1),
        np.concatenate([read(h.bias) for h in heads]),
    )
    backbone = [] if cell.backbone is None else [x for x in cell.backbone if isinstance(x, torch.nn.Linear)]
    layers = [*((read(x.weight).T, read(x.bias)) for x in backbone), last]
    kernel, bias = layers[0]
    found = {
        "input_kernel": kernel[: cell.input_size],
        "recurrent_kernel": kernel[cell.input_size :],
        "bias": bias,
    }
    for i, (kernel, bias) in enumerate(layers[1:]):
        found |= {f"backbone.{i}.kernel": kernel, f"backbone.{i}.bias": bias}
    if is_pure:
        found |= {"asymptote": read(cell.A)[0], "time_constant": read(cell.w_tau)[0]}
    return found


def wired_names(cell, read):
    """Return the same for ncps's WiredCfCCell."""
    return {
        f"layers.{i}.{name}": x
        for i, layer in enumerate(cell._layers)
        for name, x in cfc_names(layer, read).items()
    }


def ltc_names(cell, read):
    """Return the same for ncps's LTCCell: of its dense matrices what stands at existing synapses."""
    wiring, found = cell._wiring, {}
    for name, p in cell._params.items():
        if name.endswith("sparsity_mask"):
            continue
        matrix = wiring.sensory_adjacency_matrix if name.startswith("sensory") else wiring.adjacency_matrix
        found[name] = read(p)[np.nonzero(matrix)] if p.dim() == 2 else read(p)
    return found


def map_like(wiring):
    """Return our map with the synapses of ncps's AutoNCP, added one by one."""
    ours = AutoNCPMap(wiring.units, wiring.output_dim)
    ours.build(wiring.input_dim)
    for mine, theirs, add in (
        (ours.adjacency_matrix, wiring.adjacency_matrix, ours.add_synapse),
        (ours.sensory_adjacency_matrix, wiring.sensory_adjacency_matrix, ours.add_sensory_synapse),
    ):
        mine[...] = 0
        for i, j in np.argwhere(theirs):
            add(i, j, theirs[i, j])
    return ours


def motors_last(state, sizes):
    """Return a state in the order in which ncps's WiredCfCCell keeps it: inter, command, motor neurons.

    `sizes` are those of the layers in that order; ours is the reverse.
    """
    cuts = np.cumsum(sizes[::-1])[:-1]
    return np.concatenate(np.split(np.asarray(state), cuts, axis=-1)[::-1], axis=-1)


def motors_first(state, sizes):
    """Return the inverse of `motors_last`."""
    return np.concatenate(np.split(np.asarray(state), np.cumsum(sizes)[:-1], axis=-1)[::-1], axis=-1)
