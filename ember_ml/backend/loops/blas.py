"""Matrix products in compiled loops: SciPy's BLAS, called without Python (extra `speed`).

The addresses of its functions are arguments of the compiled code, which can so be kept on disk.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic

ROUTINES = {"float32": "sgemm", "float64": "dgemm"}


def address(dtype: str) -> int:
    """Return where the product of matrices of a dtype is in memory."""
    return get_cython_function_address("scipy.linalg.cython_blas", ROUTINES[dtype])


@intrinsic
def product(context, routine, sizes, a, a_at, b, b_at, c, c_at, added):
    """Write the matrix product a @ b over c, or add it to c if `added` is 1.

    `a`, `b` and `c` are pointers to buffers, `sizes` rows, inner size and columns. `a_at` says where a lies:
    start, distance from row to row, and 0; or, column by column, the distance of these, and 1. So do `b_at`
    and `c_at`, which has a 0.
    """
    number = a.dtype

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> None:
        routine, sizes, a, a_at, b, b_at, c, c_at, added = args
        kind, index, letter = context.get_value_type(number), ir.IntType(32), ir.IntType(8)

        def held(value: Any, type_: Any) -> Any:
            slot = cgutils.alloca_once(builder, type_)
            builder.store(value, slot)
            return slot

        def part(at: Any, place: int) -> Any:
            return builder.extract_value(at, place)

        def first(data: Any, at: Any) -> Any:
            return builder.gep(data, [part(at, 0)])

        def whole(value: Any) -> Any:
            return held(builder.trunc(value, index), index)

        def turned(at: Any) -> Any:
            is_turned = builder.icmp_signed("!=", part(at, 2), ir.Constant(ir.IntType(64), 0))
            return held(
                builder.select(is_turned, ir.Constant(letter, ord("T")), ir.Constant(letter, ord("N"))),
                letter,
            )

        rows, inner, columns = (part(sizes, i) for i in range(3))
        # BLAS counts column by column: what it is told is c.T = b.T @ a.T.
        given = [
            turned(b_at),
            turned(a_at),
            *map(whole, (columns, rows, inner)),
            held(ir.Constant(kind, 1.0), kind),
            first(b, b_at),
            whole(part(b_at, 1)),
            first(a, a_at),
            whole(part(a_at, 1)),
            held(builder.sitofp(added, kind), kind),
            first(c, c_at),
            whole(part(c_at, 1)),
        ]
        function = ir.FunctionType(ir.VoidType(), [x.type for x in given])
        builder.call(builder.inttoptr(routine, function.as_pointer()), given)
        return context.get_dummy_value()

    return types.void(routine, sizes, a, a_at, b, b_at, c, c_at, added), generate
