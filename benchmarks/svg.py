"""Two kinds of plot as SVG text, bars and lines, in colours that follow the reader's light or dark theme."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

WIDTH = 760
COLOURS = 16
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-size: 15px; font-weight: 600; }
  .quiet { fill: #57606a; }
  .axis { stroke: #8c959f; stroke-width: 1; fill: none; }
  .grid { stroke: #8c959f; stroke-opacity: .25; stroke-width: 1; }
  .ours { fill: #0969da; } .rival { fill: #cf7c00; } .floor { fill: #8c959f; }
  .line { fill: none; stroke-width: 2; }
  .s0 { stroke: #0969da; } .s1 { stroke: #54aeff; } .s2 { stroke: #0a3069; } .s3 { stroke: #cf7c00; }
  .s4 { stroke: #e8b25a; } .s5 { stroke: #953800; } .s6 { stroke: #6e7781; } .s7 { stroke: #8250df; }
  .s8 { stroke: #1a7f37; } .s9 { stroke: #57ab5a; } .s10 { stroke: #bf3989; }
  .s11 { stroke: #9a6700; } .s12 { stroke: #0550ae; } .s13 { stroke: #116329; } .s14 { stroke: #cf222e; }
  .s15 { stroke: #1b7c83; } .s16 { stroke: #a475f9; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .quiet { fill: #9198a1; }
    .ours { fill: #58a6ff; } .rival { fill: #f0a33a; }
    .s0 { stroke: #58a6ff; } .s1 { stroke: #a5d6ff; } .s2 { stroke: #388bfd; } .s3 { stroke: #f0a33a; }
    .s4 { stroke: #ffd58f; } .s5 { stroke: #db6d28; } .s6 { stroke: #9198a1; } .s7 { stroke: #bc8cff; }
    .s8 { stroke: #3fb950; } .s9 { stroke: #7ee787; } .s10 { stroke: #f778ba; }
    .s11 { stroke: #d29922; } .s12 { stroke: #79c0ff; } .s13 { stroke: #56d364; } .s14 { stroke: #ff7b72; }
    .s15 { stroke: #39c5cf; } .s16 { stroke: #d2a8ff; }
  }
"""


def _document(height: int, title: str, body: Sequence[str]) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<text class="title" x="12" y="24">{escape(title)}</text>',
            *body,
            "</svg>",
            "",
        ]
    )


def bars(title: str, note: str, rows: Sequence[tuple[str, float, str, str]]) -> str:
    """Horizontal bars from (label, value, what to write beside it, kind: ours, rival or floor)."""
    left, top, step = 190, 58, 28
    longest = max((value for _, value, _, _ in rows), default=0.0) or 1.0
    room = WIDTH - left - 110
    body = [f'<text class="quiet" x="12" y="42">{escape(note)}</text>']
    for index, (label, value, beside, kind) in enumerate(rows):
        y = top + index * step
        width = max(1.0, max(0.0, value) / longest * room)
        body += [
            f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="{kind}" x="{left}" y="{y}" width="{width:.1f}" height="18" rx="2"/>',
            f'<text x="{left + width + 6:.1f}" y="{y + 14}">{escape(beside)}</text>',
        ]
    return _document(top + len(rows) * step + 12, title, body)


def ticks(highest: float) -> list[float]:
    """About five round numbers from 0 up to at least ``highest``."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / 5
    magnitude = 10.0 ** floor(log10(rough))
    step = next(nice * magnitude for nice in (1, 2, 2.5, 5, 10) if nice * magnitude >= rough)
    return [step * at for at in range(ceil(highest / step) + 1)]


def lines(
    title: str,
    across: str,
    up: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    colours: Mapping[str, int],
) -> str:
    """Lines through (x, y) points, one for each name in its own colour (0 to ``COLOURS``), with a legend below."""
    left, right, top, plot = 64, WIDTH - 16, 56, 300
    points = [point for one in series.values() for point in one]
    x_ticks = ticks(max((x for x, _ in points), default=1.0))
    y_ticks = ticks(max((y for _, y in points), default=1.0))

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x / x_ticks[-1] * (right - left), top + plot - y / y_ticks[-1] * plot

    body = [f'<text class="quiet" x="12" y="42">{escape(up)}</text>']
    for y in y_ticks:
        _, pixel = at(0, y)
        body.append(f'<path class="grid" d="M{left} {pixel:.1f}H{right}"/>')
        body.append(f'<text class="quiet" x="{left - 6}" y="{pixel + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in x_ticks:
        pixel, _ = at(x, 0)
        body.append(f'<text class="quiet" x="{pixel:.1f}" y="{top + plot + 16}" text-anchor="middle">{x:g}</text>')
    body.append(f'<path class="axis" d="M{left} {top}V{top + plot}H{right}"/>')
    body.append(
        f'<text class="quiet" x="{(left + right) / 2:.0f}" y="{top + plot + 34}" text-anchor="middle">'
        f"{escape(across)}</text>"
    )
    for index, (name, one) in enumerate(series.items()):
        path = "L".join("{:.1f} {:.1f}".format(*at(x, y)) for x, y in sorted(one))
        kind = f"s{colours.get(name, 6)}"
        body.append(f'<path class="line {kind}" d="M{path}"/>')
        x, y = 12 + index % 3 * 245, top + plot + 58 + index // 3 * 20
        body.append(f'<path class="line {kind}" d="M{x} {y - 4}h22"/><text x="{x + 28}" y="{y}">{escape(name)}</text>')
    return _document(top + plot + 70 + (len(series) + 2) // 3 * 20, title, body)
