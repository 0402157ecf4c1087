"""The picture of a report: latency by percentile, and what happened in each second."""

from __future__ import annotations

import matplotlib as mpl
from hdrh.histogram import HdrHistogram
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from mcp_ferry.bench.report import Report, Row

SHARES = (0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999)
"""Percentiles that are drawn, as far as there are calls enough to tell them apart."""
TICKS = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
OURS, FAILED = "#0b6e8f", "#c0392b"


def draw(report: Report, path: Path) -> None:
    """Draw a report into a PNG or SVG file."""
    # The same report gives the same bytes.
    with mpl.rc_context({"font.size": 9, "svg.hashsalt": "mcp-ferry", "svg.fonttype": "none"}):
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        distribution(report, left)
        course(report, right)
        settings = report["settings"]
        way = f"via {settings['via']}, {settings['sessions']} x {settings['concurrency']} under way"
        figure.suptitle(plain(f"{settings['url']} ({way})"), fontsize=9)
        nothing = {"Software": None} if path.suffix == ".png" else {"Date": None}
        figure.savefig(path, dpi=120, metadata=nothing)


def distribution(report: Report, panel: Axes) -> None:
    """Latency over the share of calls that were no slower, stretched towards the slowest."""
    reached = 0.0
    for row in report["mix"]:
        points = percentiles(row)
        if points:
            places, values = zip(*points, strict=True)
            panel.plot(places, values, marker=".", label=plain(row["name"]))
            reached = max(reached, *places)
    ticks = [share for share in TICKS if stretched(share) <= max(reached, 10.0)]
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.set_xticks([stretched(share) for share in ticks], [f"{share:g} %" for share in ticks])
    panel.minorticks_off()
    panel.set_xlabel("calls that took no longer")
    panel.set_ylabel("latency in ms")
    panel.set_title("Latency", fontsize=9)
    if reached:
        panel.legend(frameon=False)
    plainly(panel)


def course(report: Report, panel: Axes) -> None:
    """Calls by the second in which they came back; the last second may be a part of one."""
    for place, name, colour in ((0, "answered", OURS), (1, "failed", FAILED)):
        counts = [second[place] for second in report["timeline"]]
        if place == 0 or any(counts):
            panel.stairs(counts, fill=place == 0, color=colour, label=name)
    panel.set_ylim(bottom=0)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_xlabel("second of the run")
    panel.set_title("Calls that came back in each second", fontsize=9)
    panel.legend(loc="lower right")
    plainly(panel)


def percentiles(row: Row) -> list[tuple[float, float]]:
    """Places on the stretched scale and milliseconds."""
    histogram = HdrHistogram.decode(row["histogram"])
    known = [share for share in SHARES if stretched(share) <= row["answered"]]
    return [(stretched(share), histogram.get_value_at_percentile(share) / 1e6) for share in known]


def stretched(share: float) -> float:
    """One in how many calls is slower than this share of them."""
    return 100.0 / (100.0 - share)


def plain(text: str) -> str:
    """Text of others, in which a dollar sign begins no formula."""
    return text.replace("$", r"\$")


def plainly(panel: Axes) -> None:
    """A frame that does not distract."""
    panel.grid(visible=True, alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
