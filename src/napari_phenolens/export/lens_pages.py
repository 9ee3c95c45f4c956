"""A dictionary report, or two lenses side by side, as a page (HTML, Markdown) or as tables (CSV)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_phenolens.analysis.metrics import GROUPS, METRICS
from napari_phenolens.export.atomic import written_whole
from napari_phenolens.export.errors import ExportError
from napari_phenolens.export.lens_figures import spectrum_figure, usage_figure
from napari_phenolens.export.tables import export_comparison

if TYPE_CHECKING:
    from napari_phenolens.analysis.lens_comparison import LensComparison
    from napari_phenolens.analysis.lens_report import DictionaryReport

TOP = 30  # features or pairs on a page; CSV has all
STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.5em 0 1.5em}td,th{padding:.2em .7em;border-bottom:1px solid #ddd;"
    "text-align:left;vertical-align:top}td.n{text-align:right;white-space:nowrap}td.m{color:#555;font-size:13px}"
    "svg{width:30em;max-width:100%}"
)


@dataclass
class _Page:
    """Headings, words, tables and figures, in order."""

    title: str
    parts: list[tuple[str, Any]] = field(default_factory=list)

    def html(self) -> str:
        inside = []
        for kind, what in self.parts:
            if kind == "table":
                heads, rows = what
                body = [_row("th", [(h, "") for h in heads])]
                body += [_row("td", list(zip(row, map(_class, heads), strict=True))) for row in rows]
                inside.append(f"<table>{''.join(body)}</table>")
            elif kind == "svg":
                inside.append(what)
            else:
                inside.append(f"<{kind}>{escape(what)}</{kind}>")
        head = f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{escape(self.title)}</title>'
        return (
            f"{head}<style>{STYLE}</style><body><h1>{escape(self.title)}</h1>\n"
            + "\n".join(inside)
            + "</body></html>\n"
        )

    def markdown(self) -> str:
        lines = [f"# {self.title}", ""]
        for kind, what in self.parts:
            if kind == "table":
                heads, rows = what
                lines += [_line(heads), _line(["---"] * len(heads)), *map(_line, rows), ""]
            elif kind == "h2":
                lines += [f"## {what}", ""]
            elif kind == "p":
                lines += [what, ""]
        return "\n".join(lines)


def export_dictionary_report(report: DictionaryReport, out: str | Path) -> list[Path]:
    """Write a report.

    Parameters
    ----------
    report : DictionaryReport
    out : path
        ``.html`` or ``.md``: a page with what every metric means. ``.csv``: the metrics, with the facts as JSON and all
        features in ``<name>_features.csv`` beside it.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ExportError
        Where the ending is another, or a file cannot be written.
    """
    return _write(Path(out), lambda: _report_page(report), report.table, report.facts, {"features": report.features})


def export_lens_comparison(comparison: LensComparison, out: str | Path) -> list[Path]:
    """Write two lenses side by side.

    Parameters
    ----------
    comparison : LensComparison
    out : path
        As for `export_dictionary_report`; beside a ``.csv`` the matched features in ``<name>_pairs.csv``.

    Returns
    -------
    list of Path

    Raises
    ------
    ExportError
        Where the ending is another, or a file cannot be written.
    """
    facts = {
        "verdict": comparison.verdict, "matching": comparison.matching, "notes": list(comparison.notes),
        "a": comparison.a.facts, "b": comparison.b.facts,
    }  # fmt: skip
    return _write(Path(out), lambda: _comparison_page(comparison), comparison.table, facts, {"pairs": comparison.pairs})


def _write(
    out: Path, page: Callable[[], _Page], table: pd.DataFrame, facts: dict[str, Any], beside: dict[str, pd.DataFrame]
) -> list[Path]:
    kind = out.suffix.lower()
    if kind == ".csv":
        told = table.copy()
        told.attrs = dict(facts.items())
        files = [export_comparison(told, out), out.with_suffix(".json")]
        for name, more in beside.items():
            path = out.with_name(f"{out.stem}_{name}.csv")
            with written_whole(path) as part:
                more.to_csv(part)
            files.append(path)
        return files
    if kind not in (".html", ".htm", ".md"):
        raise ExportError(f"{out}: a report is written as .html, .md or .csv; give the file one of these endings")
    text = page().markdown() if kind == ".md" else page().html()
    with written_whole(out) as part:
        part.write_text(text, encoding="utf-8")
    return [out]


def figure(value: Any) -> str:
    """Give a number in three significant digits, whole ones in full; nothing for none."""
    if value is None or (isinstance(value, float) and value != value):
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:.3g}"
    return str(value)


def with_interval(value: Any, low: Any, high: Any) -> str:
    """Give a number with its interval, where it has one."""
    known = low == low and high == high
    return f"{figure(value)} [{figure(low)}, {figure(high)}]" if known and value == value else figure(value)


def _report_page(report: DictionaryReport) -> _Page:
    facts = report.facts
    page = _Page(f"Dictionary of {', '.join(facts['plates'])}")
    page.parts.append(("p", lens_line(facts)))
    page.parts += [("p", note) for note in facts["notes"]]
    for group in GROUPS:
        mine = report.table[report.table["group"] == group]
        rows = []
        for name, row in mine.iterrows():
            metric = METRICS[str(name)]
            value = with_interval(row["value"], row["low"], row["high"])
            rows.append(
                [metric.title, value, figure(row["null"]), figure(row["p"]), str(row["note"]), _meaning(metric)]
            )
        page.parts += [("h2", group.capitalize()), ("table", (["", "value", "chance", "p", "note", "meaning"], rows))]
        if group == "use":
            page.parts.append(("svg", usage_figure(report.usage).svg()))
        if group == "whitening" and report.spectrum is not None:
            page.parts.append(("svg", spectrum_figure(report.spectrum).svg()))
    by = next((c for c in ("held_out_auroc", "monosemanticity", "density") if c in report.features), "density")
    best = report.features.sort_values(by, ascending=False, kind="stable").head(TOP)
    shown = [c for c in best.columns if not c.endswith(("_p", "_null")) and best[c].notna().any()][:12]
    rows = [
        [f"F{n}", *(figure(v) for v in row)] for n, row in zip(best.index, best[shown].to_numpy(object), strict=True)
    ]
    page.parts += [("h2", f"Features, by {by.replace('_', ' ')}"), ("table", (["feature", *shown], rows))]
    return page


def _comparison_page(found: LensComparison) -> _Page:
    page = _Page("Two lenses side by side")
    page.parts.append(("p", found.verdict))
    page.parts += [("p", f"{side}: {lens_line(each.facts)}") for side, each in (("A", found.a), ("B", found.b))]
    page.parts += [("p", note) for note in found.notes]
    for group in GROUPS:
        rows = []
        for name, row in found.table[found.table["group"] == group].iterrows():
            metric = METRICS[str(name)]
            sides = [with_interval(row[s], row[f"{s}_low"], row[f"{s}_high"]) for s in "ab"]
            gap = with_interval(row["difference"], row["low"], row["high"])
            rows.append([metric.title, *sides, gap, str(row["better"]).upper(), str(row["note"]), _meaning(metric)])
        heads = ["", "value A", "value B", "value B less A", "better", "note", "meaning"]
        page.parts += [("h2", group.capitalize()), ("table", (heads, rows))]
    page.parts += [("h2", "Matched features"), ("p", matching_line(found.matching))]
    if len(found.pairs):
        best = found.pairs.head(TOP)
        rows = [[figure(v) for v in row] for row in best.to_numpy(object)]
        page.parts.append(("table", ([str(c) for c in best.columns], rows)))
    return page


def lens_line(facts: dict[str, Any]) -> str:
    """Say in a line what a report is of."""
    nested = f", nested {' in '.join(map(str, facts['levels']))}" if facts["levels"] else ""
    labels = ", ".join(f"{name} ({count})" for name, count in list(facts["labels"].items())[:12])
    return (
        f"{facts['run']}: {facts['encoder']} block {facts['block']}, {facts['method']} with {facts['atoms']} features"
        f"{nested}, sparsity {facts['sparsity'][0]} x {facts['sparsity'][1]}, whitening {facts['whitening']}; "
        f"{facts['wells']} wells" + (f"; {facts['column']}: {labels}" if facts["column"] else "")
    )


def matching_line(matching: dict[str, Any]) -> str:
    """Say how features were matched and how well."""
    if not matching["by"]:
        return f"Features cannot be matched: {matching['reason']}."
    how = (
        "the cosine of their atoms" if matching["by"] == "atoms"
        else "the correlation of their wells' profiles and of their activation over the same places"
    )  # fmt: skip
    return (
        f"{matching['pairs']} features matched one to one by {how}: {matching['mean']:.2f} on average (by chance "
        f"{matching['chance']:.2f}), {matching['above_0.7']} above 0.7."
    )


def _meaning(metric: Any) -> str:
    better = f" Better: {metric.better}." if metric.better else ""
    return f"{metric.meaning}{better}" + (f" ({metric.source})" if metric.source else "")


def _class(head: str) -> str:
    return "m" if head in ("note", "meaning") else "n" if head.startswith(("value", "chance", "p")) else "t"


def _row(tag: str, cells: Sequence[tuple[str, str]]) -> str:
    return "<tr>" + "".join(f'<{tag} class="{kind}">{escape(text)}</{tag}>' for text, kind in cells) + "</tr>"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
