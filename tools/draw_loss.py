"""Draw the loss curve of ``train_camae.py`` from its log, as an SVG without any plotting library.

    python tools/draw_loss.py ~/camae/log.csv docs/img/camae-loss.svg

The log has a line every 20 steps: step, masked error as a share of the variance, seconds, learning rate.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 60, 16, 16, 48
SMOOTH = 15  # log lines in the running mean


def read_log(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Give steps and masked error; of a step that was trained twice, after an interruption, the later line counts."""
    found: dict[int, float] = {}
    with path.open(newline="") as handle:
        for line in csv.reader(handle):
            if len(line) >= 2 and line[0].isdigit():
                found[int(line[0])] = float(line[1])
    steps = sorted(found)
    return np.array(steps), np.array([found[s] for s in steps])


def ticks(top: float, about: int = 5) -> list[float]:
    """Give round numbers from 0 to `top`."""
    raw = top / about
    size = 10.0 ** np.floor(np.log10(raw))
    step = next(m for m in (1, 2, 5, 10) if m * size >= raw) * size
    return [float(v) for v in np.arange(0, top + step / 1000, step)]


def draw(steps: np.ndarray, error: np.ndarray) -> str:
    """Give the SVG: single log lines faint, their running mean bold."""
    most_x, most_y = float(steps[-1]), float(max(1.0, np.ceil(error.max() * 10) / 10))
    inner = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + inner[0] * x / most_x, TOP + inner[1] * (1 - y / most_y)

    def line(ys: np.ndarray) -> str:
        return " ".join(f"{px:.1f},{py:.1f}" for px, py in (at(*p) for p in zip(steps, ys, strict=True)))

    half = SMOOTH // 2
    mean = np.array([error[max(0, i - half) : i + half + 1].mean() for i in range(len(error))])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12" fill="#444">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for value in ticks(most_y):
        y = at(0, value)[1]
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2g}</text>')
    for value in ticks(most_x):
        x = at(value, 0)[0]
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:,.0f}</text>')
    middle = TOP + inner[1] / 2
    parts += [
        f'<polyline points="{line(error)}" fill="none" stroke="#0072b2" stroke-opacity="0.3"/>',
        f'<polyline points="{line(mean)}" fill="none" stroke="#0072b2" stroke-width="2"/>',
        f'<text x="{LEFT + inner[0] / 2}" y="{HEIGHT - 10}" text-anchor="middle">step</text>',
        f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">'
        "masked error / variance</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    steps, error = read_log(args.log)
    if len(steps) < 2:
        raise SystemExit(f"{args.log}: fewer than two lines; train for 40 steps at least")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(draw(steps, error), encoding="utf-8")
    print(f"{args.out}: {len(steps)} lines, step {steps[-1]}, mean of the last {SMOOTH}: {error[-SMOOTH:].mean():.3f}")


if __name__ == "__main__":
    main()
