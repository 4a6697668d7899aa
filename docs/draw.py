#!/usr/bin/env python3
"""Draws the diagrams of the README and the book: `python3 docs/draw.py` writes docs/src/images/*.svg.

Needs Python 3.9 or newer and nothing else. The drawings follow the reader's light or dark scheme. The numbers in `dse.svg` and
`priors.svg` are computed here from the definitions in docs/src/concepts.md. Those in `spectra.svg` are measured:
`python3 docs/draw.py DIR/report.json` takes them from an ablation's report into docs/spectra.json; docs/src/results.md has
the ablation's command. `python3 docs/draw.py quickstart/cfg/00001.png edit` draws `editing.svg` from the run of
docs/src/editing.md.
"""

import base64
import csv
import json
import math
import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent / "src" / "images"
SPECTRA = pathlib.Path(__file__).parent / "spectra.json"

STYLE = """<style>
  .paper { fill: #ffffff; stroke: #d0d7de }
  text { font: 16px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .small { font-size: 14px; fill: #59636e }
  .bold { font-weight: 600 }
  .middle { text-anchor: middle }
  .end { text-anchor: end }
  .math { font-family: "STIX Two Text", "Cambria", "DejaVu Serif", serif; font-style: italic }
  .box { fill: #f6f8fa; stroke: #59636e; stroke-width: 1.2 }
  .ssg { fill: #fff1e5; stroke: #bc4c00; stroke-width: 1.6 }
  .line { stroke: #59636e; stroke-width: 1.4; fill: none }
  .head { fill: #59636e }
  .edge { fill: none; stroke: #59636e; stroke-width: 1 }
  .cells { shape-rendering: crispEdges }
  .level { stroke: #1f2328; stroke-width: 1; fill: none }
  .cell { font-size: 11px; fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc }
    .small { fill: #9198a1 }
    .box { fill: #151b23; stroke: #9198a1 }
    .ssg { fill: #3a2214; stroke: #f0883e }
    .line, .edge { stroke: #9198a1 }
    .head { fill: #9198a1 }
    .level { stroke: #f0f6fc }
    .cell { fill: #ffffff }
  }
</style>"""


class Drawing:
    """An SVG file that grows by one element a call."""

    def __init__(self, width, height, title):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
            f"<title>{title}</title>",
            STYLE,
            f'<rect class="paper" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        ]

    def text(self, x, y, words, kind=""):
        self.parts.append(f'<text x="{x:g}" y="{y:g}" class="{kind}">{words}</text>')

    def box(self, x, y, width, height, kind="box"):
        self.parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>'
        )

    def arrow(self, *points):
        """A line through points that ends in a head; its last stretch is horizontal or vertical."""
        (x0, y0), (x1, y1) = points[-2:]
        along = (x1 > x0) - (x1 < x0), (y1 > y0) - (y1 < y0)
        stop = x1 - 7 * along[0], y1 - 7 * along[1]
        way = " ".join(f"{x:g},{y:g}" for x, y in [*points[:-1], stop])
        side = 4 * along[1], 4 * along[0]
        head = " ".join(
            f"{x:g},{y:g}"
            for x, y in [(x1, y1), (stop[0] + side[0], stop[1] + side[1]), (stop[0] - side[0], stop[1] - side[1])]
        )
        self.parts.append(f'<polyline class="line" points="{way}"/><polygon class="head" points="{head}"/>')

    def map(self, x, y, size, values, colour, largest):
        """A grid of values as coloured cells in a square."""
        rows, columns = len(values), len(values[0])
        high, wide = size / rows, size / columns
        self.parts.append('<g class="cells">')
        for i, row in enumerate(values):
            for j, value in enumerate(row):
                fill = colour(value / largest if largest else 0.0)
                self.parts.append(
                    f'<rect x="{x + j * wide:.2f}" y="{y + i * high:.2f}" width="{wide:.2f}"'
                    f' height="{high:.2f}" fill="{fill}"/>'
                )
        self.parts.append("</g>")
        self.parts.append(f'<rect class="edge" x="{x:g}" y="{y:g}" width="{size:g}" height="{size:g}"/>')

    def save(self, name):
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text("\n".join([*self.parts, "</svg>", ""]), encoding="utf-8")


def mix(a, b, share):
    return "#" + "".join(f"{round(p + (q - p) * share):02x}" for p, q in zip(a, b))


WHITE, RED, BLUE, VIOLET = (247, 247, 247), (178, 24, 43), (33, 102, 172), (64, 0, 125)


def signed(value):
    """Blue below zero, white at zero, red above; full at ±1."""
    return mix(WHITE, RED if value > 0 else BLUE, min(abs(value), 1.0))


def amount(value):
    """White at zero, violet at one."""
    return mix(WHITE, VIOLET, min(abs(value), 1.0) ** 0.5)


# Matrices are lists of rows.


def product(a, b):
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


def transposed(a):
    return [list(row) for row in zip(*a)]


def both_axes(matrix, x):
    return product(product(matrix, x), transposed(matrix))


def nearest(n, m):
    return [[float(j == i * n // m) for j in range(n)] for i in range(m)]


def taps(n, m, reach, weight):
    """Interpolation from n to m with half-pixel centres; what lies outside is the border's value."""
    rows = []
    for i in range(m):
        at = (i + 0.5) * n / m - 0.5
        row = [0.0] * n
        for j in range(math.floor(at) - reach + 1, math.floor(at) + reach + 1):
            row[min(max(j, 0), n - 1)] += weight(abs(at - j))
        rows.append(row)
    return rows


def bilinear(n, m):
    rows = []
    for i in range(m):
        at = min(max((i + 0.5) * n / m - 0.5, 0.0), n - 1.0)
        row = [0.0] * n
        low = int(at)
        row[low] += 1 - (at - low)
        row[min(low + 1, n - 1)] += at - low
        rows.append(row)
    return rows


def bicubic(n, m, a=-0.75):
    def weight(t):
        if t <= 1:
            return ((a + 2) * t - (a + 3)) * t * t + 1
        return (((t - 5) * t + 8) * t - 4) * a if t < 2 else 0.0

    return taps(n, m, 2, weight)


def cosines(n):
    """The orthonormal DCT-II."""
    return [
        [math.sqrt((1 if k == 0 else 2) / n) * math.cos(math.pi * (i + 0.5) * k / n) for i in range(n)]
        for k in range(n)
    ]


def dse(x, m, scale):
    """Bilinear interpolation of a square map to m × m, its low band replaced by scale times the coarse spectrum."""
    n = len(x)
    spectrum = both_axes(cosines(m), both_axes(bilinear(n, m), x))
    coarse = both_axes(cosines(n), x)
    for i in range(n):
        for j in range(n):
            spectrum[i][j] = scale * coarse[i][j]
    return both_axes(transposed(cosines(m)), spectrum)


def largest(*maps):
    return max(abs(value) for values in maps for row in values for value in row)


def next_scale():
    """Generation from coarse to fine, and what happens at one scale."""
    drawing = Drawing(720, 412, "Next-scale generation, and where SSG and DSE act")

    def picture(n):
        """A bright disc over a slope, averaged over n × n cells."""
        fine = 32
        pixel = lambda i, j: (1.0 if math.hypot(i - 13.5, j - 18.5) < 8.5 else 0.12) * (0.55 + 0.45 * i / fine)
        side = fine // n
        return [
            [
                sum(pixel(i * side + a, j * side + b) for a in range(side) for b in range(side)) / side**2
                for j in range(n)
            ]
            for i in range(n)
        ]

    drawing.text(24, 34, "Token grids, coarse to fine: each adds detail to the canvas", "bold")
    sizes = [1, 2, 4, 8, 16]
    for at, n in enumerate(sizes):
        x = 30 + at * 143
        drawing.map(x, 54, 88, picture(n), amount, 1.0)
        drawing.text(x + 44, 162, f"{n} × {n}", "small middle")
        if at + 1 < len(sizes):
            drawing.arrow((x + 98, 98), (x + 133, 98))
    drawing.parts.append('<line class="line" x1="24" y1="182" x2="696" y2="182" stroke-dasharray="3 4"/>')
    drawing.text(24, 212, "At scale k", "bold")

    low = lambda mark: f"<tspan dy='4' font-size='11'>{mark}</tspan><tspan dy='-4'>&#8203;</tspan>"
    drawing.box(24, 232, 128, 56)
    drawing.text(88, 255, "Backbone", "middle")
    drawing.text(88, 275, "reads the canvas", "small middle")
    drawing.box(24, 334, 128, 56)
    drawing.text(88, 357, "Logits", "middle")
    drawing.text(88, 377, "of scale k − 1", "small middle")
    drawing.box(196, 334, 128, 56, "ssg")
    drawing.text(260, 357, "DSE", "bold middle")
    drawing.text(260, 377, "to grid k", "small middle")
    drawing.box(290, 232, 206, 56, "ssg")
    drawing.text(393, 254, "SSG", "bold middle")
    drawing.text(393, 276, f"l{low('k')} + β{low('k')} (l{low('k')} − prior)", "math middle")
    drawing.box(560, 232, 136, 56)
    drawing.text(628, 255, "Sampler", "middle")
    drawing.text(628, 275, "draws the tokens", "small middle")
    drawing.arrow((152, 260), (290, 260))
    drawing.text(221, 251, f"logits l{low('k')}", "small middle")
    drawing.arrow((152, 362), (196, 362))
    drawing.arrow((324, 362), (393, 362), (393, 288))
    drawing.text(404, 344, "prior", "small")
    drawing.arrow((496, 260), (560, 260))
    drawing.arrow((628, 288), (628, 334))
    drawing.text(628, 354, "canvas,", "small middle")
    drawing.text(628, 372, "then scale k + 1", "small middle")
    drawing.save("next-scale.svg")


EXAMPLE = [
    [0.9, 0.5, -0.2, -0.6],
    [0.4, 0.8, 0.1, -0.7],
    [-0.3, 0.2, 1.0, 0.3],
    [-0.8, -0.5, 0.4, 0.6],
]


def dse_steps():
    """DSE on a 4 × 4 map: the maps above; below, the coarse spectrum and how much of it each low band has."""
    drawing = Drawing(720, 384, "DSE carries a 4 by 4 map to 8 by 8")
    coarse, m = EXAMPLE, 8
    n = len(coarse)
    s = m / n
    flat = both_axes(bilinear(n, m), coarse)
    sharp = dse(coarse, m, s)
    spectrum, *spectra = [both_axes(cosines(len(values)), values) for values in (coarse, flat, sharp)]
    top, size = 58, 116
    scale = largest(coarse, sharp)
    titles = ["logits at scale k − 1", "interpolated", "DSE: the prior"]
    notes = ["4 × 4, one channel", "8 × 8, bilinear", "8 × 8"]
    columns = [110, 326, 542]
    for x, values, title, note in zip(columns, (coarse, flat, sharp), titles, notes):
        drawing.text(x + size / 2, 30, title, "bold middle")
        drawing.text(x + size / 2, 49, note, "small middle")
        drawing.map(x, top, size, values, signed, scale)
    drawing.text(92, top + 62, "values", "small end")
    drawing.arrow((240, top + 58), (312, top + 58))
    drawing.arrow((456, top + 58), (528, top + 58))
    below = top + 150
    drawing.map(columns[0], below, size, spectrum, amount, largest(spectrum))
    for x, fine in zip(columns[1:], spectra):
        ratios = [[fine[i][j] / spectrum[i][j] for j in range(n)] for i in range(n)]
        drawing.map(x, below, size, ratios, amount, s)
        for i, row in enumerate(ratios):
            for j, ratio in enumerate(row):
                cell = size / n
                drawing.text(x + (j + 0.5) * cell, below + (i + 0.5) * cell + 4, f"{ratio:.2f}", "cell middle")
        drawing.text(x + size / 2, below - 10, "low band / coarse", "small middle")
    drawing.text(columns[0] + size / 2, below - 10, "spectrum (DCT)", "small middle")
    y = below + size + 24
    drawing.text(columns[1] + size / 2, y, "weaker than s", "small middle")
    drawing.text(columns[2] + size / 2, y, f"s = {s:g} everywhere;", "small middle")
    drawing.text(columns[2] + size / 2, y + 18, "the high band as interpolated", "small middle")
    drawing.save("dse.svg")


def priors():
    """What every prior predicts for one bright position."""
    drawing = Drawing(720, 352, "What each prior predicts on 8 by 8 for one position of a 4 by 4 map")
    one = [[float((i, j) == (1, 2)) for j in range(4)] for i in range(4)]
    maps = [
        ("coarse map", one),
        ("Nearest", both_axes(nearest(4, 8), one)),
        ("Bilinear", both_axes(bilinear(4, 8), one)),
        ("Bicubic", both_axes(bicubic(4, 8), one)),
        ("DSE amplitude", dse(one, 8, 2.0)),
        ("DSE verbatim", dse(one, 8, 1.0)),
        ("Mean", [[1 / 16] * 8 for _ in range(8)]),
        ("Zero", [[0.0] * 8 for _ in range(8)]),
    ]
    for at, (name, values) in enumerate(maps):
        x, y = 38 + at % 4 * 174, 44 + at // 4 * 164
        drawing.text(x + 60, y - 10, name, "middle" if at else "bold middle")
        drawing.map(x + 10, y, 100, values, signed, 1.0)
        numbers = [value for row in values for value in row]
        drawing.text(x + 60, y + 122, f"{min(numbers):.2f} to {max(numbers):.2f}".replace("-", "−"), "small middle")
    drawing.save("priors.svg")


def take_spectra(report):
    """Keeps the spectra of an ablation's report in docs/spectra.json."""
    report = json.loads(pathlib.Path(report).read_text(encoding="utf-8"))
    ablation = report["ablation"]
    curve = next(curve for curve in report["curves"] if curve["x"].startswith("cycles "))
    cells = {
        cell["name"]: [[round(x, 4), round(y, 4)] for x, y in points]
        for cell, points in zip(ablation["cells"], curve["cells"])
    }
    kept = {"images": ablation["samples"] * len(ablation["seeds"]), "cells": cells}
    SPECTRA.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


# Cell, words, colour on white, colour on black, dashes.
LINES = [
    ("cfg", "CFG only", "#59636e", "#9198a1", ""),
    ("bilinear", "SSG, bilinear", "#0969da", "#58a6ff", ""),
    ("dse amplitude", "SSG, DSE amplitude", "#bc4c00", "#f0883e", ""),
    ("dse verbatim", "SSG, DSE verbatim", "#8250df", "#be8fff", ""),
    ("control: zero", "SSG, Zero", "#1a7f37", "#3fb950", "6 4"),
    ("control: unsharp on pixels", "unsharp mask", "#cf222e", "#ff7b72", "2 4"),
]


def spectra():
    """The amplitude of every spatial frequency relative to test images, on a logarithmic axis."""
    measured = json.loads(SPECTRA.read_text(encoding="utf-8"))
    drawing = Drawing(720, 400, "Amplitude of each spatial frequency relative to test images, by rule")
    dark = "".join(f".l{i} {{ stroke: {line[3]} }}" for i, line in enumerate(LINES))
    light = "".join(f".l{i} {{ stroke: {line[2]} }}" for i, line in enumerate(LINES))
    drawing.parts.append(
        f"<style>.curve {{ fill: none; stroke-width: 2.2 }} {light} @media (prefers-color-scheme: dark) {{ {dark} }}</style>"
    )
    left, right, top, bottom = 72, 486, 56, 340
    values = [y for name, *_ in LINES for _, y in measured["cells"][name]]
    low, high = math.log(min(0.7, min(values))), math.log(max(1.4, max(values)))
    across = lambda x: left + (right - left) * x / 0.5
    up = lambda y: bottom - (bottom - top) * (math.log(y) - low) / (high - low)
    drawing.text(24, 32, "Amplitude relative to CIFAR-10’s test images", "bold")
    drawing.text(512, 32, f"{measured['images']} images per rule", "small")
    for y in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.7, 2.0):
        if low <= math.log(y) <= high:
            # Test images are at 1: thin and in the colour of text, unlike every rule's line.
            kind = 'class="level"' if y == 1.0 else 'class="line" stroke-dasharray="1 6" opacity="0.6"'
            drawing.parts.append(f'<line {kind} x1="{left}" y1="{up(y):.1f}" x2="{right}" y2="{up(y):.1f}"/>')
            drawing.text(left - 10, up(y) + 5, f"{y:g}", "small end")
    for x in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
        drawing.text(across(x), bottom + 22, f"{x:g}", "small middle")
    drawing.text((left + right) / 2, bottom + 44, "cycles per pixel", "small middle")
    for i, (name, words, _, _, dashes) in enumerate(LINES):
        points = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in measured["cells"][name])
        kind = f'class="curve l{i}"' + (f' stroke-dasharray="{dashes}"' if dashes else "")
        drawing.parts.append(f'<polyline {kind} points="{points}"/>')
        y = 84 + 30 * i
        drawing.parts.append(f'<line {kind} x1="512" y1="{y - 5}" x2="540" y2="{y - 5}"/>')
        drawing.text(550, y, words, "small")
    drawing.save("spectra.svg")


def editing(given, folder):
    """An image, its box, and what a run draws in the box: one row for each rule."""
    drawing = Drawing(720, 268, "An image whose left half is drawn anew under two rules")
    picture, half, step = 96, 48, 108

    def place(x, y, path):
        data = base64.b64encode(pathlib.Path(path).read_bytes()).decode()
        drawing.parts.append(
            f'<image x="{x:g}" y="{y:g}" width="{picture}" height="{picture}" style="image-rendering: pixelated" '
            f'href="data:image/png;base64,{data}"/>'
        )

    with open(pathlib.Path(folder) / "images.csv", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    left, tops = 280, [48, 156]
    for x, words in [(20, "given image"), (128, "box")]:
        drawing.text(x + half, tops[0] - 12, words, "middle")
        place(x, tops[0], given)
    drawing.parts.append(
        f'<rect x="128" y="{tops[0]}" width="{half}" height="{picture}" class="ssg" fill-opacity="0.85"/>'
    )
    for column, row in enumerate(rows):
        drawing.text(left + column * step + half, tops[0] - 12, row["shows"], "middle")
    for top, (name, lines) in zip(tops, [("cfg", ["CFG"]), ("ssg-over-cfg", ["SSG", "over", "CFG"])]):
        for line, words in enumerate(lines):
            drawing.text(left - 10, top + half + 5 + 20 * (line - (len(lines) - 1) / 2), words, "end")
        for column, row in enumerate(rows):
            place(left + column * step, top, pathlib.Path(folder) / name / row["file"])
    drawing.save("editing.svg")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        editing(*sys.argv[1:3])
    elif len(sys.argv) > 1:
        take_spectra(sys.argv[1])
    next_scale()
    dse_steps()
    priors()
    spectra()
