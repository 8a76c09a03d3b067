"""Triton kernels: label, cross-entropy and gradient of a row of logits without leaving the registers.

    loss = log sum_i exp(l_i - m) - sum_i p_i (l_i - m)       m = max_i l_i,  sum_i p_i = 1
    d loss / d l_i = softmax(l)_i - p_i

A row's K bins lie on L lanes with J bins each, bin k = j L + lane, so that a tile [J, R, L] of R rows is read
in whole segments and reduced over J inside a lane and over L by a few shuffles.

Not-finite logits or targets make the loss and the gradient NaN; rows of weight 0 are selected away.

Shapes: N or B rows, A actions, K bins; J, R, L of a tile as above. Strides are in elements.
"""

import triton
import triton.language as tl

from catzoo.kernels.triton_labels import (
    C51,
    HIGH,
    LOW,
    MIDDLE,
    WIDTH,
    exp,
    label_tile,
    like_tile,
    log2,
    projection,
    row_sum,
    tile_pointers,
    value_label,
)

LN_2 = tl.constexpr(0.6931471805599453)
FLOOR = tl.constexpr(-1e4)
"""Stands where no bin is: its exponential is 0, and so is its product with a label of 0."""


@triton.jit
def bin_numbers(J: tl.constexpr, L: tl.constexpr):
    """The bin [J, 1, L] of every place in a tile."""
    return (tl.arange(0, J) * L)[:, None, None] + tl.arange(0, L)[None, None, :]


@triton.jit
def rows_of_tile(rows, R: tl.constexpr):
    """The rows [R] of a program; beyond the last row the last one again.

    It is stored again with the same numbers, so that no load and no store needs a mask for its row.
    """
    first = tl.program_id(0).to(tl.int64) * R
    last = tl.minimum(rows - first, R).to(tl.int32) - 1
    return first + tl.minimum(tl.arange(0, R), last)


@triton.jit
def load_tile(ptr, offset, stride_k, k, keep):
    """Logits [J, R, L] in float32, -inf where there is no bin."""
    return tl.load(tile_pointers(ptr, offset, stride_k, k), mask=keep, other=-float("inf")).to(tl.float32)


@triton.jit
def exponentials(x, is_bin):
    """Of logits [J, R, L]: differences to the row's maximum, their exponentials, and those's sum [R]."""
    top = tl.max(tl.max(x, axis=0), axis=1)
    d = tl.where(is_bin, x - top[None, :, None], FLOOR)
    e = exp(d)
    return d, e, row_sum(e)


@triton.jit
def mean_center(d, e, total, k, numbers, centers, K: tl.constexpr, UNEVEN: tl.constexpr):
    """The mean of the softmax over the centers: [R], NaN where a logit was not finite."""
    if UNEVEN:
        c = tl.load(centers + k, mask=k < K, other=0.0).to(tl.float32)
    else:  # in bins from the middle: small numbers round little
        c = k.to(tl.float32) - (K - 1) / 2
    # 0 * d is NaN for a logit of -inf, which the exponential forgets.
    if UNEVEN:  # centers of 1e8 on both sides must cancel
        return (row_sum((e.to(tl.float64) * c.to(tl.float64)) + 0.0 * d) / total).to(tl.float32)
    mean = row_sum(e * c + 0.0 * d) / total
    return mean * numbers[WIDTH] + numbers[MIDDLE]


@triton.jit
def score(d, e, total, p, inverse_total, weight, WITH_GRAD: tl.constexpr, WITH_WEIGHT: tl.constexpr):
    """(loss [R], gradient [J, R, L]) of `exponentials` and a label p."""
    cross = row_sum(p * d)
    witness = cross * 0.0  # NaN for a logit of -inf, which the exponential forgets
    loss = log2(total) * LN_2 - cross + witness
    grad = e
    if WITH_GRAD:
        scale = inverse_total + witness
        grad = e * scale[None, :, None] - p
        if WITH_WEIGHT:
            w = weight[None, :, None]
            grad = tl.where(w == 0.0, 0.0, grad * w)
    if WITH_WEIGHT:
        loss = tl.where(weight == 0.0, 0.0, loss * weight)
    return loss, grad


@triton.jit
def store_rows(ptr, row, x, L: tl.constexpr):
    """Store x [R], a number a row, by each row's first lane, which has it: none travels between threads."""
    lane = tl.arange(0, L)[None, None, :]
    pointers = like_tile(ptr, row[None, :, None] + lane)
    tl.store(pointers, tl.broadcast_to(x[None, :, None], pointers.shape), mask=lane == 0)


@triton.jit
def score_rows(
    x, row, target, target_stride_row, target_stride_k, reward, discount, weight, table, numbers,
    loss, grad, grad_stride_row, grad_stride_k,
    K: tl.constexpr, LABEL: tl.constexpr, WINDOW: tl.constexpr, DEGREE: tl.constexpr,
    WITH_GRAD: tl.constexpr, WITH_WEIGHT: tl.constexpr,
    J: tl.constexpr, R: tl.constexpr, L: tl.constexpr,
):  # fmt: skip
    """Store loss [N] and gradient [N, K] of the logits x [J, R, L] of some rows [R]."""
    k = bin_numbers(J, L)
    d, e, total = exponentials(x, k < K)
    p, inverse_total = label_tile(
        target, row * target_stride_row, target_stride_k, reward + row, discount + row, table, numbers,
        total, k, k < K, K, LABEL, WINDOW, DEGREE, J, R, L,
    )  # fmt: skip
    w = tl.load(weight + row).to(tl.float32) if WITH_WEIGHT else total
    row_loss, row_grad = score(d, e, total, p, inverse_total, w, WITH_GRAD, WITH_WEIGHT)
    store_rows(loss, row, row_loss, L)
    if WITH_GRAD:
        here = tile_pointers(grad, (row * grad_stride_row)[None, :, None], grad_stride_k, k)
        tl.store(here, row_grad.to(grad.dtype.element_ty), mask=k < K)


@triton.jit
def cross_entropy_kernel(
    logits, logits_stride_row, logits_stride_k, target, target_stride_row, target_stride_k,
    reward, discount, weight, table, numbers, loss, grad, grad_stride_row, grad_stride_k, rows,
    K: tl.constexpr, LABEL: tl.constexpr, WINDOW: tl.constexpr, DEGREE: tl.constexpr,
    WITH_GRAD: tl.constexpr, WITH_WEIGHT: tl.constexpr,
    J: tl.constexpr, R: tl.constexpr, L: tl.constexpr,
):  # fmt: skip
    """Loss [N] and gradient [N, K] of logits [N, K]; targets as `label_tile` takes them."""
    row = rows_of_tile(rows, R)
    k = bin_numbers(J, L)
    x = load_tile(logits, (row * logits_stride_row)[None, :, None], logits_stride_k, k, k < K)
    score_rows(
        x, row, target, target_stride_row, target_stride_k, reward, discount, weight, table, numbers,
        loss, grad, grad_stride_row, grad_stride_k, K, LABEL, WINDOW, DEGREE, WITH_GRAD, WITH_WEIGHT, J, R, L,
    )  # fmt: skip


@triton.jit
def linear_cross_entropy_kernel(
    features, features_stride_row, features_stride_d, head, head_stride_k, head_stride_d, bias, inputs,
    target, target_stride_row, target_stride_k, reward, discount, weight, table, numbers,
    loss, grad, grad_stride_row, grad_stride_k, rows,
    D: tl.constexpr, WITH_BIAS: tl.constexpr, PRECISION: tl.constexpr, WIDEN: tl.constexpr,
    K: tl.constexpr, LABEL: tl.constexpr, WINDOW: tl.constexpr, DEGREE: tl.constexpr,
    WITH_GRAD: tl.constexpr, WITH_WEIGHT: tl.constexpr,
    J: tl.constexpr, R: tl.constexpr, L: tl.constexpr,
):  # fmt: skip
    """The same of the logits that a layer [K, inputs] makes of features [N, inputs], D of them at a time."""
    row = rows_of_tile(rows, R)
    bin, d = tl.arange(0, J * L), tl.arange(0, D)
    x = tl.zeros((R, J * L), tl.float32)
    left = features + (row * features_stride_row)[:, None]
    right = head + (bin.to(tl.int64) * head_stride_k)[None, :]
    for first in range(0, inputs, D):
        here = first + d
        there = here < inputs
        a = tl.load(left + here[None, :] * features_stride_d, mask=there[None, :], other=0.0)
        b = tl.load(
            right + here[:, None] * head_stride_d, mask=there[:, None] & (bin < K)[None, :], other=0.0
        )
        if WIDEN:
            a, b = a.to(tl.float32), b.to(tl.float32)
        x = tl.dot(a, b, x, input_precision=PRECISION)
    if WITH_BIAS:
        x += tl.load(bias + bin, mask=bin < K, other=0.0).to(tl.float32)[None, :]
    x = tl.where((bin < K)[None, :], x, -float("inf"))
    x = tl.permute(tl.reshape(x, (R, J, L)), (1, 0, 2))
    score_rows(
        x, row, target, target_stride_row, target_stride_k, reward, discount, weight, table, numbers,
        loss, grad, grad_stride_row, grad_stride_k, K, LABEL, WINDOW, DEGREE, WITH_GRAD, WITH_WEIGHT, J, R, L,
    )  # fmt: skip


@triton.jit
def categorical_value_kernel(
    logits, logits_stride_row, logits_stride_k, numbers, centers, value, rows,
    K: tl.constexpr, UNEVEN: tl.constexpr, J: tl.constexpr, R: tl.constexpr, L: tl.constexpr,
):  # fmt: skip
    """The mean [N] of the softmax of logits [N, K] over the centers."""
    row = rows_of_tile(rows, R)
    k = bin_numbers(J, L)
    x = load_tile(logits, (row * logits_stride_row)[None, :, None], logits_stride_k, k, k < K)
    d, e, total = exponentials(x, k < K)
    store_rows(value, row, mean_center(d, e, total, k, numbers, centers, K, UNEVEN), L)


@triton.jit
def best_action(
    logits, stride_a, stride_k, numbers, centers, k, actions,
    K: tl.constexpr, UNEVEN: tl.constexpr, R: tl.constexpr,
):  # fmt: skip
    """The first action of the largest value, and that value; a NaN is the largest, as for `torch.max`.

    R actions at a time are the rows of a tile.
    """
    best = tl.zeros((1,), tl.int64)
    best_value = tl.full((1,), -float("inf"), tl.float32)
    for first in range(0, actions, R):
        a = tl.minimum(first + tl.arange(0, R), actions - 1)  # the last one again: it changes nothing
        x = load_tile(logits, (a.to(tl.int64) * stride_a)[None, :, None], stride_k, k, k < K)
        d, e, total = exponentials(x, k < K)
        value = mean_center(d, e, total, k, numbers, centers, K, UNEVEN)
        # +inf stands for NaN: no value is infinite.
        value = tl.where(value == value, value, float("inf"))
        top = tl.max(value, axis=0)
        arg = tl.min(tl.where(value == top, a, actions), axis=0)
        best = tl.where(top > best_value, arg.to(tl.int64), best)
        best_value = tl.maximum(best_value, top)
    return best, tl.where(best_value == float("inf"), float("nan"), best_value)


@triton.jit
def greedy_action_kernel(
    logits, logits_stride_b, logits_stride_a, logits_stride_k, numbers, centers, action, actions,
    K: tl.constexpr, UNEVEN: tl.constexpr, J: tl.constexpr, R: tl.constexpr, L: tl.constexpr,
):  # fmt: skip
    """The greedy action [B] of logits [B, A, K]; one row of B a program."""
    b = tl.program_id(0).to(tl.int64)
    row = logits + b * logits_stride_b
    best, _ = best_action(
        row, logits_stride_a, logits_stride_k, numbers, centers, bin_numbers(J, L), actions, K, UNEVEN, R
    )
    tl.store(action + b + tl.arange(0, 1), best)


@triton.jit
def categorical_td_kernel(
    outputs, outputs_stride_b, outputs_stride_a, outputs_stride_k, action,
    next, next_stride_b, next_stride_a, next_stride_k,
    online, online_stride_b, online_stride_a, online_stride_k,
    reward, discount, weight, table, numbers, centers, loss, td_error, clipped,
    grad, grad_stride_b, grad_stride_a, grad_stride_k, actions,
    K: tl.constexpr, LABEL: tl.constexpr, WINDOW: tl.constexpr, DEGREE: tl.constexpr,
    UNEVEN: tl.constexpr, DOUBLE: tl.constexpr, WITH_GRAD: tl.constexpr, WITH_WEIGHT: tl.constexpr,
    J: tl.constexpr, R: tl.constexpr, L: tl.constexpr,
):  # fmt: skip
    """The Bellman step of logits [B, A, K]; one row of B a program, R of its actions the rows of a tile.

    Writes loss, td_error, clipped [B] and the gradient [B, A, K], zero but for the action taken.
    """
    b = tl.program_id(0).to(tl.int64)
    at = b + tl.arange(0, 1)
    k = bin_numbers(J, L)
    keep = k < K
    next += b * next_stride_b

    # The next action and its value.
    if DOUBLE:
        best, best_value = best_action(
            online + b * online_stride_b, online_stride_a, online_stride_k, numbers, centers, k, actions,
            K, UNEVEN, R,
        )  # fmt: skip
        x = load_tile(next, (best * next_stride_a)[None, :, None], next_stride_k, k, keep)
        d, e, total = exponentials(x, k < K)
        # A NaN in the network that chooses counts too.
        next_value = mean_center(d, e, total, k, numbers, centers, K, UNEVEN) + best_value * 0.0
    else:
        best, next_value = best_action(
            next, next_stride_a, next_stride_k, numbers, centers, k, actions, K, UNEVEN, R
        )

    # The value now, the target, and whether it lies outside.
    taken = tl.load(action + at).to(tl.int64)
    is_action = keep & ((taken >= 0) & (taken < actions))[None, :, None]  # else the row is NaN
    row = outputs + b * outputs_stride_b
    x = load_tile(row, (taken * outputs_stride_a)[None, :, None], outputs_stride_k, k, is_action)
    d, e, total = exponentials(x, k < K)
    value = mean_center(d, e, total, k, numbers, centers, K, UNEVEN)
    r = tl.load(reward + at).to(tl.float32)
    g = tl.load(discount + at).to(tl.float32)
    y = r + g * next_value
    tl.store(td_error + at, y - value)
    outside = (y < numbers[LOW]) | (y > numbers[HIGH])
    tl.store(clipped + at, outside.to(tl.int8))

    # The label, the loss and its gradient.
    if LABEL == C51:
        offset = (best * next_stride_a)[None, :, None]
        x = load_tile(next, offset, next_stride_k, k, keep)
        p = projection(next, offset, next_stride_k, x, r + next_value * 0.0, g, numbers, k, keep, K)
        inverse_total = 1.0 / total
    else:
        p, inverse_total = value_label(y, table, numbers, total, k, keep, K, LABEL, WINDOW, DEGREE, J, 1, L)
    w = tl.load(weight + at).to(tl.float32) if WITH_WEIGHT else total
    row_loss, row_grad = score(d, e, total, p, inverse_total, w, WITH_GRAD, WITH_WEIGHT)
    tl.store(loss + at, row_loss)
    if WITH_GRAD:
        for first in range(0, actions, R):
            a = (first + tl.arange(0, R))[None, :, None]
            here = tile_pointers(grad + b * grad_stride_b, a.to(tl.int64) * grad_stride_a, grad_stride_k, k)
            block = tl.where(a == taken[None, :, None], row_grad, 0.0)
            tl.store(here, block.to(grad.dtype.element_ty), mask=keep & (a < actions))
