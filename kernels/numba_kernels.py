"""The kernels for a CPU in Numba: serial loops over rows, whose loops over bins become vector instructions.

A kernel gets addresses and sizes, no arrays: to hand an array over takes longer than to score a row. Whoever
calls makes sure that they are those of dense tensors of these shapes, float32 but for actions (int64) and
flags. `numbers` are float64, see below; `singles` are the centers [P] from their middle, and a table of
polynomials [DEGREE + 1, W].

All that is compiled stands in this one file: Numba keeps machine code on disk for as long as the file of the
outermost function stays the same, and does not look at others.

Shapes: N rows, A actions, K bins, P = K filled up to whole vectors, W bins of a window.
"""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# Kinds of label.
TABLE, ERF, TWO_HOT, TWO_HOT_UNEVEN, PROJECTED, PROJECTED_UNEVEN, GIVEN = range(7)
# The first of `numbers`: the range of targets, where bins begin, how many there are to a unit of value,
# 1 / (sqrt(2) sigma), how far a Gaussian reaches, and the middle of the centers. The edges or centers follow.
LOW, HIGH, ORIGIN, PER_BIN, SLOPE, REACH, MIDDLE, POINTS = range(8)
LARGEST_WINDOW, DEGREE = 32, 16  # of `gaussian_table`

F = np.float32
ZERO, ONE, HALF, NAN, LOWEST = F(0), F(1), F(0.5), F(math.nan), F(-math.inf)
NOTHING = (0, 0, 0, ONE)
INFINITY_BITS = np.int32(0x7F800000)

# NaN and infinity are seen; sums are taken in the order that suits the vectors, always the same.
KERNEL = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy", "nogil": True}
# Helpers become part of the kernels: alone, the process that compiles takes another copy than those after it.
SUMS = {"fastmath": KERNEL["fastmath"], "error_model": "numpy", "forceinline": True}
# Where the order of the operations is what makes a result exact.
EXACT = SUMS | {"fastmath": {"contract"}}
I32 = ir.IntType(32)


def kernel(function):
    """A compiled kernel; kept on disk, if there is a folder that can be written to."""
    try:
        return njit(**KERNEL, cache=True)(function)
    except RuntimeError:  # "no locator available"
        return njit(**KERNEL)(function)


def instruction(result, argument, emit):
    """A function of one number that is written in LLVM's instructions."""

    @intrinsic
    def call(typing_context, x):
        def generate(context, builder, signature, arguments):
            return emit(builder, arguments[0], context.get_value_type(signature.return_type))

        return result(argument), generate

    return call


def _address_of(item):
    return instruction(types.CPointer(item), types.int64, lambda llvm, x, kind: llvm.inttoptr(x, kind))


def _flip(llvm, bits):
    """The bits of a float32 in the order of the numbers, as an integer's; and back."""
    return llvm.xor(bits, llvm.lshr(llvm.ashr(bits, I32(31)), I32(1)))


def _power(llvm, n, kind):
    return llvm.bitcast(llvm.shl(llvm.add(llvm.fptosi(n, I32), I32(127)), I32(23)), kind)


float32, int32 = types.float32, types.int32
float32s, float64s = _address_of(float32), _address_of(types.float64)
int64s, bools = _address_of(types.int64), _address_of(types.uint8)
# A float32 as an integer in the same order, and back: a maximum of integers is one instruction.
ordered = instruction(int32, float32, lambda llvm, x, kind: _flip(llvm, llvm.bitcast(x, kind)))
number = instruction(float32, int32, lambda llvm, x, kind: llvm.bitcast(_flip(llvm, x), kind))
# The bits of |x|: those of NaN and infinity are the largest.
magnitude = instruction(int32, float32, lambda llvm, x, _: llvm.and_(llvm.bitcast(x, I32), I32(0x7FFFFFFF)))
# 2^n of a whole float32 from -126 to 127, by its bits.
power_of_two = instruction(float32, float32, _power)

LOG2_E, LN2_HIGH, LN2_LOW = F(1.44269504088896341), F(0.693359375), F(-2.12194440e-4)
E0, E1, E2 = F(1.9875691500e-4), F(1.3981999507e-3), F(8.3334519073e-3)
E3, E4, E5 = F(4.1665795894e-2), F(1.6666665459e-1), F(5.0000001201e-1)
SMALLEST = F(-87)


@njit(**EXACT)
def exp(x):
    """e^x of a float32 up to 0, to 1e-7 (Cephes' polynomial), which becomes vectors; 1e-38 below -87."""
    x = x if x > SMALLEST else SMALLEST
    n = np.floor(x * LOG2_E + HALF)
    r = x - n * LN2_HIGH
    r = r - n * LN2_LOW
    p = ((((E0 * r + E1) * r + E2) * r + E3) * r + E4) * r + E5
    return (p * r * r + r + ONE) * power_of_two(n)


@njit(**SUMS)
def is_bad(x):
    """Whether a float32 is NaN or infinite."""
    return magnitude(x) >= INFINITY_BITS


@njit(**SUMS)
def work_of(K, P):
    """Memory for a row: its logits filled up with numbers that add nothing, its exponentials, its label."""
    row = np.empty(P, np.float32)
    for k in range(P):
        row[k] = LOWEST
    return row, np.empty(P, np.float32), np.empty(max(K, LARGEST_WINDOW), np.float32)


@njit(**SUMS)
def softmax(logits, start, work, offsets, K, P):
    """(largest logit, sum of exp(logit - largest), the same times the offsets, whether one is not finite)."""
    row, exps, _ = work
    top, largest = np.int32(-0x80000000), np.int32(0)
    for k in range(K):
        x = logits[start + k]
        row[k] = x
        order, size = ordered(x), magnitude(x)
        top = order if order > top else top
        largest = size if size > largest else largest
    maximum, total, moment = number(top), ZERO, ZERO
    for k in range(P):
        e = exp(row[k] - maximum)
        exps[k] = e
        total += e
        moment += e * offsets[k]
    return maximum, total, moment, largest >= INFINITY_BITS


@njit(**SUMS)
def mean(sums, numbers):
    """The value of what `softmax` says of a row; NaN where a logit is not finite."""
    _, total, moment, spoilt = sums
    return NAN if spoilt else F(numbers[MIDDLE] + np.float64(moment) / np.float64(total))


@njit(**SUMS)
def greedy(logits, r, work, offsets, numbers, A, K, P):
    """The action of the largest value, the first of several and a NaN before all; its value."""
    best, best_value = 0, ZERO
    for a in range(A):
        value = mean(softmax(logits, (r * A + a) * K, work, offsets, K, P), numbers)
        # Without a branch, which would be wrong half the time: the next row begins before this one is done.
        better = (a == 0) | (value > best_value) | (is_bad(value) & (not is_bad(best_value)))
        best, best_value = (a if better else best), (value if better else best_value)
    return best, best_value


@njit(**EXACT)
def polynomials(label, table, x, W):
    """The mass in each bin of a window by Horner's rule, of degree `DEGREE` (`gaussian_table`)."""
    for w in range(W):
        p = table[DEGREE * W + w]
        for d in range(DEGREE - 1, -1, -1):  # unrolled, so that the loop over bins becomes vectors
            p = p * x + table[d * W + w]
        label[w] = p


@njit(**SUMS)
def table_label(y, numbers, table, label, K, W):
    """(first bin, first of the label, how many, what makes them sum to 1): the Gaussian on equal bins."""
    position = (y - numbers[ORIGIN]) * numbers[PER_BIN]
    holds = min(int(position), K - 1)
    polynomials(label, table, F(2 * (position - holds) - 1), W)
    first = holds - (W // 2 - 1)
    begin, end = max(0, -first), min(W, K - first)
    mass = ZERO
    for w in range(begin, end):
        mass += label[w]
    return first + begin, begin, end - begin, ONE / mass


@njit(**EXACT)
def bin_of(y, numbers, count):
    """The last of the first `count` points that is not above y; 0 where all are."""
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        if numbers[POINTS + middle] <= y:
            low = middle
        else:
            high = middle
    return low


@njit(**EXACT)
def erf_label(y, numbers, label, K):
    """As `table_label`, by the error function at the edges that the Gaussian reaches, on any bins."""
    reach, slope, mass = numbers[REACH], numbers[SLOPE], 0.0
    first = bin_of(y - reach, numbers, K)
    if first > 0 and numbers[POINTS + first] >= y - reach:  # a spike on an edge is half in either bin
        first -= 1
    below, k = math.erf((numbers[POINTS + first] - y) * slope), first
    while k < K and (k == first or numbers[POINTS + k] <= y + reach):
        above = math.erf((numbers[POINTS + k + 1] - y) * slope)
        label[k - first] = F(above - below)
        mass += above - below
        below = above
        k += 1
    return first, 0, k - first, F(1 / mass)


@njit(**EXACT)
def two_hot_label(kind, y, numbers, label, K):
    """As `table_label`: the two nearest centers."""
    if kind == TWO_HOT:
        position = min(max((y - numbers[ORIGIN]) * numbers[PER_BIN], 0.0), K - 1.0)
        lower = min(int(position), K - 2)
        share = F(position - lower)
    else:
        lower = bin_of(y, numbers, K - 1)
        below, above = numbers[POINTS + lower], numbers[POINTS + lower + 1]
        share = F((y - below) / (above - below))
    label[0], label[1] = ONE - share, share
    return lower, 0, 2, ONE


@njit(**SUMS)
def label_of(kind, target, numbers, table, label, K, W):
    """The label of a target that is clamped to the rule's range, as `table_label`; none of one not finite."""
    if is_bad(target):
        return NOTHING
    y = min(max(np.float64(target), numbers[LOW]), numbers[HIGH])
    if kind == TABLE:
        return table_label(y, numbers, table, label, K, W)
    if kind == ERF:
        return erf_label(y, numbers, label, K)
    return two_hot_label(kind, y, numbers, label, K)


@njit(**EXACT)
def projected(kind, work, sums, reward, discount, numbers, K):
    """The label of the clipped atoms reward + discount * centers of what `softmax` left, as `table_label`.

    C51's (arXiv 1707.06887, eq. 7).
    """
    _, exps, label = work
    _, total, _, spoilt = sums
    if spoilt or is_bad(reward) or is_bad(discount):
        return NOTHING
    for k in range(K):
        label[k] = ZERO
    r, step, per_one, lower = np.float64(reward), np.float64(discount), ONE / total, 0
    first = (r + (step - 1) * numbers[ORIGIN]) * numbers[PER_BIN]  # in bins; exact where nothing moves
    for k in range(K):
        if kind == PROJECTED:
            position = min(max(first + step * k, 0.0), K - 1.0)
            lower = min(int(position), K - 2)
            share = F(position - lower)
        else:  # from the last one's bin on: atoms come in order
            atom = min(max(r + step * numbers[POINTS + k], numbers[LOW]), numbers[HIGH])
            while lower < K - 2 and atom >= numbers[POINTS + lower + 1]:
                lower += 1
            while lower > 0 and atom < numbers[POINTS + lower]:
                lower -= 1
            below = numbers[POINTS + lower]
            share = F((atom - below) / (numbers[POINTS + lower + 1] - below))
        probability = exps[k] * per_one
        above = probability * share
        label[lower] += probability - above
        label[lower + 1] += above
    return 0, 0, K, ONE


@njit(**SUMS)
def cross_entropy_of(logits, start, work, sums, window):
    """The cross-entropy of a row to its label; NaN where one of the two is not finite."""
    _, _, label = work
    maximum, total, _, spoilt = sums
    first, begin, count, share = window
    if spoilt or count == 0:
        return NAN
    likelihood, mass = 0.0, 0.0
    for w in range(count):
        p = np.float64(label[begin + w])
        likelihood += p * (np.float64(logits[start + first + w]) - np.float64(maximum))
        mass += p
    loss = F((mass * np.float64(math.log(total)) - likelihood) * np.float64(share))
    return NAN if is_bad(loss) else loss


@njit(**SUMS)
def score(logits, start, work, sums, window, weight, grad, at, with_grad, K):
    """The weighted loss of a row, whose gradient weight (softmax - label) goes to `at`."""
    # A row of weight 0 is out, whatever it holds: NaN * 0 would be NaN.
    loss = ZERO if weight == ZERO else cross_entropy_of(logits, start, work, sums, window)
    if not with_grad:
        return loss * weight
    if weight == ZERO or is_bad(loss):
        for k in range(K):
            grad[at + k] = loss
        return loss
    _, exps, label = work
    first, begin, count, share = window
    scale, share = weight / sums[1], weight * share
    for k in range(K):
        grad[at + k] = exps[k] * scale
    for w in range(count):
        grad[at + first + w] -= share * label[begin + w]
    return loss * weight


@kernel
def cross_entropy(
    logits_, target_, reward_, discount_, weight_, loss_, grad_, N, numbers_, singles_, kind, K, P, W
):
    """Loss [N] and, where grad_ is not 0, gradient [N, K]; reward_, discount_ and weight_ may be 0 too."""
    logits, target, loss, grad = float32s(logits_), float32s(target_), float32s(loss_), float32s(grad_)
    reward, discount, weight = float32s(reward_), float32s(discount_), float32s(weight_)
    numbers, offsets = float64s(numbers_), float32s(singles_)
    table, work = float32s(singles_ + 4 * P), work_of(K, P)
    label = work[2]
    for r in range(N):
        if kind == GIVEN:
            for k in range(K):
                label[k] = target[r * K + k]
            window = (0, 0, K, ONE)
        elif kind >= PROJECTED:
            sums = softmax(target, r * K, work, offsets, K, P)
            window = projected(kind, work, sums, reward[r], discount[r], numbers, K)
        else:
            window = label_of(kind, target[r], numbers, table, label, K, W)
        sums = softmax(logits, r * K, work, offsets, K, P)
        w = weight[r] if weight_ else ONE
        loss[r] = score(logits, r * K, work, sums, window, w, grad, r * K, grad_ != 0, K)


@kernel
def categorical_td(
    outputs_, action_, next_, online_, reward_, discount_, weight_, loss_, error_, clipped_, grad_, whole,
    N, A, numbers_, singles_, kind, K, P, W,
):  # fmt: skip
    """A Bellman step: loss, TD error and clipped [N] → -1, or the row whose action does not exist.

    Where grad_ is not 0, the gradient [N, K] of the chosen outputs, or if `whole` in their places of zeros
    [N, A, K]. online_ and weight_ may be 0 too.
    """
    outputs, following, grad = float32s(outputs_), float32s(next_), float32s(grad_)
    reward, discount, weight = float32s(reward_), float32s(discount_), float32s(weight_)
    loss, error, clipped, action = float32s(loss_), float32s(error_), bools(clipped_), int64s(action_)
    numbers, offsets = float64s(numbers_), float32s(singles_)
    table, work = float32s(singles_ + 4 * P), work_of(K, P)
    selector = float32s(online_) if online_ else following
    low, high, projects = F(numbers[LOW]), F(numbers[HIGH]), kind >= PROJECTED
    for r in range(N):
        a = action[r] + (A if action[r] < 0 else 0)
        if a < 0 or a >= A:
            return r
        best, next_value = greedy(selector, r, work, offsets, numbers, A, K, P)
        if online_ or projects:
            sums = softmax(following, (r * A + best) * K, work, offsets, K, P)
            # A NaN is the largest value, and must not be lost when the selector is another network.
            next_value = NAN if is_bad(next_value) else mean(sums, numbers)
        target = F(np.float64(reward[r]) + np.float64(discount[r]) * np.float64(next_value))
        if not projects:
            window = label_of(kind, target, numbers, table, work[2], K, W)
        elif is_bad(target):
            window = NOTHING
        else:
            window = projected(kind, work, sums, reward[r], discount[r], numbers, K)
        start = (r * A + a) * K
        sums = softmax(outputs, start, work, offsets, K, P)
        error[r] = target - mean(sums, numbers)
        clipped[r] = target < low or target > high
        w, at = weight[r] if weight_ else ONE, start if whole else r * K
        loss[r] = score(outputs, start, work, sums, window, w, grad, at, grad_ != 0, K)
    return -1


@kernel
def put_scaled(compact_, by_, by_stride, action_, grad_, N, A, K):
    """The gradient [N, A, K] of outputs from that of the chosen ones [N, K] and of the losses."""
    compact, by, action, grad = float32s(compact_), float32s(by_), int64s(action_), float32s(grad_)
    for r in range(N):
        chosen, scale = action[r] + (A if action[r] < 0 else 0), by[r * by_stride]
        for a in range(A):
            at = (r * A + a) * K
            for k in range(K):
                grad[at + k] = compact[r * K + k] * scale if a == chosen else ZERO


@kernel
def greedy_action(logits_, action_, value_, N, A, numbers_, singles_, kind, K, P, W):
    """The action [N] of the largest value of logits [N, A, K], and that value; action_ may be 0."""
    logits, value, action = float32s(logits_), float32s(value_), int64s(action_)
    numbers, offsets, work = float64s(numbers_), float32s(singles_), work_of(K, P)
    for r in range(N):
        best, largest = greedy(logits, r, work, offsets, numbers, A, K, P)
        value[r] = largest
        if action_:
            action[r] = best
