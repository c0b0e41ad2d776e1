# SPDX-License-Identifier: BSD-3-Clause
"""Plots as SVG text, drawn here so that a page needs nothing from a network. Colours are CSS variables of the page: they
follow its light or dark scheme."""

import html
import math

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 16, 44


def _nice_ceiling(value):
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 × 10^n."""
    if value <= 0:
        return 1
    power = 10 ** math.floor(math.log10(value))
    for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10):
        if value <= step * power * 1.0001:
            return step * power
    return 10 * power


def label(value):
    """12, 3.5, 0.25, 20 k, 1 M."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def figure(value):
    """Three significant digits, never an exponent."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


class Frame:
    """The plot's area, its axes, and values to pixels."""

    def __init__(self, y_max, y_title, x_title, y_log_min=None):
        self.y_log_min = y_log_min
        self.y_max = y_max if y_log_min else _nice_ceiling(y_max)
        if y_log_min:
            self.y_max = 10 ** math.ceil(math.log10(y_max))
        self.parts = []
        self.text(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 6, x_title, "title", "middle")
        self.parts.append(
            f'<text class="title" text-anchor="middle" transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">'
            f"{html.escape(y_title)}</text>"
        )
        self._y_grid()

    def y(self, value):
        height = HEIGHT - TOP - BOTTOM
        if self.y_log_min:
            low, high = math.log10(self.y_log_min), math.log10(self.y_max)
            share = (math.log10(max(value, self.y_log_min)) - low) / (high - low)
        else:
            share = value / self.y_max
        return HEIGHT - BOTTOM - height * share

    def _y_grid(self):
        if self.y_log_min:
            ticks = [10**e for e in range(round(math.log10(self.y_log_min)), round(math.log10(self.y_max)) + 1)]
        else:
            ticks = [self.y_max * i / 4 for i in range(5)]
        for tick in ticks:
            y = self.y(tick)
            self.parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            self.text(LEFT - 6, y + 4, label(tick), "tick", "end")

    def text(self, x, y, text, kind, anchor):
        self.parts.append(f'<text class="{kind}" text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}">{html.escape(str(text))}</text>')

    def svg(self, description):
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(description)}">'
            + "".join(self.parts) + "</svg>"
        )  # fmt: skip


def legend(names):
    """Names with the colour of their class."""
    return '<p class="legend">' + "".join(f'<span class="key {css(n)}"></span>{html.escape(n)}' for n in names) + "</p>"


def css(name):
    """The class of a switch."""
    return "s-" + "".join(c if c.isalnum() else "-" for c in name)


def bars(groups, series, y_title, x_title):
    """groups: names along x; series: {name: [value or None, …]} a bar each; values written above."""
    values = [v for column in series.values() for v in column if v is not None]
    if not values:
        return ""
    frame = Frame(max(values) * 1.08, y_title, x_title)
    width = (WIDTH - LEFT - RIGHT) / len(groups)
    bar = width * 0.78 / len(series)
    for g, group in enumerate(groups):
        left = LEFT + width * g + width * 0.11
        frame.text(LEFT + width * (g + 0.5), HEIGHT - BOTTOM + 16, group, "tick", "middle")
        for s, (name, column) in enumerate(series.items()):
            value = column[g]
            if value is None:
                continue
            y = frame.y(value)
            frame.parts.append(
                f'<rect class="{css(name)}" x="{left + bar * s + 1:.1f}" y="{y:.1f}" width="{bar - 2:.1f}" '
                f'height="{max(0.5, HEIGHT - BOTTOM - y):.1f}" rx="1.5"><title>{html.escape(name)}: {figure(value)}</title></rect>'
            )
            if bar > 17:
                frame.text(left + bar * (s + 0.5), y - 4, figure(value), "value", "middle")
    return frame.svg(f"{y_title} by {x_title}")


def lines(series, y_title, x_title, x_log=True, x_ticks=None, y_log_min=None, x_labels=None):
    """series: {name: [(x, y), …]} a line with points each."""
    points = [p for line in series.values() for p in line]
    if not points:
        return ""
    scale = math.log10 if x_log else float
    x_low, x_high = (scale(f(p[0] for p in points)) for f in (min, max))
    x_high = x_high if x_high > x_low else x_low + 1
    frame = Frame(max(p[1] for p in points) * 1.05, y_title, x_title, y_log_min)

    def x(value):
        return LEFT + 12 + (WIDTH - LEFT - RIGHT - 24) * (scale(value) - x_low) / (x_high - x_low)

    ticks = x_ticks or sorted({p[0] for p in points})
    for i, tick in enumerate(ticks):
        frame.text(x(tick), HEIGHT - BOTTOM + 16, x_labels[i] if x_labels else label(tick), "tick", "middle")
    for name, line in series.items():
        path = " ".join(f"{'M' if i == 0 else 'L'}{x(px):.1f} {frame.y(py):.1f}" for i, (px, py) in enumerate(line))
        frame.parts.append(f'<path class="line {css(name)}" d="{path}"/>')
        if len(line) > 40:
            continue
        for px, py in line:
            frame.parts.append(
                f'<circle class="{css(name)}" cx="{x(px):.1f}" cy="{frame.y(py):.1f}" r="3.5">'
                f"<title>{html.escape(name)}, {label(px)}: {figure(py)}</title></circle>"
            )
    return frame.svg(f"{y_title} by {x_title}")
