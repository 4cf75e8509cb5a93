"""Arrays turned, cut and interpolated: SciPy's values on every engine, and poses where they were planted."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from conftest import close
from ember_ml import ops
from ember_ml.compiler import compile, grad

RNG = np.random.default_rng(3)
MODES = ("constant", "grid-constant", "nearest", "mirror", "reflect", "wrap", "grid-wrap")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("shape", [(9,), (9, 8), (8, 8, 9)])
def test_interpolation_is_scipys(be, order, mode, shape):
    x = RNG.normal(size=shape)
    at = RNG.uniform(-1.0, 2.0, (len(shape), 40)) * np.array(shape)[:, None]  # a third inside
    at[:, :3] = 0.0, 1.0, np.nan if mode == "constant" else 0.5
    want = ndimage.map_coordinates(x, np.nan_to_num(at, nan=-9.0), order=order, mode=mode, cval=2.5)
    got = ops.map_coordinates(be.array(x), be.array(at), order=order, mode=mode, cval=2.5)
    # SciPy's splines know of 12 places beyond the edge, or start from a sum that is cut off
    faded = order == 3 and mode in ("nearest", "grid-constant", "reflect")
    close(got, want, "float64", **({"rtol": 1e-6, "atol": 1e-6} if faded else {"atol": 1e-12}))


def test_a_spline_goes_through_every_value(be, dtype):
    x = RNG.normal(size=(7, 6)).astype(dtype)
    for mode in ("constant", "mirror", "wrap", "grid-wrap"):  # SciPy's other splines miss by 1e-7
        got = ops.map_coordinates(be.array(x), be.array(np.indices(x.shape)), order=3, mode=mode)
        close(got, x, dtype, atol={"float32": 2e-6, "float64": 1e-12}[dtype])  # sums of 16 terms


def test_interpolation_has_a_gradient_in_values_and_coordinates(be):
    x, at = RNG.normal(size=(5, 4)), RNG.uniform(0.1, 2.9, (2, 6))

    for order in (1, 3):
        f, host = square_of_ours(order), square_of_scipys(order)
        for run in (grad(f, (0, 1)), compile(grad(f, (0, 1)))):
            for k, got in enumerate(run(be.array(x), be.array(at))):
                want = np.empty_like((x, at)[k])
                for i in np.ndindex(want.shape):
                    sides = []
                    for step in (1e-6, -1e-6):
                        moved = [x.copy(), at.copy()]
                        moved[k][i] += step
                        sides.append(host(*moved))
                    want[i] = (sides[0] - sides[1]) / 2e-6
                close(got, want, "float64", rtol=1e-6, atol=1e-7)  # central differences


def square_of_ours(order):
    return lambda x, at: ops.sum(ops.square(ops.map_coordinates(x, at, order=order)))


def square_of_scipys(order):
    return lambda x, at: (ndimage.map_coordinates(x, at, order=order, mode="constant") ** 2).sum()


def blob(shape, places, width=1.3):
    """Return three bumps of different heights, so that no rotation looks like another."""
    grid = np.indices(shape)
    out = np.zeros(shape)
    for height, place in zip((1.0, 0.7, 0.4), places, strict=True):
        squares = sum((g - p) ** 2 for g, p in zip(grid, place, strict=True))
        out += height * np.exp(-squares / (2 * width**2))
    return out


@pytest.mark.parametrize("shape", [(24, 25), (18, 20, 23)])
@pytest.mark.parametrize("order", [1, 3])
def test_a_planted_pose_is_where_the_convention_says(be, shape, order):
    ndim = len(shape)
    turn = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    if ndim == 2:
        c, s = np.cos(0.6), np.sin(0.6)
        turn = np.array([[c, -s], [s, c]])
    shift, center = np.array([1.5, -0.75, 0.5][:ndim]), np.array(shape) // 2
    offsets = np.array([[3.0, 1.0, 0.0], [-2.0, 3.0, 1.0], [0.0, -3.0, -3.0]])[:, :ndim]
    template = blob(shape, center + offsets)
    want = blob(shape, (turn @ offsets.T).T + center + shift)
    got, mask = ops.rigid_transform(
        be.array(template), be.array(turn), translation=be.array(shift), order=order
    )
    assert mask is None
    # how well a polynomial follows a Gaussian of width 1.3: by its second or fourth derivative
    np.testing.assert_allclose(np.asarray(got), want, atol={1: 0.08 * ndim, 3: 0.01}[order])
    away, _ = ops.rigid_transform(be.array(template), be.array(turn.T), translation=be.array(shift))
    assert np.abs(np.asarray(away) - want).max() > 0.3


def test_a_right_angle_moves_values_exactly_and_keeps_the_centre(be, dtype):
    x = RNG.normal(size=(5, 5, 7)).astype(dtype)
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype)
    for order in (0, 1, 3):
        got, mask = ops.rigid_transform(be.array(x), be.array(quarter), be.array(np.abs(x)), order=order)
        close(got, np.rot90(x, 1), dtype, atol={"float32": 5e-6, "float64": 1e-12}[dtype])
        close(mask, np.rot90(np.abs(x), 1), dtype)
    even = RNG.normal(size=(4, 4)).astype(dtype)
    flat = be.array(quarter[:2, :2])
    about_index, _ = ops.rigid_transform(be.array(even), flat, order=0)
    assert np.asarray(about_index)[2, 2] == even[2, 2]
    about_middle, _ = ops.rigid_transform(be.array(even), flat, order=0, use_geometric_center=True)
    np.testing.assert_array_equal(np.asarray(about_middle), np.rot90(even, 1))
    asked, _ = ops.rigid_transform(be.array(even), flat, order=0, center=(1.5, 1.5))
    np.testing.assert_array_equal(np.asarray(asked), np.rot90(even, 1))


def test_a_pose_can_be_found_by_its_gradient(be):
    template = blob((16, 16), [(9.0, 6.0), (5.0, 9.0), (10.0, 11.0)], width=2.0)
    x, angle, shift = be.array(template), 0.15, np.array([0.4, -0.3])

    def turned(angle, shift):
        c, s = ops.cos(angle), ops.sin(angle)
        matrix = ops.stack([ops.stack([c, ops.negative(s)]), ops.stack([s, c])])
        return ops.rigid_transform(x, matrix, None, shift, order=3)[0]

    target = turned(be.array(np.array(angle)), be.array(shift))

    def loss(angle, shift):
        return ops.sum(ops.square(ops.subtract(turned(angle, shift), target)))

    slope = compile(grad(loss, (0, 1)))
    found, moved = be.array(np.array(0.0)), be.array(np.zeros(2))
    for _ in range(100):
        by_angle, by_shift = slope(found, moved)
        found = ops.subtract(found, ops.multiply(by_angle, 0.004))
        moved = ops.subtract(moved, ops.multiply(by_shift, 0.05))
    assert abs(float(found) - angle) < 1e-3
    np.testing.assert_allclose(np.asarray(moved), shift, atol=1e-2)


def test_padding_and_cutting_keep_the_places_they_promise(be, dtype):
    x = RNG.normal(size=(4, 5)).astype(dtype)
    wide = np.full((6, 3), 7.0, dtype)
    wide[:4] = x[:, :3]
    np.testing.assert_array_equal(np.asarray(ops.topleft_pad(be.array(x), (6, 3), padval=7)), wide)
    np.testing.assert_array_equal(np.asarray(ops.extract_center(be.array(x), (2, 2))), x[1:3, 1:3])
    np.testing.assert_array_equal(np.asarray(ops.extract_center(be.array(x), (3, 5))), x[0:3])
    with pytest.raises(ValueError, match=r"extract_center: shape \(4, 5\) has no middle of shape \(5, 5\)"):
        ops.extract_center(be.array(x), (5, 5))
    with pytest.raises(ValueError, match=r"topleft_pad: an array of shape .* needs as many new sizes"):
        ops.topleft_pad(be.array(x), (5,))


def test_what_cannot_be_interpolated_is_refused_in_the_same_words(be):
    x, at = be.array(np.zeros((3, 4))), be.array(np.zeros((2, 5)))
    with pytest.raises(TypeError, match="map_coordinates: expected a floating-point array, got int32"):
        ops.map_coordinates(be.array(np.zeros((3, 4), "int32")), at)
    with pytest.raises(ValueError, match="map_coordinates: order is 0, 1 or 3, got 2"):
        ops.map_coordinates(x, at, order=2)
    with pytest.raises(ValueError, match=r"mode is one of constant, .*, got 'edge'"):
        ops.map_coordinates(x, at, mode="edge")
    with pytest.raises(ValueError, match=r"\(3, 4\) needs coordinates \(2, \*places\), got shape \(3, 5\)"):
        ops.map_coordinates(x, be.array(np.zeros((3, 5))))
    with pytest.raises(ValueError, match=r"rigid_transform: an array of 2 axes needs a rotation \(2, 2\)"):
        ops.rigid_transform(x, be.array(np.eye(3)))


def test_where_a_coordinate_is_nan_so_is_the_value(be):
    x, at = be.array(np.array([1.0, 2.0, 4.0])), be.array(np.array([[0.5, np.nan, 5.0]]))
    for order in (1, 3):
        got = np.asarray(ops.map_coordinates(x, at, order=order, mode="mirror"))
        np.testing.assert_array_equal(np.isnan(got), [False, True, False])
    outside = np.asarray(ops.map_coordinates(x, at, mode="constant", cval=9.0))
    np.testing.assert_array_equal(outside, [1.5, 9.0, 9.0])
    assert np.asarray(ops.map_coordinates(x, at[:, :0])).shape == (0,)
