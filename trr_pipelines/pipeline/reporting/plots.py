"""Plots as small PNG data URIs, for reports.

matplotlib takes 0.8 s to import, so it is imported when a plot is drawn.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Enough for lines, letters and antialiasing: 3 to 8 KB a plot, a fifth of full colour.
COLOURS = 32
WIDTH, HEIGHT, DPI = 7.2, 2.8, 100

Unit = Callable[[float], str]
Series = Mapping[str, Mapping[date, float]]


def lines(title: str, series: Series, unit: Unit) -> str:
    """Line chart of values by day, one line per name; a data URI of a PNG."""

    def draw(axes: Axes) -> None:
        for name, values in series.items():
            axes.plot(list(values), list(values.values()), marker="o", markersize=3.5, label=name)  # type: ignore[arg-type]
        axes.set_ylim(bottom=0)
        _by_day(axes, series)

    return _drawn(title, draw, unit)


def layers(title: str, series: Series, unit: Unit) -> str:
    """Stacked bars of values by day, one layer per name; a data URI of a PNG."""

    def draw(axes: Axes) -> None:
        days = sorted({day for values in series.values() for day in values})
        below = [0.0] * len(days)
        for name, values in series.items():
            heights = [values.get(day, 0.0) for day in days]
            axes.bar(days, heights, bottom=below, label=name)  # type: ignore[arg-type]
            below = [low + high for low, high in zip(below, heights, strict=True)]
        _by_day(axes, series)

    return _drawn(title, draw, unit)


def bars(title: str, names: Sequence[str], series: Mapping[str, Sequence[float]], unit: Unit) -> str:
    """Grouped bars: a group per name with one labelled bar per series; a data URI of a PNG."""

    def draw(axes: Axes) -> None:
        thickness = 0.8 / len(series)
        for place, (label, values) in enumerate(series.items()):
            at = [row + (place - (len(series) - 1) / 2) * thickness for row in range(len(names))]
            drawn = axes.barh(at, list(values), thickness, label=label)
            axes.bar_label(drawn, [unit(value) for value in values], padding=3, fontsize=8)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.grid(axis="y", visible=False)
        if len(series) > 1:
            axes.legend(fontsize=8, loc="lower right")

    return _drawn(title, draw, unit, value_axis="x")


def _by_day(axes: Axes, series: Series) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=1, maxticks=8)  # type: ignore[no-untyped-call]
    days = {day for values in series.values() for day in values}
    if len(days) == 1:
        axes.set_xticks(list(days), [str(day) for day in days])  # type: ignore[arg-type]
    else:
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    if len(series) > 1:
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _drawn(title: str, draw: Callable[[Axes], None], unit: Unit, *, value_axis: str = "y") -> str:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    draw(axes)
    (axes.xaxis if value_axis == "x" else axes.yaxis).set_major_formatter(FuncFormatter(lambda value, _: unit(value)))
    drawing = io.BytesIO()
    figure.savefig(drawing, format="png")
    drawing.seek(0)
    with Image.open(drawing, formats=["PNG"]) as picture:
        flat = picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small = io.BytesIO()
    flat.save(small, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"
