"""Small pictures in a card: SVG of integers, made of extremes so that none is hidden, the same bytes every time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from grinder.cards.page import element
from grinder.plots.decimation import columns_of

__all__ = ["WIDTH", "bar", "diverging", "line", "strip"]

WIDTH: Final = 1000
"""Units from left to right of every picture; it is stretched to its place."""
COLUMNS: Final = 250
"""Stretches of time of which a line shows the extremes."""
STEP: Final = 2 * WIDTH // COLUMNS
"""A value that was held for longer is drawn as a step."""


def line(
    ts: np.ndarray,
    values: np.ndarray,
    span: tuple[int, int],
    height: int,
    label: str,
    *,
    level: int | None = None,
    columns: int = COLUMNS,
) -> str:
    """Values over time as a line through the extremes of each stretch of time, each held until the next.

    Args:
        ts, values: int64, in order of time. span: first and last time shown. height: units. label: what a reader hears.
        level: a value at which a dashed line is drawn.
    """
    if not len(ts):
        return ""
    parts_of_time = columns_of(ts, values, *span, columns)
    low, high = int(parts_of_time.low.min()), int(parts_of_time.high.max())
    low, high = (low, high) if level is None else (min(low, level), max(high, level))
    x = _scaled(parts_of_time.start, *span, WIDTH)
    ends = [_scaled(part, low, high, height) for part in parts_of_time[1:]]
    points: list[tuple[int, int]] = []
    for at, *four in zip(x.tolist(), *(end.tolist() for end in ends), strict=True):
        first, least, most, last = (height - y for y in four)
        nearer = abs(first - most) < abs(first - least)
        if points and at > points[-1][0] + STEP:
            points.append((at, points[-1][1]))
        points += [(at, first), *(((at, most), (at, least)) if nearer else ((at, least), (at, most))), (at, last)]
    points.append((WIDTH, points[-1][1]))
    shown = [point for k, point in enumerate(points) if k == 0 or points[k - 1] != point]
    parts = []
    if level is not None:
        y = height - int(_scaled(np.array([level]), low, high, height)[0])
        parts.append(f'<path class="level" d="M0 {y}H{WIDTH}"/>')
    parts.append(f'<polyline class="line" points="{" ".join(f"{x},{y}" for x, y in shown)}"/>')
    return _picture(parts, height, label)


def strip(
    starts: Sequence[int], codes: Sequence[int], span: tuple[int, int], height: int, label: str, columns: int = COLUMNS
) -> str:
    """Codes over time as bands of colour, class `c0` and so on; where bands are too narrow for a column of its own the highest is.

    Args:
        starts: when each code began, ascending, the first at the beginning or before. codes: small integers.
    """
    begin, end = span
    edges = [min(columns, max(0, t - begin) * columns // max(1, end - begin)) for t in [*starts, end]]
    cells = [-1] * columns
    for code, first, last in zip(codes, edges[:-1], edges[1:], strict=True):
        for k in range(first, min(columns, max(first + 1, last))):
            cells[k] = max(cells[k], code)
    paths: dict[int, str] = {}
    at = 0
    for k in range(1, columns + 1):
        if k == columns or cells[k] != cells[at]:
            if cells[at] >= 0:
                left, right = at * WIDTH // columns, k * WIDTH // columns
                paths[cells[at]] = paths.get(cells[at], "") + f"M{left} 0H{right}V{height}H{left}z"
            at = k
    return _picture([f'<path class="c{code}" d="{paths[code]}"/>' for code in sorted(paths)], height, label)


def bar(part: int, whole: int, height: int, label: str, marks: Sequence[int] = ()) -> str:
    """How much of a whole is used, up to all of it; `marks` are lines at so many thousandths."""
    used = min(WIDTH, part * WIDTH // whole) if whole > 0 else 0
    parts = [f'<path class="track" d="M0 0H{WIDTH}V{height}H0z"/>']
    if part > 0:
        parts.append(f'<path class="used" d="M0 0H{max(used, 2)}V{height}H0z"/>')
    parts += [f'<path class="mark" d="M{mark} 0V{height}"/>' for mark in marks]
    return _picture(parts, height, label)


def diverging(value: int, largest: int, height: int, label: str) -> str:
    """A bar to the right for a gain, to the left for a loss, as long as its share of the largest."""
    middle = WIDTH // 2
    reach = abs(value) * middle // largest if largest > 0 else 0
    left, right = (middle - reach, middle) if value < 0 else (middle, middle + reach)
    parts = [f'<path class="zero" d="M{middle} 0V{height}"/>']
    if reach:
        parts.append(f'<path class="{"loss" if value < 0 else "gain"}" d="M{left} 1H{right}V{height - 1}H{left}z"/>')
    return _picture(parts, height, label)


def _picture(parts: Sequence[str], height: int, label: str) -> str:
    return element(
        "svg",
        "".join(parts),
        {"viewBox": f"0 0 {WIDTH} {height}", "preserveAspectRatio": "none", "height": height, "role": "img", "aria-label": label},
    )


def _scaled(values: np.ndarray, low: int, high: int, size: int) -> np.ndarray:
    """Values from `low` to `high` as 0 to `size`, in Python's integers, which do not wrap; the middle where there is no range."""
    if high <= low:
        return np.full(len(values), size // 2)
    return np.array([(int(value) - low) * size // (high - low) for value in values.tolist()], np.int64)
