"""Operations on numbers of one lane: signs, comparisons, shifts, divisions, types."""

from __future__ import annotations

import torch
from torch import Tensor

from vecmcts.kernels.writer import TYPES, Lanes, Rule, UnknownError, Value, Writer, aten, rule


def binary(symbol: str, compares: bool = False) -> Rule:
    """A rule for an operation with a sign of its own."""

    def apply(write: Writer, out: Tensor, a: Value, b: Value, alpha: int = 1) -> Lanes:
        if alpha != 1:
            raise UnknownError("alpha")
        dtype = _common(a, b) if compares else out.dtype
        return Lanes(
            write.each(lambda x, y: write.line(f"{x} {symbol} {y}"), write.of(a, dtype), write.of(b, dtype)), out.dtype
        )

    return apply


def _common(*values: Value) -> torch.dtype:
    """The type in which values are compared."""
    kinds = [
        torch.empty((1,) * value.names.ndim, dtype=value.dtype) if isinstance(value, Lanes) else value
        for value in values
    ]
    return torch.result_type(*kinds)


SIGNS = {"sub": "-", "mul": "*", "bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^"}
COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
for name, sign in {**SIGNS, **COMPARISONS}.items():
    for overload in ("Tensor", "Scalar"):
        rule(getattr(getattr(aten, name), overload))(binary(sign, compares=name in COMPARISONS))


@rule(aten.add.Tensor, aten.add.Scalar)
def add(write: Writer, out: Tensor, a: Value, b: Value, alpha: int = 1) -> Lanes:
    places = [x for x in (a, b) if isinstance(x, Lanes) and x.stride]
    if places:  # a place in a flat tensor, and an entry of the lane: still a place
        other = b if places[0] is a else a
        if len(places) == 2 or alpha != 1:
            raise UnknownError("a sum of places")
        plain = Lanes(places[0].names, places[0].dtype)
        return Lanes(binary("+")(write, out, plain, other).names, out.dtype, stride=places[0].stride)
    if out.dtype == torch.bool:
        return binary("|")(write, out, a, b, alpha)
    return binary("+")(write, out, a, b, alpha)


@rule(aten.rsub.Scalar)
def rsub(write: Writer, out: Tensor, a: Value, b: Value) -> Lanes:
    return binary("-")(write, out, b, a)


@rule(aten.bitwise_not.default)
def bitwise_not(write: Writer, out: Tensor, a: Lanes) -> Lanes:
    return binary("^")(write, out, a, True if out.dtype == torch.bool else -1)


@rule(aten.neg.default)
def neg(write: Writer, out: Tensor, a: Lanes) -> Lanes:
    return binary("-")(write, out, 0, a)


@rule(aten.abs.default)
def absolute(write: Writer, out: Tensor, a: Lanes) -> Lanes:
    return Lanes(write.each(lambda x: write.line(f"tl.abs({x})"), write.of(a, out.dtype)), out.dtype)


@rule(aten.floor.default)
def floor(write: Writer, out: Tensor, a: Lanes) -> Lanes:
    return Lanes(write.each(lambda x: write.line(f"tl.floor({x})"), write.of(a, out.dtype)), out.dtype)


@rule(aten.sign.default)
def sign_of(write: Writer, out: Tensor, a: Lanes) -> Lanes:
    if out.dtype not in (torch.int8, torch.int16, torch.int32, torch.int64):
        raise UnknownError("a sign")
    zero, one, less = (write.constant(number, out.dtype) for number in (0, 1, -1))

    def sign(x: str) -> str:
        below = write.line(f"tl.where({x} < {zero}, {less}, {zero})")
        return write.line(f"tl.where({x} > {zero}, {one}, {below})")

    return Lanes(write.each(sign, write.of(a, out.dtype)), out.dtype)


@rule(
    aten.__rshift__.Scalar,
    aten.__rshift__.Tensor,
    aten.bitwise_right_shift.Tensor_Scalar,
    aten.bitwise_right_shift.Scalar_Tensor,
)
def right(write: Writer, out: Tensor, a: Value, b: Value) -> Lanes:
    return _shifted(write, out, a, b, ">>")


@rule(
    aten.__lshift__.Scalar,
    aten.__lshift__.Tensor,
    aten.bitwise_left_shift.Tensor_Scalar,
    aten.bitwise_left_shift.Scalar_Tensor,
)
def left(write: Writer, out: Tensor, a: Value, b: Value) -> Lanes:
    return _shifted(write, out, a, b, "<<")


def _shifted(write: Writer, out: Tensor, a: Value, b: Value, sign: str) -> Lanes:
    """Shifts by 0 to 63; torch's own answer to others (0, and the sign to the right) is not asked for by any game, but
    a lane that is only carried along must not do what has no meaning."""
    dtype = out.dtype
    by = write.of(b, dtype)
    if isinstance(b, Lanes):
        most, zero = write.constant(torch.iinfo(dtype).bits - 1, dtype), write.constant(0, dtype)
        inside = write.each(lambda y: write.line(f"({y} >= {zero}) & ({y} <= {most})"), by)
        safe = write.each(lambda y, i: write.line(f"tl.where({i}, {y}, {zero if sign == '<<' else most})"), by, inside)
        shifted = write.each(lambda x, y: write.line(f"{x} {sign} {y}"), write.of(a, dtype), safe)
        if sign == "<<":
            shifted = write.each(lambda x, i: write.line(f"tl.where({i}, {x}, {zero})"), shifted, inside)
        return Lanes(shifted, dtype)
    return Lanes(write.each(lambda x, y: write.line(f"{x} {sign} {y}"), write.of(a, dtype), by), dtype)


@rule(aten.where.self)
def where(write: Writer, out: Tensor, mask: Value, a: Value, b: Value) -> Lanes:
    parts = write.of(mask, torch.bool), write.of(a, out.dtype), write.of(b, out.dtype)
    return Lanes(write.each(lambda m, x, y: x if x == y else write.line(f"tl.where({m}, {x}, {y})"), *parts), out.dtype)


@rule(aten.clamp.default)
def clamp(write: Writer, out: Tensor, a: Lanes, low: Value = None, high: Value = None) -> Lanes:
    names = write.of(a, out.dtype)
    for function, bound in (("maximum", low), ("minimum", high)):
        if bound is not None:
            names = write.each(
                lambda x, y, f=function: write.line(f"tl.{f}({x}, {y})"), names, write.of(bound, out.dtype)
            )
    return Lanes(names, out.dtype)


@rule(aten.remainder.Scalar)
def remainder(write: Writer, out: Tensor, a: Lanes, b: int) -> Lanes:
    return _divided(write, out, a, b)[1]


@rule(aten.floor_divide.default)
def floor_divide(write: Writer, out: Tensor, a: Lanes, b: int) -> Lanes:
    return _divided(write, out, a, b)[0]


@rule(aten.div.Tensor_mode)
def div_mode(write: Writer, out: Tensor, a: Lanes, b: int, rounding_mode: str | None = None) -> Lanes:
    if rounding_mode != "floor":
        raise UnknownError(f"a division rounded {rounding_mode}")
    return _divided(write, out, a, b)[0]


def _divided(write: Writer, out: Tensor, a: Lanes, b: Value) -> tuple[Lanes, Lanes]:
    """Integers by a positive one that is known: the quotient rounded down, and a remainder that is not negative.
    Triton's are those of C, rounded to zero."""
    if out.dtype.is_floating_point or not isinstance(a, Lanes) or not isinstance(b, int) or b <= 0:
        raise UnknownError("a division")
    divisor, zero, one = (write.constant(number, out.dtype) for number in (b, 0, 1))
    numbers = write.of(a, out.dtype)
    rest = write.each(lambda x: write.line(f"{x} % {divisor}"), numbers)
    quotient = write.each(lambda x: write.line(f"{x} // {divisor}"), numbers)
    quotient = write.each(lambda q, r: write.line(f"tl.where({r} < {zero}, {q} - {one}, {q})"), quotient, rest)
    rest = write.each(lambda r: write.line(f"tl.where({r} < {zero}, {r} + {divisor}, {r})"), rest)
    return Lanes(quotient, out.dtype), Lanes(rest, out.dtype)


@rule(aten.div.Tensor)
def div(write: Writer, out: Tensor, a: Value, b: Value) -> Lanes:
    sign = "tl.div_rn({}, {})" if out.dtype == torch.float32 else "{} / {}"
    parts = write.of(a, out.dtype), write.of(b, out.dtype)
    return Lanes(write.each(lambda x, y: write.line(sign.format(x, y)), *parts), out.dtype)


@rule(aten.reciprocal.default)
def reciprocal(write: Writer, out: Tensor, a: Lanes) -> Lanes:
    return div(write, out, 1.0, a)


@rule(aten._to_copy.default)
def to_copy(write: Writer, out: Tensor, a: Lanes, **options: object) -> Lanes:
    return Lanes(write.of(a, out.dtype), out.dtype)


@rule(aten.view.dtype)
def view_as(write: Writer, out: Tensor, a: Lanes, dtype: torch.dtype) -> Lanes:
    if torch.bool in (a.dtype, dtype) or a.dtype.itemsize != dtype.itemsize:
        raise UnknownError("a view as another type")
    return Lanes(write.each(lambda x: write.line(f"{x}.to({TYPES[dtype]}, bitcast=True)"), a.names), dtype)
