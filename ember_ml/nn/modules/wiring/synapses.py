"""Rules that decide which pairs of neurons are joined.

A rule draws a boolean matrix `(sources, targets)` from a generator. It knows nothing of the neurons' roles,
and nothing of weights.
"""

import numpy as np

BALANCED = (-1, 1)
MOSTLY_EXCITATORY = (-1, 1, 1)


def scattered(rng, shape, sparsity):
    """Join exactly `round((1 - sparsity) * pairs)` pairs, at least one, chosen evenly among all."""
    return counted(rng, shape, max(1, round((1.0 - sparsity) * shape[0] * shape[1])))


def counted(rng, shape, count):
    """Join exactly `count` different pairs."""
    links = np.zeros(shape[0] * shape[1], dtype=bool)
    links[rng.choice(links.size, size=count, replace=False)] = True
    return links.reshape(shape)


def fan_out(rng, shape, fan):
    """Join each source to `fan` different targets."""
    links = np.zeros(shape, dtype=bool)
    chosen = np.argsort(rng.random(shape), axis=1)[:, :fan]
    np.put_along_axis(links, chosen, True, axis=1)
    return links


def fan_in(rng, shape, fan):
    """Join each target to `fan` different sources."""
    return fan_out(rng, shape[::-1], fan).T


def mended(rng, links):
    """Give every target without a source, and every source without a target, the mean number of partners."""
    links = links.copy()
    fan = max(1, links.sum() // links.shape[1])
    _adopt_targets(rng, links, fan)
    fan = max(1, links.sum() // links.shape[0])
    _adopt_targets(rng, links.T, fan)
    return links


def polarised(rng, links, polarities):
    """Turn links into synapses: int32, 0 where there is none, else a polarity drawn from `polarities`."""
    return np.where(links, rng.choice(polarities, size=links.shape), 0).astype(np.int32)


def _adopt_targets(rng, links, fan):
    for target in np.flatnonzero(~links.any(axis=0)):
        links[rng.choice(links.shape[0], size=fan, replace=False), target] = True
