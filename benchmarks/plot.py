"""Results as a picture: whole processes beside each other, and how cost depends on size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import redis_to_metrics
from .peers import PEERS

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from .result import Curve, Results

_OURS, _THEIRS, _MEMORY = "#1f77b4", "#b0b0b0", "#d62728"
_HEADROOM = 1.15
_STAGES = (*redis_to_metrics.OURS, *(peer.name for peer in PEERS))


def plot(found: Results, file: Path) -> None:
    """Draw what there is.

    Raises:
        SystemExit: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - of the extra `bench`
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise SystemExit("plotting needs matplotlib: pip install 'celery-stream[bench]'") from None
    mpl.rcParams["svg.hashsalt"] = "celery-stream"  # the same results give the same file
    figure = Figure(figsize=(11, 2.8 + 2.6 * bool(found.curves)), layout="constrained")
    parts = figure.subfigures(1 + bool(found.curves), 1, squeeze=False)[:, 0]
    _draw_peers(parts[0].subplots(), found)
    if found.curves:
        places = parts[1].subplots(1, len(found.curves), squeeze=False)[0]
        for axes, curve in zip(places, found.curves, strict=True):
            _draw_curve(axes, curve)
    on = found.machine
    figure.suptitle(f"{on.date} · {on.cpu}, {on.cores} cores · {on.python}", fontsize=9)
    figure.savefig(file, metadata={"Date": None})


def _draw_peers(axes: Axes, found: Results) -> None:
    bars = [
        (f"{stage}, {'24 a message' if batch > 1 else 'single'}", result.rate, stage)
        for stage in _STAGES
        for batch in (24, 1)
        if (result := found.of("redis_to_metrics", stage, batch)) is not None
    ]
    bars.reverse()
    colours = [_OURS if stage in redis_to_metrics.OURS else _THEIRS for _, _, stage in bars]
    drawn = axes.barh([name for name, _, _ in bars], [rate for _, rate, _ in bars], color=colours)
    axes.bar_label(drawn, [f" {rate:,.0f}" for _, rate, _ in bars], fontsize=7)
    axes.set_xlabel("events per CPU second, Redis", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.margins(x=0.12)


def _draw_curve(axes: Axes, curve: Curve) -> None:
    xs = [point.x for point in curve.points]
    axes.plot(xs, [p.events_per_cpu_second for p in curve.points], "o-", color=_OURS)
    axes.set_xscale("log")
    axes.set_ylim(0, _HEADROOM * max(p.events_per_cpu_second for p in curve.points))
    axes.set_xlabel(curve.name, fontsize=8)
    axes.set_ylabel("events per CPU second", fontsize=8, color=_OURS)
    axes.tick_params(labelsize=7)
    other = axes.twinx()
    in_flight = curve.name == "tasks in flight"
    scale, unit = (1.0, "bytes a task") if in_flight else (1e6, "MB resident")
    other.plot(xs, [p.bytes / scale for p in curve.points], "s--", color=_MEMORY, markersize=4)
    other.set_ylim(0, _HEADROOM * max(p.bytes for p in curve.points) / scale)
    other.set_ylabel(unit, fontsize=8, color=_MEMORY)
    other.tick_params(labelsize=7)
