"""Show that no point of a box has all linear functions of a set <= 0, for many boxes at once.

By Farkas' lemma it is enough to find weights w >= 0 with `min over the box of sum_r w_r f_r > 0`.
Any weights found, in whatever arithmetic, are checked by that one inequality, with rounding
counted. Coordinate ascent finds them for most boxes; a primal-dual interior-point method for the
rest.
"""

import numpy as np

from netwright.audits.verify._rounding import TINY, UNIT

__all__ = ["clip", "combine", "interior_point"]

Array = np.ndarray


def combine(slope: Array, offset: Array, low: Array, high: Array, *, sweeps: int = 2) -> Array:
    """Search weights by exact line searches along one row at a time.

    Args:
        slope: coefficients of the functions, (N, R, inputs).
        offset: their constants, (N, R), moved down by what rounding may take.
        low: boxes, (N, inputs).
        high: boxes, (N, inputs).
        sweeps: rounds over the rows.

    Returns:
        Weights, (N, R); not always ones that exclude the box.
    """
    N, R, _ = slope.shape
    half = (high - low) / 2
    value_at = offset + np.matmul(slope, ((low + high) / 2)[..., None])[..., 0]
    a = slope * half[:, None]  # inputs now range over [-1, 1]
    first = (value_at - np.abs(a).sum(2)).argmax(1)
    every = np.arange(N)
    weight = np.zeros((N, R))
    weight[every, first] = 1.0
    total, value = a[every, first].copy(), value_at[every, first].copy()
    for _ in range(sweeps):
        for r in range(R):
            own = weight[:, r]
            rest, base = total - own[:, None] * a[:, r], value - own * value_at[:, r]
            # The bound is concave and piecewise linear in the weight: its top is at a kink or at 0.
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                kinks = -rest / a[:, r]
            kinks = np.where((kinks > 0) & (kinks < 1e12), kinks, 0.0)
            kinks = np.concatenate([kinks, np.zeros((N, 1))], 1)
            reach = np.abs(rest[:, None] + kinks[..., None] * a[:, None, r]).sum(2)
            best = (base[:, None] + kinks * value_at[:, r, None] - reach).argmax(1)
            chosen = np.where(first == r, own, kinks[every, best])
            weight[:, r] = chosen
            total, value = rest + chosen[:, None] * a[:, r], base + chosen * value_at[:, r]
    return weight


def excluded(slope: Array, offset: Array, low: Array, high: Array, weight: Array) -> Array:
    """Check weights: whether they show that the functions are nowhere all <= 0, (N,).

    Args:
        slope: as in `combine`.
        offset: as in `combine`, moved down twice by what rounding may take from a function.
        low: as in `combine`.
        high: as in `combine`.
        weight: nonnegative, (N, R).
    """
    total = np.matmul(weight[:, None], slope)[:, 0]
    value = (weight * offset).sum(1)
    worst = np.where(total > 0, low, high)
    scale = np.matmul(weight[:, None], np.abs(slope))[:, 0] * np.maximum(np.abs(low), np.abs(high))
    rounding = 2 * (sum(slope.shape[1:]) + 4) * UNIT
    pad = rounding * (scale.sum(1) + (weight * np.abs(offset)).sum(1)) + TINY * weight.sum(1)
    return value + (total * worst).sum(1) - pad > 0


def interior_point(
    slope: Array, offset: Array, low: Array, high: Array, *, steps: int = 14
) -> tuple[Array, Array]:
    """Minimise the largest of the functions over each box.

    Args:
        slope: as in `combine`.
        offset: as in `combine`.
        low: as in `combine`.
        high: as in `combine`.
        steps: Newton steps.

    Returns:
        Weights (N, R), which exclude the box if the least maximum is clearly positive, and the
        point where the maximum is least, (N, inputs).
    """
    N, R, n = slope.shape
    half, middle = (high - low) / 2, (low + high) / 2
    value_at = offset + np.matmul(slope, middle[..., None])[..., 0]
    a = slope * half[:, None]
    scale = np.abs(a).sum(2) + np.abs(value_at) + 1e-300
    a, value_at = a / scale[..., None], value_at / scale
    best_weight, best_point = np.full((N, R), 1.0 / R), np.zeros((N, n))
    best = np.full(N, -np.inf)
    places = np.arange(N)
    rows = np.concatenate([a, np.full((N, R, 1), -1.0)], 2)  # f_r(x) - t
    x, t = np.zeros((N, n)), value_at.max(1) + 1.0
    w, below, above = np.full((N, R), 1.0 / R), np.full((N, n), 1.0 / R), np.full((N, n), 1.0 / R)
    for step in range(steps):
        slack = t[:, None] - np.matmul(rows[..., :n], x[..., None])[..., 0] - value_at
        to_low, to_high = 1 + x, 1 - x
        gap = (w * slack).sum(1) + (below * to_low).sum(1) + (above * to_high).sum(1)
        aim = ((0.1 if step else 0.3) * gap / (R + 2 * n))[:, None]
        ratio = w / slack
        turned = rows.transpose(0, 2, 1)
        hessian = np.matmul(turned, rows * ratio[..., None])
        hessian[:, range(n), range(n)] += below / to_low + above / to_high
        push = -np.matmul(turned, (aim / slack)[..., None])[..., 0]
        push[:, :n] += aim / to_low - aim / to_high
        push[:, n] -= 1.0
        move = np.linalg.solve(hessian, push[..., None])[..., 0]
        dx, rise = move[:, :n], np.matmul(rows, move[..., None])[..., 0]
        dw = aim / slack - w + ratio * rise
        d_below = aim / to_low - below - below / to_low * dx
        d_above = aim / to_high - above + above / to_high * dx
        primal = _step_length((slack, -rise), (to_low, dx), (to_high, -dx))
        dual = _step_length((w, dw), (below, d_below), (above, d_above))
        x, t = x + primal * dx, t + primal[:, 0] * move[:, n]
        w, below, above = w + dual * dw, below + dual * d_below, above + dual * d_above
        if step < 2:
            continue
        total = np.matmul(w[:, None], rows[..., :n])[:, 0]
        reached = ((w * value_at).sum(1) - np.abs(total).sum(1)) / w.sum(1)
        most = (np.matmul(rows[..., :n], x[..., None])[..., 0] + value_at).max(1)
        better = reached > best[places]
        best[places[better]], best_weight[places[better]] = reached[better], w[better]
        best_point[places] = x
        go = (reached <= 1e-12) & (most > 0)
        if not go.any():
            break
        if not go.all():
            places, rows, value_at = places[go], rows[go], value_at[go]
            x, t, w, below, above = x[go], t[go], w[go], below[go], above[go]
    point = np.clip(middle + half * best_point, low, high)
    return best_weight / scale, point


def clip(
    slope: Array, offset: Array, low: Array, high: Array, *, sweeps: int = 2
) -> tuple[Array, Array]:
    """Shrink boxes to what the constraints `f_r <= 0` leave of them; empty ones get low > high.

    Args:
        slope: as in `combine`.
        offset: as in `excluded`.
        low: as in `combine`.
        high: as in `combine`.
        sweeps: rounds over the rows.
    """
    low, high = low.copy(), high.copy()
    for _ in range(sweeps):
        for r in range(slope.shape[1]):
            a = slope[:, r]
            least = np.minimum(a * low, a * high)
            room = -(offset[:, r] + least.sum(1))[:, None] + least
            size = np.abs(offset[:, r])[:, None] + np.abs(least).sum(1)[:, None] + np.abs(least)
            room += (4 * len(a.T) + 16) * UNIT * size + TINY
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                limit = room / a
            limit += 4 * UNIT * np.abs(limit) * np.sign(a)
            high = np.where((a > 0) & (limit < high), limit, high)
            low = np.where((a < 0) & (limit > low), limit, low)
    return low, high


def _step_length(*pairs: tuple[Array, Array]) -> Array:
    longest = np.ones(len(pairs[0][0]))
    for value, change in pairs:
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(change < 0, -0.95 * value / change, np.inf)
        longest = np.minimum(longest, room.min(1))
    return longest[:, None]
