"""Fixed-width vectors inside numba: a small set of intrinsics that emit LLVM vector IR.

A value of type ``Vec(float32, 64)`` is one LLVM ``<64 x float>``. LLVM splits it into whatever registers the
machine has (4 zmm, 8 ymm, 16 xmm or NEON q registers), so the same source runs on any CPU, and a loop like
``acc = acc + vload(w, k, LANES)`` keeps ``acc`` in registers, which numba's own loop vectoriser does not do.

No instruction carries a fast-math flag: no reordering, no fused multiply-add. Nothing here checks bounds.
Comparisons return the answers as one unsigned integer of as many bits (``uint64`` for 64 lanes; lane k is bit k), so
masks combine with ``& | ~``.
"""

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.extending import intrinsic, lower_builtin, register_model, type_callable

LANES = 64
"""Neurons in a block: as many as bits in a mask word."""


class Vec(types.Type):
    """Numba type of ``lanes`` scalars held in registers."""

    def __init__(self, scalar, lanes):
        self.scalar = scalar
        self.lanes = lanes
        super().__init__(name=f"Vec({scalar}, {lanes})")


@register_model(Vec)
class VecModel(models.PrimitiveModel):
    """A Vec is stored and passed as one LLVM vector."""

    def __init__(self, dmm, fe_type):
        scalar = dmm.lookup(fe_type.scalar).get_value_type()
        super().__init__(dmm, fe_type, ir.VectorType(scalar, fe_type.lanes))


@intrinsic
def pointer(typingctx, array):
    """Return the address of a contiguous array's elements.

    Kernels are handed addresses: an array that is passed on costs numba a count of references, up and down, each time.
    Whoever calls a kernel keeps the array.
    """

    def codegen(context, builder, signature, args):
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


def _located(scalar):
    @intrinsic
    def located(typingctx, number):
        kind = types.CPointer(scalar)

        def codegen(context, builder, signature, args):
            return builder.inttoptr(args[0], context.get_value_type(kind))

        return kind(types.int64), codegen

    return located


#: The address that a number is, of elements of one type.
bytes_at, int32_at, int64_at, uint64_at = (_located(t) for t in (types.uint8, types.int32, types.int64, types.uint64))
doubles_at = _located(types.float64)


@intrinsic
def floats_at(typingctx, like, number):
    """Return the address that a number is, of elements as in the array `like`."""
    kind = types.CPointer(like.dtype)

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[1], context.get_value_type(kind))

    return kind(like, types.int64), codegen


@intrinsic
def arrive(typingctx, address):
    """Add 1 to the counter at `address`, for other threads to see with all that was written before."""

    def codegen(context, builder, signature, args):
        builder.atomic_rmw("add", args[0], args[0].type.pointee(1), "seq_cst")
        return context.get_dummy_value()

    return types.void(address), codegen


@intrinsic
def seen(typingctx, address):
    """Read the counter at `address`, and with it all that was written before others added to it."""

    def codegen(context, builder, signature, args):
        return builder.load_atomic(args[0], "acquire", 8)

    return types.int64(address), codegen


@intrinsic
def past(typingctx, address, offset):
    """Return the address of element `offset`."""

    def codegen(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return address(address, types.intp), codegen


@intrinsic
def scalar(typingctx, address, value):
    """Return `value` in the type that lies at `address`."""

    def codegen(context, builder, signature, args):
        return context.cast(builder, args[1], signature.args[1], signature.return_type)

    return address.dtype(address, value), codegen


def _vector_pointer(context, builder, address, offset, vec):
    return builder.bitcast(builder.gep(address, [offset]), context.get_value_type(vec).as_pointer())


def _itemsize(context, scalar):
    return context.get_abi_sizeof(context.get_data_type(scalar))


@intrinsic(prefer_literal=True)
def vload(typingctx, address, offset, lanes):
    """Load `lanes` consecutive elements from position `offset` on."""
    vec = Vec(address.dtype, lanes.literal_value)

    def codegen(context, builder, signature, args):
        pointer = _vector_pointer(context, builder, args[0], args[1], vec)
        return builder.load(pointer, align=_itemsize(context, vec.scalar))

    return vec(address, types.intp, lanes), codegen


@intrinsic
def vstore(typingctx, address, offset, value):
    """Store a Vec at position `offset`."""

    def codegen(context, builder, signature, args):
        pointer = _vector_pointer(context, builder, args[0], args[1], value)
        builder.store(args[2], pointer, align=_itemsize(context, value.scalar))
        return context.get_dummy_value()

    return types.void(address, types.intp, value), codegen


@intrinsic
def at(typingctx, address, offset):
    """Read position `offset`, without bounds or wrap-around test."""

    def codegen(context, builder, signature, args):
        return builder.load(builder.gep(args[0], [args[1]]))

    return address.dtype(address, types.intp), codegen


@intrinsic
def put(typingctx, address, offset, value):
    """Write position `offset`, without bounds or wrap-around test."""

    def codegen(context, builder, signature, args):
        builder.store(args[2], builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.void(address, types.intp, address.dtype), codegen


def _splat(builder, scalar, lanes):
    vector = ir.VectorType(scalar.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


@intrinsic(prefer_literal=True)
def vfull(typingctx, scalar, lanes):
    """Put one scalar into all lanes."""
    scalar = types.unliteral(scalar)
    vec = Vec(scalar, lanes.literal_value)

    def codegen(context, builder, signature, args):
        return _splat(builder, args[0], vec.lanes)

    return vec(scalar, lanes), codegen


def _bits(builder, flags):
    return builder.bitcast(flags, ir.IntType(flags.type.count))


def _comparison(symbol):
    @intrinsic
    def compare(typingctx, left, right):
        word = getattr(types, f"uint{left.lanes}")

        def codegen(context, builder, signature, args):
            if isinstance(left.scalar, types.Float):
                if symbol == "!=":
                    return _bits(builder, builder.fcmp_unordered(symbol, *args))
                return _bits(builder, builder.fcmp_ordered(symbol, *args))
            return _bits(builder, builder.icmp_unsigned(symbol, *args))

        return word(left, right), codegen

    return compare


vgt = _comparison(">")
vge = _comparison(">=")
vne = _comparison("!=")


@intrinsic
def vselect(typingctx, word, yes, no):
    """Take lane k of `yes` where bit k of `word` is set, of `no` elsewhere."""

    def codegen(context, builder, signature, args):
        flags = builder.bitcast(args[0], ir.VectorType(ir.IntType(1), yes.lanes))
        return builder.select(flags, args[1], args[2])

    return yes(getattr(types, f"uint{yes.lanes}"), yes, no), codegen


@intrinsic
def put_set_bits(typingctx, address, offset, first, word):
    """Write ``first + k`` for each set bit k of a 64-bit mask at `offset` and on, ascending, without a branch.

    A branch for each bit is guessed wrong once a mask, which costs more than all the stores. Sixteen int32 are written at
    a time, so up to 15 positions behind the last number are overwritten. Returns the position behind the last number.
    """

    def codegen(context, builder, signature, args):
        address, offset, first, word = args
        lanes, bit, number, size = 16, ir.IntType(1), ir.IntType(32), ir.IntType(64)
        vector = ir.VectorType(number, lanes)
        kind = ir.FunctionType(vector, [vector, ir.VectorType(bit, lanes), vector])
        compress = cgutils.get_or_insert_function(builder.module, kind, "llvm.experimental.vector.compress.v16i32")
        ascending = builder.add(
            _splat(builder, builder.trunc(first, number), lanes), ir.Constant(vector, [number(k) for k in range(lanes)])
        )
        for part in range(LANES // lanes):
            mask = builder.trunc(builder.lshr(word, size(part * lanes)), ir.IntType(lanes))
            numbers = builder.add(ascending, ir.Constant(vector, [number(part * lanes)] * lanes))
            flags = builder.bitcast(mask, ir.VectorType(bit, lanes))
            packed = builder.call(compress, [numbers, flags, ir.Constant(vector, ir.Undefined)])
            to = builder.bitcast(builder.gep(address, [offset]), vector.as_pointer())
            builder.store(packed, to, align=4)
            offset = builder.add(offset, builder.zext(builder.ctpop(mask), size))
        return offset

    return types.intp(address, types.intp, types.intp, types.uint64), codegen


@intrinsic
def cttz(typingctx, word):
    """Find the lowest set bit (the word's width when there is none)."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], cgutils.false_bit)

    return types.uint64(types.uint64), codegen


@intrinsic
def popcount(typingctx, word):
    """Count the set bits."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


def _register_arithmetic(function, name):
    @type_callable(function)
    def typer_factory(context):
        def typer(left, right):
            if isinstance(left, Vec) and left == right:
                return left

        return typer

    @lower_builtin(function, Vec, Vec)
    def lower(context, builder, signature, args):
        is_float = isinstance(signature.return_type.scalar, types.Float)
        return getattr(builder, f"f{name}" if is_float else name)(*args)


for _function, _name in ((operator.add, "add"), (operator.sub, "sub"), (operator.mul, "mul"), (operator.truediv, "div")):
    _register_arithmetic(_function, _name)
