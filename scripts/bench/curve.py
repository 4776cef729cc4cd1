"""Curves as SVG: rate against the number of accesses, both on logarithmic scales."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from math import ceil, floor, log10
from typing import Final

from scripts.bench.results import Point, number

_WIDTH: Final = 760
_HEIGHT: Final = 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 230, 30, 60
_COLOURS: Final = ("#0b6e4f", "#b23a48", "#1d4e89", "#c77b0a", "#5c4d7d", "#4a5759", "#8f2d56")
_STYLE: Final = (
    "text{font:13px sans-serif;fill:#222}.grid{stroke:#ddd}.axis{stroke:#222}"
    "polyline{fill:none;stroke-width:2}"
)


def draw_all(points: Sequence[Point]) -> dict[str, str]:
    """Return the pictures by file name; none without points."""
    if not points:
        return {}
    return {"growth": draw(points, "How rates change with the number of accesses")}


def draw(points: Sequence[Point], title: str) -> str:
    """Return one picture with a line for each curve."""
    across = _span(point.accesses for point in points)
    up = _span(point.rate for point in points)

    def at(point: Point) -> tuple[float, float]:
        width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        x = _LEFT + width * (log10(point.accesses) - across[0]) / (across[1] - across[0])
        y = _TOP + height * (up[1] - log10(point.rate)) / (up[1] - up[0])
        return x, y

    parts = [_frame(title), *_grid(across, up)]
    curves = groupby(sorted(points, key=_by_curve), key=lambda point: point.curve)
    for place, (name, some) in enumerate(curves):
        parts += _line(name, [(point, *at(point)) for point in some], place)
    return "\n".join([*parts, "</svg>", ""])


def _by_curve(point: Point) -> tuple[str, int]:
    return point.curve, point.accesses


def _span(values: Iterable[float]) -> tuple[int, int]:
    logs = [log10(value) for value in values]
    low, high = floor(min(logs)), ceil(max(logs))
    return low, max(high, low + 1)


def _frame(title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{title}"><style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{_LEFT}" y="18" font-weight="bold">{title}</text>'
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 15}" text-anchor="middle">'
        "accesses on the chain</text>"
        f'<text x="12" y="{_TOP + 4}">per s</text>'
    )


def _grid(across: tuple[int, int], up: tuple[int, int]) -> Iterable[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for exponent in range(across[0], across[1] + 1):
        x = _LEFT + (right - _LEFT) * (exponent - across[0]) / (across[1] - across[0])
        yield f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{number(10**exponent)}</text>'
    for exponent in range(up[0], up[1] + 1):
        y = _TOP + (bottom - _TOP) * (up[1] - exponent) / (up[1] - up[0])
        yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
        yield (
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(10**exponent)}</text>'
        )


def _line(name: str, places: Sequence[tuple[Point, float, float]], order: int) -> Iterable[str]:
    colour = _COLOURS[order % len(_COLOURS)]
    corners = " ".join(f"{x:.1f},{y:.1f}" for _, x, y in places)
    yield f'<polyline points="{corners}" stroke="{colour}"/>'
    for point, x, y in places:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">'
        yield f"<title>{name}: {number(point.rate)} at {number(point.accesses)}</title></circle>"
    y = _TOP + 18 * order + 10
    yield f'<rect x="{_WIDTH - _RIGHT + 14}" y="{y - 10}" width="10" height="10" fill="{colour}"/>'
    yield f'<text x="{_WIDTH - _RIGHT + 30}" y="{y}">{name}</text>'
