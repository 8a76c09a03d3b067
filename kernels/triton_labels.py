"""Labels inside a Triton kernel: every rule of `rules`, as a tile of probabilities.

    Gaussian, window    p_k = P_w(f), a polynomial per bin w of the window in the position f of the target
                        inside its bin (`gaussian_table`), normalised by the mass inside the support
    Gaussian, all bins  p_k = |T(z_k) - T(z_{k+1})|, T the tail of the Gaussian mirrored at the target, in
                        units of the density at the nearest edge (erfcx), normalised
    Two-Hot             p_k = max(0, 1 - |x - k|), x the target in bins; for uneven ones by the neighbours
    C51                 p_k = sum_j q_j max(0, 1 - |x_j - k|), x_j the atom in bins: each bin gathers from the
                        2 / discount atoms around it, the end bins from all: no atomics, no lost mass

A target is a position in bins, taken in float64 or in float32 with constants of two parts, and split into a
whole and a fractional part, so that no rounding grows with K. It is one number a row.

A rule's constants are the tuple `numbers`, in the order of NUMBERS; `table` points to polynomial coefficients
[degree + 1, W] (float32), or to uneven edges [K + 1] or centers [K] (float64).

Shapes: K bins; J bins a lane, R rows, L lanes a row; bin k = j L + lane.
"""

import triton
import triton.language as tl

# Kinds of label, compile-time.
TABLE = tl.constexpr(0)  # Gaussian, a window of equal bins
TAILS = tl.constexpr(1)  # Gaussian, every equal bin
TAILS_UNEVEN = tl.constexpr(2)  # Gaussian, every bin between given edges
TWO_HOT = tl.constexpr(3)
TWO_HOT_UNEVEN = tl.constexpr(4)
C51 = tl.constexpr(5)
GIVEN = tl.constexpr(6)  # probabilities
HARD = tl.constexpr(7)  # one bin's number: what the others are measured against


# The tuple `numbers`, all float32: the ends of the clamp; a value's position in bins as
# value * (PER_BIN + PER_BIN_LOW) - (SHIFT + SHIFT_LOW) + BEFORE, where BEFORE is a whole number and counts
# from the first bin of a window; 1 / (sqrt(2) sigma), in bins if they are equal; width of a bin; middle of
# the support.
LOW, HIGH = tl.constexpr(0), tl.constexpr(1)
PER_BIN, PER_BIN_LOW = tl.constexpr(2), tl.constexpr(3)
SHIFT, SHIFT_LOW, BEFORE = tl.constexpr(4), tl.constexpr(5), tl.constexpr(6)
SLOPE, WIDTH, MIDDLE = tl.constexpr(7), tl.constexpr(8), tl.constexpr(9)


@triton.jit
def exp(x):
    """e^x, flushed to 0 below 1e-38: half the instructions of `tl.exp`, which keeps denormal numbers."""
    return tl.exp2(x * 1.4426950408889634)


@triton.jit
def log2(x):
    """log2 x from 1 to 1024, absolute error 7e-7: a third of the instructions of `tl.log2`.

    A float's bits, read as a whole number, are nearly its logarithm; the exponential says what is missing.
    """
    guess = x.to(tl.int32, bitcast=True).to(tl.float32) * 1.1920928955078125e-07 - 126.957
    r = x * tl.exp2(-guess) - 1.0  # within 0.031
    return guess + r * (1.44269504 + r * (-0.72134752 + r * (0.48089835 + r * -0.36067376)))


@triton.jit
def position(y, numbers):
    """Where a value inside the support lies: the first bin of its window and the place in its bin, float32.

    What is subtracted first is exact, so the fraction has no more rounding than the value itself.
    """
    low = y * numbers[PER_BIN_LOW] - numbers[SHIFT_LOW]
    whole = tl.floor((y * numbers[PER_BIN] - numbers[SHIFT]) + low)
    f = tl.fma(y, numbers[PER_BIN], -(numbers[SHIFT] + whole)) + low
    step = tl.floor(f)  # the first floor was of a rounded number
    return whole + numbers[BEFORE] + step, f - step


@triton.jit
def tile_pointers(ptr, offset, stride_k, k):
    """Addresses [J, R, L] of the bins k of rows at an offset."""
    if stride_k != 1:
        return ptr + offset + k.to(tl.int64) * stride_k
    else:
        pointers = ptr + offset + k
        # A thread of neighbouring bins (rows of 64 are aligned for it) would leave no room for its column.
        return tl.multiple_of(tl.max_contiguous(pointers, (1, 2, k.shape[2])), (1, 1, 1))


@triton.jit
def like_tile(ptr, offset):
    """Addresses [J or 1, R, L], for which the compiler shall lay out threads as for a tile: lanes, then rows.

    It goes by how many addresses follow each other in a direction, and the numbers here are only an order:
    by the second hint they are aligned to nothing, so that none are read together. Without such hints Triton
    3.6 spreads the J bins of a lane over warps, for four times the instructions.
    """
    pointers = ptr + offset
    return tl.multiple_of(tl.max_contiguous(pointers, (1, 2, 4)), (1, 1, 1))


@triton.jit
def row_sum(x):
    """The sum of a tile [J or 1, R, L] over the bins of each row: [R]."""
    return tl.sum(tl.sum(x, axis=0), axis=1)


@triton.jit
def label_tile(
    target, target_offset, target_stride_k, reward, discount, table, numbers, total, k, keep,
    K: tl.constexpr, LABEL: tl.constexpr, WINDOW: tl.constexpr, DEGREE: tl.constexpr,
    J: tl.constexpr, R: tl.constexpr, L: tl.constexpr,
):  # fmt: skip
    """The label [J, R, L] of the rows' targets, and 1 / total [R].

    target points to values, to probabilities, or (C51) to the next logits.
    """
    if LABEL == GIVEN:
        pointers = tile_pointers(target, target_offset[None, :, None], target_stride_k, k)
        return tl.load(pointers, mask=keep, other=0.0).to(tl.float32), 1.0 / total
    elif LABEL == C51:
        offset = target_offset[None, :, None]
        pointers = tile_pointers(target, offset, target_stride_k, k)
        x = tl.load(pointers, mask=keep, other=-float("inf")).to(tl.float32)
        r, g = tl.load(reward), tl.load(discount)
        return projection(target, offset, target_stride_k, x, r, g, numbers, k, keep, K), 1.0 / total
    else:
        y = tl.load(target + target_offset)
        return value_label(y, table, numbers, total, k, keep, K, LABEL, WINDOW, DEGREE, J, R, L)


@triton.jit
def value_label(
    y, table, numbers, total, k, keep,
    K: tl.constexpr, LABEL: tl.constexpr, WINDOW: tl.constexpr, DEGREE: tl.constexpr,
    J: tl.constexpr, R: tl.constexpr, L: tl.constexpr,
):  # fmt: skip
    """The label [J, R, L] of values y [R], and 1 / total [R]; NaN for a value that is NaN or infinite."""
    if LABEL == HARD:
        return tl.where(k == y.to(tl.int32)[None, :, None], 1.0, 0.0), 1.0 / total
    else:
        y = y.to(tl.float32)
        witness = y * 0.0  # NaN for NaN and infinity, which the clamp would hide
        y = tl.minimum(tl.maximum(y, numbers[LOW]), numbers[HIGH])
        if LABEL == TWO_HOT_UNEVEN:
            return two_hot_uneven(y, table, k, keep, K) + witness[None, :, None], 1.0 / total
        elif LABEL == TAILS_UNEVEN or LABEL == TAILS:
            if LABEL == TAILS:
                p = gaussian_all_bins(y, numbers, k, keep, K)
            else:
                p = gaussian_uneven(y, table, numbers, k, keep, K)
            inverse_mass, inverse_total = reciprocals(row_sum(p) + witness, total)
            return p * inverse_mass[None, :, None], inverse_total
        else:
            start, f = position(y, numbers)
            return window(start.to(tl.int32), f + witness, table, total, K, LABEL, WINDOW, DEGREE, J, R, L)


@triton.jit
def reciprocals(a, b):
    """1 / a and 1 / b for one division."""
    both = 1.0 / (a * b)
    return both * b, both * a


@triton.jit
def window(
    start, f, table, total,
    K: tl.constexpr, LABEL: tl.constexpr, WINDOW: tl.constexpr, DEGREE: tl.constexpr,
    J: tl.constexpr, R: tl.constexpr, L: tl.constexpr,
):  # fmt: skip
    """A label that lives in W bins from `start` [R] on, normalised inside the support, and 1 / total [R].

    Of any L consecutive bins each lane owns one, so a lane computes W / L probabilities, wherever in its
    column of J bins they belong.
    """
    # All in three dimensions, like the tile: a tensor of two would be laid out anew and computed twice.
    j = tl.arange(0, J)[:, None, None]
    to_lane = tl.arange(0, L)[None, None, :] - start[None, :, None]
    w = to_lane & (L - 1)  # start + w is this lane's first bin of the window
    LOG_L: tl.constexpr = 3 if L == 8 else 4 if L == 16 else 5
    slot = -(to_lane >> LOG_L)  # and slot L + lane the same bin
    x = f[None, :, None]
    if LABEL == TABLE:
        x = 2.0 * x - 1.0
    H: tl.constexpr = (WINDOW + L - 1) // L
    mass = window_bin(table, start, w, x, K, L, LABEL, WINDOW, DEGREE)
    for h in tl.static_range(1, H):
        mass += window_bin(table, start, w + h * L, x, K, L, LABEL, WINDOW, DEGREE)
    inverse_mass, inverse_total = reciprocals(row_sum(mass), total)
    p = tl.zeros((J, R, L), tl.float32)
    for h in tl.static_range(H):
        # The same bins again, which the compiler does not compute again.
        p_w = window_bin(table, start, w + h * L, x, K, L, LABEL, WINDOW, DEGREE)
        p = tl.where(j == slot + h, p_w * inverse_mass[None, :, None], p)
    return p, inverse_total


@triton.jit
def window_bin(
    table, start, w, x,
    K: tl.constexpr, L: tl.constexpr, LABEL: tl.constexpr, WINDOW: tl.constexpr, DEGREE: tl.constexpr,
):  # fmt: skip
    """The probability [1, R, L] of bin w of the window before normalisation, 0 outside the support."""
    if LABEL == TABLE:
        p = polynomial(table, w, x, WINDOW, DEGREE)
    else:
        p = tl.where(w == 0, 1.0 - x, x)
    bin = start[None, :, None] + w
    inside = (bin >= 0) & (bin < K)
    if WINDOW < L:
        inside &= w < WINDOW
    return tl.where(inside, p, 0.0)


@triton.jit
def polynomial(table, w, x, WINDOW: tl.constexpr, DEGREE: tl.constexpr):
    """P_w(f) by Horner's rule in x = 2 f - 1."""
    w = w & (WINDOW - 1)  # a window smaller than the lanes: what is read again is not used
    p = tl.load(like_tile(table + DEGREE * WINDOW, w))
    for degree in tl.static_range(DEGREE):
        p = p * x + tl.load(like_tile(table + (DEGREE - 1 - degree) * WINDOW, w))
    return p


@triton.jit
def erfcx(x):
    """exp(x^2) erfc(x) for x >= 0, relative error 1.2e-7 (Numerical Recipes, erfcc)."""
    t = 1.0 / (1.0 + 0.5 * x)
    p = -0.82215223 + t * 0.17087277
    p = 1.48851587 + t * p
    p = -1.13520398 + t * p
    p = 0.27886807 + t * p
    p = -0.18628806 + t * p
    p = 0.09678418 + t * p
    p = 0.37409196 + t * p
    p = 1.00002368 + t * p
    return t * exp(-1.26551223 + t * p)


@triton.jit
def tail(z, nearest):
    """The mass beyond |z|, in units of half the density at the nearest edge; distances in sqrt(2) sigma."""
    a = tl.abs(z)
    return erfcx(a) * exp((nearest - a) * (nearest + a))


@triton.jit
def between(left, right, first, last, keep):
    """The mass between a bin's edges, given their and the outermost edges' distances from the target."""
    nearest = tl.maximum(tl.maximum(first, -last), 0.0)  # 0 inside the support
    low, high = tail(left, nearest), tail(right, nearest)
    mass = tl.where((left < 0) & (right > 0), 2.0 - low - high, tl.abs(low - high))
    return tl.where(keep, mass, 0.0)


@triton.jit
def gaussian_all_bins(y, numbers, k, keep, K: tl.constexpr):
    """The unnormalised label of a value [R] in every equal bin, however far outside: [J, R, L]."""
    y = y.to(tl.float64)
    position = y * numbers[PER_BIN] + y * numbers[PER_BIN_LOW] - numbers[SHIFT] - numbers[SHIFT_LOW]
    position += numbers[BEFORE]
    # Two float32 hold the position, so that the difference to a near edge is exact.
    coarse = position.to(tl.float32)
    fine = (position - coarse.to(tl.float64)).to(tl.float32)[None, :, None]
    coarse = coarse[None, :, None]
    slope = numbers[SLOPE]
    left = ((k.to(tl.float32) - coarse) - fine) * slope
    right = (((k + 1).to(tl.float32) - coarse) - fine) * slope
    return between(left, right, (0.0 - coarse - fine) * slope, (K - coarse - fine) * slope, keep)


@triton.jit
def gaussian_uneven(value, edges, numbers, k, keep, K: tl.constexpr):
    """The unnormalised label of a value [R] in every bin between the edges: [J, R, L]."""
    slope = numbers[SLOPE]
    y = value.to(tl.float64)[None, :, None]
    left = (tl.load(edges + k, mask=k < K, other=0.0) - y).to(tl.float32) * slope
    right = (tl.load(edges + k + 1, mask=k < K, other=1.0) - y).to(tl.float32) * slope
    first = (tl.load(edges) - y).to(tl.float32) * slope
    return between(left, right, first, (tl.load(edges + K) - y).to(tl.float32) * slope, keep)


@triton.jit
def two_hot_uneven(value, centers, k, keep, K: tl.constexpr):
    """The hats of any increasing centers at a value [R]: [J, R, L]."""
    y = value.to(tl.float64)[None, :, None]
    here = tl.load(centers + k, mask=k < K, other=1.0)
    below = tl.load(centers + k - 1, mask=(k > 0) & (k < K), other=0.0)
    above = tl.load(centers + k + 1, mask=k < K - 1, other=2.0)
    rising = tl.where(k == 0, 1.0, (y - below).to(tl.float32) / (here - below).to(tl.float32))
    falling = tl.where(k == K - 1, 1.0, (above - y).to(tl.float32) / (above - here).to(tl.float32))
    hat = tl.minimum(tl.where(rising < 0, 0.0, rising), tl.where(falling < 0, 0.0, falling))
    return tl.where(keep, hat, 0.0)


@triton.jit
def hat(distance):
    return tl.maximum(1.0 - tl.abs(distance), 0.0)


@triton.jit
def projection(next_logits, offset, stride_k, x, reward, discount, numbers, k, keep, K: tl.constexpr):
    """C51's label [J, R, L] of next logits x [J, R, L], reward and discount [R].

    Atom j lies at first + discount j, in bins. The tile's probabilities serve the end bins; a bin between
    reads the few atoms that reach it again.
    """
    top = tl.max(tl.max(x, axis=0), axis=1)[None, :, None]
    e = exp(x - top)
    total = tl.sum(tl.sum(e, axis=0), axis=1)[None, :, None]
    bin = k.to(tl.float32)
    # Atom 0 is the value reward + discount * center_min, and the position of center_min is 0.
    r, rest = reward.to(tl.float64), 1.0 - discount.to(tl.float64)
    first = r * numbers[PER_BIN] + r * numbers[PER_BIN_LOW]
    first += rest * numbers[BEFORE] - rest * numbers[SHIFT] - rest * numbers[SHIFT_LOW]
    # Beyond the support all atoms are clipped alike, and no integer must overflow.
    limit = ((tl.abs(discount) + 2.0) * K).to(tl.float64)
    witness = ((reward + discount) * 0.0).to(tl.float32)[None, :, None]
    first = tl.minimum(tl.maximum(first, -limit), limit)
    whole = tl.floor(first)
    f = (first - whole).to(tl.float32)[None, :, None] + witness
    whole = whole.to(tl.float32)[None, :, None]
    g = discount.to(tl.float32)[None, :, None]

    own = tl.fma(g, bin, whole) + f
    low = tl.sum(tl.sum(tl.where(keep, e * hat(tl.maximum(own, 0.0)), 0.0), axis=0), axis=1)
    high = tl.sum(tl.sum(tl.where(keep, e * hat(tl.minimum(own - (K - 1.0), 0.0)), 0.0), axis=0), axis=1)

    # Bin k hears atoms within one bin of it: |first + discount j - k| < 1.
    size = tl.maximum(tl.abs(g), 1e-6)
    middle = (bin - whole - f) / tl.where(g < 0, -size, size)
    lowest = tl.minimum(tl.maximum(tl.floor(middle - 1.0 / size), 0.0), K - 1.0)
    start = tl.where(lowest == lowest, lowest, 0.0).to(tl.int32)
    reach = tl.minimum(tl.where(g == 0.0, 0.0, 2.0 / size + 3.0), K)
    steps = tl.max(tl.max(tl.max(tl.where(reach == reach, reach, 0.0), axis=2), axis=1), axis=0).to(tl.int32)
    p = tl.zeros_like(x)
    for step in range(steps):
        j = start + step
        pointers = like_tile(next_logits, offset + j.to(tl.int64) * stride_k)
        logit = tl.load(pointers, mask=keep & (j < K), other=-float("inf"))
        p += exp(logit.to(tl.float32) - top) * hat(tl.fma(g, j.to(tl.float32), whole - bin) + f)
    p = tl.where(g == 0.0, hat((whole - bin) + f) * total, p)  # without discount every atom is the reward
    p = tl.where(k == 0, low[None, :, None], tl.where(k == K - 1, high[None, :, None], p))
    # A logit of -inf has no exponential to betray it, and a NaN may be one that no bin hears.
    bad = tl.sum(tl.sum(tl.where(keep, x, 0.0) * 0.0, axis=0), axis=1)[None, :, None] + f * 0.0
    return tl.where(keep, p / total + bad, 0.0)
