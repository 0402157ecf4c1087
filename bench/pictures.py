"""The pictures of the results, as PNG and SVG."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure as Picture

from bench.plan import FIGURES, Figure
from bench.summary import Summary, number

PICTURES = {
    "bench-cpu": "CPU per message with 1 and with 16 calls outstanding",
    "bench-throughput": "Messages per second by calls outstanding",
    "bench-start": "Start to first reply, and memory of one idle bridge",
}
"""Each picture and what it shows."""

COLOURS = {"ferry": "#0b6e8f", "floor": "#9aa5ab"}
"""Ours stand out; all peers look alike."""

PEER = "#d98a3d"
AT_ONCE = (1, 16, 64, 256)


def draw(summary: Summary, folder: Path) -> None:
    """Draw all pictures into a folder."""
    mpl.use("Agg")
    # The same results give the same bytes.
    mpl.rcParams.update({"font.size": 9, "svg.hashsalt": "mcp-ferry", "svg.fonttype": "none"})
    folder.mkdir(parents=True, exist_ok=True)
    bars(summary, ("cpu-1", "cpu-16"), folder / "bench-cpu")
    throughput(summary, folder / "bench-throughput")
    bars(summary, ("first-reply", "pss"), folder / "bench-start")


def median_of(summary: Summary, figure: str, name: str) -> float | None:
    """The median of one figure, if there is one."""
    cell = summary.cells.get((figure, name))
    return cell.median if cell is not None else None


def bars(summary: Summary, names: tuple[str, ...], path: Path) -> None:
    """Horizontal bars on a logarithmic scale, one panel for each figure, each bar with its number."""
    wanted: list[Figure] = [figure for name in names for figure in FIGURES if figure.name == name]
    picture, panels = plt.subplots(1, len(wanted), figsize=(10, 0.45 * len(summary.bridges) + 1), sharey=True)
    for figure, panel in zip(wanted, panels, strict=True):
        values = [median_of(summary, figure.name, name) for name in summary.bridges]
        shown = panel.barh(
            [summary.labels[name] for name in summary.bridges],
            [value or 0 for value in values],
            color=[COLOURS.get(name, PEER) for name in summary.bridges],
        )
        panel.bar_label(shown, [number(value) if value else "none" for value in values], padding=3)
        panel.set_xscale("log")
        panel.margins(x=0.25)
        panel.set_title(f"{figure.title} ({figure.unit}, logarithmic)", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    save(picture, path)


def throughput(summary: Summary, path: Path) -> None:
    """Lines over the number of calls outstanding, both scales logarithmic."""
    picture, panel = plt.subplots(figsize=(10, 4.5))
    for name in summary.bridges:
        points = [(at_once, median_of(summary, f"rate-{at_once}", name)) for at_once in AT_ONCE]
        known = [(at_once, value) for at_once, value in points if value]
        if known:
            style = {"color": COLOURS[name], "linewidth": 2.5} if name in COLOURS else {"linewidth": 1.2}
            panel.plot(*zip(*known, strict=True), marker="o", label=summary.labels[name], **style)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(AT_ONCE, [str(at_once) for at_once in AT_ONCE])
    panel.set_xlabel("calls outstanding")
    panel.set_ylabel("messages per second")
    panel.grid(visible=True, alpha=0.3)
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    panel.spines[["top", "right"]].set_visible(False)
    save(picture, path)


def save(picture: Picture, path: Path) -> None:
    """Write both forms."""
    picture.tight_layout()
    picture.savefig(path.with_suffix(".png"), dpi=120, metadata={"Software": None})
    picture.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    plt.close(picture)
