"""Nested containers of arrays: apart, and together again."""

import pickle
from collections import namedtuple

import numpy as np
import pytest

from ember_ml.core import tree

Pair = namedtuple("Pair", "first second")

TREES = [
    5,
    [],
    (),
    {},
    None,
    [1, 2],
    (1,),
    {"b": 1, "a": (2, [3, None])},
    Pair(1, Pair([2], None)),
    [{"w": (1, 2)}, [[[]]], None, ()],
    "a word",
]


@pytest.mark.parametrize("given", TREES, ids=repr)
def test_a_tree_comes_back_as_it_was(given):
    leaves, structure = tree.flatten(given)
    back = tree.unflatten(structure, leaves)
    assert back == given
    assert type(back) is type(given)


@pytest.mark.parametrize("given", TREES, ids=repr)
def test_a_structure_compares_hashes_and_pickles(given):
    structure = tree.structure(given)
    assert structure == tree.structure(tree.map(lambda x: -1, given))
    assert hash(structure) == hash(tree.structure(given))
    assert pickle.loads(pickle.dumps(structure)) == structure
    assert tree.unflatten(pickle.loads(pickle.dumps(structure)), tree.leaves(given)) == given


def test_dicts_are_walked_by_sorted_key_whatever_their_order():
    one, other = {"b": 1, "a": 2}, {"a": 2, "b": 1}
    assert tree.leaves(one) == tree.leaves(other) == [2, 1]
    assert tree.structure(one) == tree.structure(other)


def test_none_is_an_empty_node():
    assert tree.leaves([None, 1, None]) == [1]
    assert tree.map(lambda x: x + 1, [None, 1]) == [None, 2]


def test_a_named_tuple_keeps_its_class():
    doubled = tree.map(lambda x: 2 * x, Pair(1, Pair(2, 3)))
    assert doubled == Pair(2, Pair(4, 6))
    assert type(doubled.second) is Pair


def test_arrays_are_leaves():
    x = np.arange(3)
    (leaf,) = tree.leaves({"x": x})
    assert leaf is x


def test_map_walks_several_trees_of_one_structure():
    assert tree.map(lambda x, y: x + y, {"a": 1, "b": (2,)}, {"b": (20,), "a": 10}) == {"a": 11, "b": (22,)}


def test_trees_that_differ_are_refused_and_described():
    with pytest.raises(ValueError, match=r"trees differ in structure: \[\*, \*\] and \(\*, \*,\)"):
        tree.map(lambda x, y: x, [1, 2], (1, 2))
    with pytest.raises(ValueError, match=r"trees differ in structure: \{'a': \*\} and \{'b': None\}"):
        tree.map(lambda x, y: x, {"a": 1}, {"b": None})


@pytest.mark.parametrize(("leaves", "wrong"), [([1], "few"), ([1, 2, 3], "many")])
def test_a_wrong_number_of_leaves_is_refused(leaves, wrong):
    with pytest.raises(ValueError, match=rf"too {wrong} leaves for \[\*, \*\]"):
        tree.unflatten(tree.structure([0, 0]), leaves)


def test_keys_that_do_not_sort_are_refused_in_clear_words():
    with pytest.raises(TypeError, match=r"the keys of a dict must have an order, got \[1, 'a'\]"):
        tree.flatten({1: 0, "a": 0})
