"""A plain drawing of lines, areas and words, written as SVG or PNG without a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from typing import Any, Literal

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]

INK, PAPER, PALE = "#444444", "#ffffff", "#dddddd"


@dataclass(frozen=True)
class _Line:
    points: Sequence[Point]
    colour: str
    width: float
    dashed: bool


@dataclass(frozen=True)
class _Area:
    points: Sequence[Point]
    colour: str
    opacity: float


@dataclass(frozen=True)
class _Dot:
    at: Point
    radius: float
    colour: str
    filled: bool


@dataclass(frozen=True)
class _Words:
    at: Point
    text: str
    anchor: Anchor
    size: float
    upright: bool
    colour: str


@dataclass
class Drawing:
    """Shapes in the order in which they are drawn; y grows downward.

    Attributes
    ----------
    width, height : int
        Size in px.
    """

    width: int
    height: int
    _shapes: list[Any] = field(default_factory=list)

    def line(self, points: Sequence[Point], colour: str = INK, width: float = 1.0, *, dashed: bool = False) -> None:
        """Draw a line through points."""
        self._shapes.append(_Line(list(points), colour, width, dashed))

    def area(self, points: Sequence[Point], colour: str, opacity: float = 0.2) -> None:
        """Fill a polygon."""
        self._shapes.append(_Area(list(points), colour, opacity))

    def dot(self, at: Point, colour: str = INK, radius: float = 3.0, *, filled: bool = True) -> None:
        """Draw a dot, or a ring."""
        self._shapes.append(_Dot(at, radius, colour, filled))

    def words(
        self, at: Point, text: str, *, anchor: Anchor = "start", size: float = 12.0, upright: bool = False,
        colour: str = INK,
    ) -> None:  # fmt: skip
        """Write a line of text with its baseline at a point; `upright` turns it to read upward."""
        self._shapes.append(_Words(at, text, anchor, size, upright, colour))

    def svg(self) -> str:
        """Give the drawing as an SVG file."""
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'font-family="sans-serif" fill="{INK}">',
            f'<rect width="{self.width}" height="{self.height}" fill="{PAPER}"/>',
            *map(_svg, self._shapes),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def png(self, scale: int = 2) -> bytes:
        """Give the drawing as a PNG file, `scale` pixels to the px."""
        import io

        from PIL import Image, ImageDraw

        fine = 2 * scale  # drawn larger and brought down: smooth edges
        picture = Image.new("RGB", (self.width * fine, self.height * fine), PAPER)
        for shape in self._shapes:
            layer = ImageDraw.Draw(picture, "RGBA")
            _paint(picture, layer, shape, fine)
        out = io.BytesIO()
        picture.resize((self.width * scale, self.height * scale), Image.Resampling.LANCZOS).save(out, "PNG")
        return out.getvalue()


def _svg(shape: Any) -> str:
    if isinstance(shape, _Words):
        x, y = shape.at
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if shape.upright else ""
        return (
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{shape.size:g}" text-anchor="{shape.anchor}" '
            f'fill="{shape.colour}"{turn}>{escape(shape.text)}</text>'
        )
    if isinstance(shape, _Dot):
        fill = shape.colour if shape.filled else "none"
        x, y = shape.at
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{shape.radius:g}" fill="{fill}" stroke="{shape.colour}"/>'
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
    if isinstance(shape, _Area):
        return f'<polygon points="{points}" fill="{shape.colour}" fill-opacity="{shape.opacity:g}"/>'
    dash = ' stroke-dasharray="5 4"' if shape.dashed else ""
    return f'<polyline points="{points}" fill="none" stroke="{shape.colour}" stroke-width="{shape.width:g}"{dash}/>'


def _paint(picture: Any, layer: Any, shape: Any, fine: int) -> None:
    if isinstance(shape, _Words):
        _write(picture, layer, shape, fine)
    elif isinstance(shape, _Dot):
        (x, y), r = shape.at, shape.radius
        box = [(x - r) * fine, (y - r) * fine, (x + r) * fine, (y + r) * fine]
        layer.ellipse(box, fill=shape.colour if shape.filled else None, outline=shape.colour, width=fine)
    elif isinstance(shape, _Area):
        red, green, blue = (int(shape.colour[i : i + 2], 16) for i in (1, 3, 5))
        points = [(x * fine, y * fine) for x, y in shape.points]
        layer.polygon(points, fill=(red, green, blue, round(255 * shape.opacity)))
    else:
        width = max(1, round(shape.width * fine))
        for start, end in zip(shape.points, shape.points[1:], strict=False):
            for a, b in _dashes(start, end) if shape.dashed else [(start, end)]:
                layer.line([a[0] * fine, a[1] * fine, b[0] * fine, b[1] * fine], fill=shape.colour, width=width)


def _dashes(start: Point, end: Point, on: float = 5.0, off: float = 4.0) -> list[tuple[Point, Point]]:
    length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
    found, at = [], 0.0
    while at < length:
        a, b = at / length, min(at + on, length) / length
        found.append(
            (
                (start[0] + a * (end[0] - start[0]), start[1] + a * (end[1] - start[1])),
                (start[0] + b * (end[0] - start[0]), start[1] + b * (end[1] - start[1])),
            )
        )
        at += on + off
    return found


@lru_cache(maxsize=16)
def _font(size: float) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _write(picture: Any, layer: Any, shape: _Words, fine: int) -> None:
    from PIL import Image, ImageDraw

    font = _font(shape.size * fine)
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
    x, y = shape.at[0] * fine, shape.at[1] * fine
    if not shape.upright:
        layer.text((x, y), shape.text, fill=shape.colour, font=font, anchor=anchor)
        return
    side = int(layer.textlength(shape.text, font=font)) + 4 * round(shape.size * fine)
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).text((side / 2, side / 2), shape.text, fill=255, font=font, anchor=anchor)
    mask = mask.rotate(90)
    picture.paste(shape.colour, (round(x - side / 2), round(y - side / 2)), mask)
