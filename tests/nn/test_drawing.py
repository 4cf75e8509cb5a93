"""Pictures of graphs: boxes are there, apart, hold their text, and are joined by lines that cross none."""

import re
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from ember_ml import ops
from ember_ml.compiler import compile, value_and_grad
from ember_ml.core import Spec, as_dtype
from ember_ml.core.graph import trace_graph
from ember_ml.nn.container.drawing import Box, Wire, draw, draw_graph

SVG = "{http://www.w3.org/2000/svg}"


class Picture:
    """An SVG read back: boxes by id as (left, top, right, bottom), their texts, and wires as polygons."""

    def __init__(self, svg):
        root = ElementTree.fromstring(svg)
        groups = list(root.iter(f"{SVG}g"))
        self.texts = {g.get("data-id"): list(g.iter(f"{SVG}text")) for g in groups}
        self.titles = {g.get("data-id"): self.texts[g.get("data-id")][0].text for g in groups}
        self.kinds = {g.get("data-id"): g.get("class") for g in groups}
        self.tips = [t.text for t in root.iter(f"{SVG}title")]
        self.boxes = {
            g.get("data-id"): edges(g.find(f"{SVG}rect")) for g in groups if g.get("class") != "label"
        }
        self.wires = [points(p.get("d")) for p in root.iter(f"{SVG}path") if p.get("class") == "wire"]
        self.view = [float(n) for n in root.get("viewBox").split()]

    def lines(self, id):
        return [text.text for text in self.texts[id]]

    def joined(self, source, target):
        """Whether a wire leaves the middle of one box's lower edge and ends on another's upper edge."""
        left, _, right, bottom = self.boxes[source]
        ends = self.boxes[target]
        return any(
            np.allclose(w[0], [(left + right) / 2, bottom], atol=0.2)
            and ends[0] <= w[-1][0] <= ends[2]
            and abs(w[-1][1] - ends[1]) < 0.2
            for w in self.wires
        )


def edges(rect):
    x, y, w, h = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
    return x, y, x + w, y + h


def points(path):
    """Return points along a path of straight lines and cubic curves, close to each other."""
    at, found = np.zeros(2), []
    for letter, words in re.findall(r"([MLC])([-\d. ]+)", path):
        given = np.array(words.split(), float).reshape(-1, 2)
        t = np.linspace(0, 1, 33)[:, None]
        if letter == "C":
            a, b, c = given
            found.extend((1 - t) ** 3 * at + 3 * t * (1 - t) ** 2 * a + 3 * t**2 * (1 - t) * b + t**3 * c)
        else:
            found.extend((1 - t) * at + t * given[0] if letter == "L" else given)
        at = given[-1]
    return np.array(found)


def extent(text):
    """Return what a text covers in DejaVu Sans, which is a wide font."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    bold = text.get("class") == "title"
    size, font = (
        (13 if bold else 11),
        FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal"),
    )
    room = TextPath((0, 0), text.text, size=size, prop=font).get_extents().width
    x, y = float(text.get("x")), float(text.get("y"))
    return x - room / 2, y - 0.8 * size, x + room / 2, y + 0.2 * size


def overlap(a, b, apart=3.0):
    return a[0] < b[2] + apart and b[0] < a[2] + apart and a[1] < b[3] + apart and b[1] < a[3] + apart


def check(svg):
    """Assert all that must hold of any picture; return it."""
    picture = Picture(svg)
    labels = {id: extent(picture.texts[id][0]) for id, kind in picture.kinds.items() if kind == "label"}
    x, y, w, h = picture.view
    for id, box in picture.boxes.items():
        assert x <= box[0] < box[2] <= x + w
        assert y <= box[1] < box[3] <= y + h
        for text in picture.texts[id]:
            left, top, right, bottom = extent(text)
            assert box[0] + 3 < left <= right < box[2] - 3, f"{text.text!r} leaves its box"
            assert box[1] + 2 < top < bottom < box[3] - 2
    for (a, first), (b, second) in combinations({**picture.boxes, **labels}.items(), 2):
        assert not overlap(first, second), f"{a} lies on {b}"
    for wire in picture.wires:
        assert (np.diff(wire[:, 1]) > -0.2).all(), "a wire goes up"
        for id, box in picture.boxes.items():
            inside = (wire > np.add(box[:2], 1.0)) & (wire < np.subtract(box[2:], 1.0))
            assert not inside.all(axis=1).any(), f"a wire crosses {id}"
    return picture


def boxes(*ids, **settings):
    return [Box(id, id, **settings) for id in ids]


def wires(*pairs):
    return [Wire(*pair.split(">")) for pair in pairs]


def test_every_box_and_every_wire_is_there():
    pairs = ["x>a", "a>b", "b>c", "a>c", "x>c", "c>y"]
    picture = check(draw(boxes("x", "a", "b", "c", "y"), wires(*pairs)))
    assert list(picture.boxes) == ["x", "a", "b", "c", "y"]
    assert len(picture.wires) == len(pairs)
    assert all(picture.joined(*pair.split(">")) for pair in pairs)


def test_a_chain_stands_straight_and_goes_down():
    picture = check(
        draw(boxes("one", "a much longer name", "c"), wires("one>a much longer name", "a much longer name>c"))
    )
    middles = [(left + right) / 2 for left, _, right, _ in picture.boxes.values()]
    tops = [top for _, top, _, _ in picture.boxes.values()]
    np.testing.assert_allclose(middles, middles[0], atol=0.2)
    assert tops == sorted(tops)


def test_what_leads_past_a_chain_leaves_it_straight():
    pairs = ["x>a", "a>b", "b>sum", "x>sum", "sum>y"]
    picture = check(draw(boxes("x", "a", "b", "sum", "y"), wires(*pairs)))
    middles = [(left + right) / 2 for left, _, right, _ in picture.boxes.values()]
    np.testing.assert_allclose(middles, middles[0], atol=0.2)


def test_wires_do_not_cross_where_they_need_not():
    ids = [f"{letter}{i}" for letter in "abc" for i in range(4)]
    order = [2, 0, 3, 1]  # a and b are given in another order than c
    pairs = [f"a{i}>b{order[i]}" for i in range(4)] + [f"b{i}>c{order[i]}" for i in range(4)]
    picture = check(draw(boxes(*ids), wires(*pairs)))
    for one, other in combinations(picture.wires, 2):
        heights = np.linspace(max(one[0, 1], other[0, 1]), min(one[-1, 1], other[-1, 1]), 20)
        between = np.interp(heights, one[:, 1], one[:, 0]) - np.interp(heights, other[:, 1], other[:, 0])
        assert heights[0] > heights[-1] or (np.sign(between) == np.sign(between[0])).all()


@pytest.mark.parametrize("seed", range(12))
def test_boxes_of_any_graph_lie_apart_and_are_joined(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 25))
    names = [
        "".join(rng.choice(list("abcMW_()[]., 01"), size=rng.integers(1, 18))) + str(i) for i in range(n)
    ]
    made = [
        Box(
            str(i),
            name,
            tuple(rng.choice(names, size=rng.integers(0, 3))),
            str(rng.choice(["op", "input", "layer"])),
        )
        for i, name in enumerate(names)
    ]
    pairs = {tuple(sorted(rng.choice(n, 2, replace=False))) for _ in range(int(rng.integers(1, 2 * n)))}
    picture = check(draw(made, [Wire(str(a), str(b)) for a, b in sorted(pairs)]))
    assert len(picture.wires) == len(pairs)
    assert all(picture.joined(str(a), str(b)) for a, b in pairs)


def test_wires_of_one_label_share_it():
    svg = draw(
        boxes("x", "a", "b"), [Wire("x", "a", "key (2, 3)"), Wire("x", "b", "key (2, 3)"), Wire("a", "b")]
    )
    picture = check(svg)
    assert svg.count(">key (2, 3)<") == 1
    assert len(picture.wires) == 4  # to the label, from it to both, and the one without
    assert svg.count("marker-end") == 3


def test_signs_of_xml_are_text():
    picture = check(draw([Box("<1>", 'a < "b" & c', ("x > y",), tip="1 < 2")], []))
    assert picture.lines("<1>") == ['a < "b" & c', "x > y"]
    assert picture.tips == ["1 < 2"]


def test_nothing_is_drawn_as_nothing():
    assert Picture(draw([], [])).boxes == {}


@pytest.mark.parametrize(
    ("ids", "pairs", "words"),
    [
        ("aba", [], "two boxes have the id 'a'"),
        ("ab", ["a>c"], "leads from 'a' to 'c', but no box is 'c'"),
        ("abc", ["a>b", "b>c", "c>a"], "cycle"),
        ("a", ["a>a"], "cycle"),
    ],
)
def test_a_graph_that_cannot_be_drawn_is_refused(ids, pairs, words):
    with pytest.raises(ValueError, match=words):
        draw(boxes(*ids), wires(*pairs))


# Graphs of ops


def graph_of(f, *shapes, names=("x", "y", "z")):
    specs = [Spec(shape, as_dtype("float32")) for shape in shapes]
    return trace_graph(f, specs, expands=lambda op: False, names=names[: len(shapes)])[0]


def test_views_and_numbers_stand_in_the_boxes_that_read_them():
    held = np.zeros((3, 2), "float32")

    def f(x, y):
        return ops.sum(ops.matmul(x.mT, y[0, 1:]) * 0.5, axis=0) + held + ops.ones(2, like=x)

    picture = check(draw_graph(graph_of(f, (4, 3), (2, 5, 2))))
    said = {title: picture.lines(id)[1:] for id, title in picture.titles.items()}
    assert sorted(picture.titles.values()) == ["add", "add", "matmul", "multiply", "output", "sum", "x", "y"]
    assert said["matmul"] == ["(·.mT, ·[0, 1:])", "float32 (3, 2)"]
    assert said["multiply"] == ["(·, 0.5)", "float32 (3, 2)"]
    assert said["sum"] == ["(·, axis=0)", "float32 (2,)"]
    assert {tuple(picture.lines(i)[1:2]) for i, t in picture.titles.items() if t == "add"} == {
        ("(·, array (3, 2))",),
        ("(·, full (2,))",),
    }


def test_long_arguments_have_a_line_each():
    def f(x, y):
        y = ops.permute_dims(ops.reshape(y, shape=(2, 3, 4, 5)), axes=(0, 2, 1, 3))
        return ops.add(x.mT, y)

    picture = check(draw_graph(graph_of(f, (1, 1), (6, 20))))
    (add,) = (id for id, title in picture.titles.items() if title == "add")
    assert picture.lines(add) == [
        "add",
        "·.mT",
        "· as (2, 3, 4, 5) axes (0, 2, 1, 3)",
        "float32 (2, 4, 3, 5)",
    ]


def test_inputs_parameters_and_outputs_are_marked():
    graph = graph_of(lambda x, w: {"a": x @ w, "b": w.mT}, (2, 3), (3, 4), names=("x", "w"))
    picture = check(draw_graph(graph, parameters=["w"]))
    assert {picture.titles[id]: kind for id, kind in picture.kinds.items()} == {
        "x": "input", "w": "parameter", "matmul": "op", "a": "output", "b": "output",
    }  # fmt: skip
    assert picture.lines("output 1") == ["b", "·.mT"]


def test_a_loop_is_one_box_that_says_what_it_does():
    def turn(h, x):
        h = ops.tanh(h * x + x)
        return h, h

    graph = graph_of(lambda x: ops.scan(turn, x[0], x)[0], (7, 3))
    picture = check(draw_graph(graph))
    (loop,) = (id for id, kind in picture.kinds.items() if kind == "loop")
    assert picture.lines(loop)[:3] == ["scan", "7 turns", "multiply, add, tanh"]
    assert any("tanh(" in (tip or "") for tip in picture.tips)


def test_a_training_step_of_many_ops_is_legible():
    def loss(params, x, y):
        for i in range(3):
            x = ops.tanh(x @ params[f"w{i}"] + params[f"b{i}"])
        return ops.categorical_crossentropy(y, x, from_logits=True)

    params = {f"w{i}": np.ones((4, 4), "float32") for i in range(3)} | {
        f"b{i}": np.ones(4, "float32") for i in range(3)
    }
    step = compile(value_and_grad(loss), "numpy")
    step(params, np.ones((2, 4), "float32"), np.ones((2, 4), "float32"))
    (graph,) = step.graphs
    picture = check(draw_graph(graph, params))
    assert len(graph.steps) > 35
    assert list(picture.kinds.values()).count("parameter") == 6
    assert list(picture.kinds.values()).count("output") == 7
