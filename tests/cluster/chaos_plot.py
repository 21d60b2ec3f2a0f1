"""A chaos run as a picture: time from left to right, a row for each workload.  Pure; plain SVG, no library."""

from __future__ import annotations

from html import escape

from tests.cluster.chaos_report import ChaosReport, Struck, closing

_WIDTH, _LEFT, _TOP, _ROW = 1100, 90, 64, 44
_GOOD, _LATE, _LOST, _OUT, _INK = "#2e7d32", "#ef6c00", "#c62828", "#424242", "#222"


def svg(report: ChaosReport, workloads: list[str]) -> str:
    """A bar for each fault, from its injection until recovery; below it the spans without a ready pod; on the axis a
    stroke for each write."""
    scale = (_WIDTH - _LEFT - 20) / max(report.seconds, 1.0)
    bottom = _TOP + _ROW * len(workloads)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 56}" font-family="sans-serif"'
        f' font-size="12" fill="{_INK}">'
    )
    parts = [
        head,
        f'<rect width="{_WIDTH}" height="{bottom + 56}" fill="white"/>',
        *(f'<text x="10" y="{20 + 18 * i}">{escape(line)}</text>' for i, line in enumerate(closing(report)[:2])),
    ]
    for index, name in enumerate(workloads):
        y = _TOP + _ROW * index
        parts.append(f'<text x="10" y="{y + 18}">{escape(name)}</text>')
        parts.append(f'<line x1="{_LEFT}" y1="{y + 34}" x2="{_WIDTH - 20}" y2="{y + 34}" stroke="#ddd"/>')
        parts += [_bar(f, y, scale, report.seconds) for f in report.faults if f.workload == name]
        parts += [_outage(b, e, y, scale) for b, e in report.outages.get(name, [])]
    parts += [_stroke(at, bottom, scale) for at in report.writes]
    parts += _axis(report.seconds, bottom, scale)
    return "\n".join([*parts, _legend(bottom + 46), "</svg>"]) + "\n"


def _bar(fault: Struck, y: int, scale: float, end: float) -> str:
    colour = _LOST if fault.recovered_s is None else _GOOD if fault.in_time else _LATE
    length = fault.recovered_s if fault.recovered_s is not None else min(180.0, end - fault.at)
    title = f"{fault.family} ({fault.circumstance}) at {fault.at:.0f} s"
    return (
        f'<rect x="{_LEFT + fault.at * scale:.1f}" y="{y + 6}" width="{max(length * scale, 2):.1f}" height="14"'
        f' fill="{colour}"><title>{escape(title)}</title></rect>'
    )


def _outage(begin: float, end: float, y: int, scale: float) -> str:
    width = max((end - begin) * scale, 1)
    return f'<rect x="{_LEFT + begin * scale:.1f}" y="{y + 22}" width="{width:.1f}" height="5" fill="{_OUT}"/>'


def _stroke(at: float, y: int, scale: float) -> str:
    x = _LEFT + at * scale
    return f'<line x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="{y + 8}" stroke="#1565c0"/>'


def _axis(seconds: float, y: int, scale: float) -> list[str]:
    step = 60 if seconds <= 900 else 300
    marks = range(0, int(seconds) + 1, step)
    return [f'<text x="{_LEFT + m * scale:.1f}" y="{y + 22}">{m // 60} min</text>' for m in marks]


def _legend(y: int) -> str:
    entries = (
        (_GOOD, "recovered within 60 s"),
        (_LATE, "later"),
        (_LOST, "put right by hand"),
        (_OUT, "no ready pod"),
        ("#1565c0", "a write of selfheal"),
    )
    return "".join(
        f'<rect x="{_LEFT + 180 * i}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        f'<text x="{_LEFT + 14 + 180 * i}" y="{y}">{text}</text>'
        for i, (colour, text) in enumerate(entries)
    )
