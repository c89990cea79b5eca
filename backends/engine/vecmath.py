"""More of vectors: functions that LLVM knows by name, and whole numbers of few bits."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic

from spikeport.backends.engine.vec import Vec


def _call(builder, name, args):
    vector = args[0].type
    full = f"llvm.{name}.v{vector.count}{vector.element.intrinsic_name}"
    kind = ir.FunctionType(vector, [vector] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, full), args)


@intrinsic
def vtrunc(typingctx, value):
    """Round every lane towards zero."""

    def codegen(context, builder, signature, args):
        return _call(builder, "trunc", args)

    return value(value), codegen


@intrinsic
def vmuladd(typingctx, left, right, more):
    """Return ``left * right + more``, in one instruction where the machine has one.

    Only for numbers whose product is exact: whether the product is rounded is the machine's matter.
    """

    def codegen(context, builder, signature, args):
        return _call(builder, "fmuladd", args)

    return left(left, right, more), codegen


@intrinsic(prefer_literal=True)
def vload_bytes(typingctx, address, offset, lanes):
    """Load signed bytes from `offset` bytes behind `address` on, as integers of 16 bits."""
    vec = Vec(types.int16, lanes.literal_value)

    def codegen(context, builder, signature, args):
        byte = builder.gep(builder.bitcast(args[0], ir.IntType(8).as_pointer()), [args[1]])
        narrow = builder.load(builder.bitcast(byte, ir.VectorType(ir.IntType(8), vec.lanes).as_pointer()), align=1)
        return builder.sext(narrow, context.get_value_type(vec))

    return vec(address, types.intp, lanes), codegen


@intrinsic
def vfloats(typingctx, address, value):
    """Return a Vec of integers as floats of the type that lies at `address`."""
    vec = Vec(address.dtype, value.lanes)

    def codegen(context, builder, signature, args):
        return builder.sitofp(args[1], context.get_value_type(vec))

    return vec(address, value), codegen


__all__ = ["vfloats", "vload_bytes", "vmuladd", "vtrunc"]
