"""Probe the blocks of encoders on BBBC013 and write tables and figures into docs/blocks.md, between its markers.

    python tools/report_blocks.py PLATE [--encoders camae-micro] [--docs docs] [--tokens DIR]

PLATE is the folder of BBBC013 with its ``platemap_derived.csv``. Each figure is that of the command that stands over it
(``phenolens blocks``, same numbers).
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

import napari_phenolens as ph
from napari_phenolens.export import export_block_figure
from napari_phenolens.progress import Progress

BEGIN, END = "<!-- report_blocks: begin -->", "<!-- report_blocks: end -->"
NEGATIVE = "control_type == 'negcon'"
QUESTIONS: dict[str, dict[str, Any]] = {
    "strong": {"controls": NEGATIVE, "perturbed": "control_type == 'poscon'", "batch": "row"},
    "weak": {"controls": NEGATIVE, "perturbed": "control_type == 'trt' and column in (5, 6)", "batch": "row"},
}
TITLES = {
    "strong": "Positive controls against negatives",
    "weak": "Low doses against negatives: Wortmannin 3.9 and 7.8 nM, LY294002 1.3 and 2.5 µM",
}


def command(question: dict[str, Any], encoder: str) -> str:
    """Give what is typed for a question."""
    parts = [f"--{name} {quoted(value)}" for name, value in question.items()]
    return (
        "phenolens blocks bbbc013 --platemap bbbc013/platemap_derived.csv \\\n    "
        + " \\\n    ".join(parts)
        + (f" --encoder {encoder}" if encoder != "camae-micro" else "")
    )


def quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else shlex.quote(text)


def row(block: int, of: pd.Series) -> str:
    mark = " (suggested)" if of["suggested"] else ""
    band = f"{of['balanced_accuracy']:.2f} [{of['low']:.2f}, {of['high']:.2f}]"
    shares = " | ".join("-" if pd.isna(v) else f"{v:.3f}" for v in (of["perturbation_r2"], of["batch_r2"]))
    ps = ", ".join("-" if pd.isna(v) else f"{v:.3f}" for v in (of["perturbation_p"], of["batch_p"]))
    robust = "-" if pd.isna(of["robustness"]) else f"{of['robustness']:.2f}"
    return f"| {block}{mark} | {band} | {of['se']:.3f} | {shares} | {ps} | {robust} |"


def section(name: str, question: dict[str, Any], table: pd.DataFrame, encoder: str, picture: str) -> str:
    about = table.attrs
    batch = about["batch"]
    held = about["held_out"]
    apart = "not estimable" if held != held else f"{held:.2f}"
    head = [
        f"### {TITLES[name]}: {encoder}",
        "",
        "```sh",
        command(question, encoder),
        "```",
        "",
        f"![Balanced accuracy over the blocks of {encoder}]({picture})",
        "",
        f"| block | balanced accuracy [95 %] | SE | share: perturbation | share: {batch} | p of the two | robustness |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(row(int(block), of) for block, of in table.iterrows()),
        "",
        ", ".join(f"{count} {side}" for side, count in about["classes"].items())
        + f" wells, {about['folds']} folds by {about['group']}, {about['repeats']} divisions. Chance "
        f"{about['chance']:.2f}; guessing stays below {about['chance_high']:.2f} in 19 of 20 such plates.",
        "",
        f"Suggested: **block {about['suggested']}** ({about['reason']}), {about['in_sample']:.2f} in-sample; chosen on "
        f"half of the wells and quoted on the others: {apart}.",
        "",
        "What the command says over it:",
        "",
        *(f"- {text}" for text in about["warnings"]),
        "",
    ]
    return "\n".join(head)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plate", type=Path)
    parser.add_argument("--encoders", nargs="+", default=["camae-micro"])
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--tokens", type=Path)
    args = parser.parse_args()
    page = args.docs / "blocks.md"
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise SystemExit(f"{page}: the markers {BEGIN} and {END} are not there")
    plate = ph.open_plate(args.plate, args.plate / "platemap_derived.csv")

    def tell(report: Progress) -> None:
        print(f"{report.stage} {report.done}/{report.total} {report.message}", flush=True)

    sections = []
    for encoder in args.encoders:
        for name, question in QUESTIONS.items():
            table = ph.blocks(plate, encoder=encoder, tokens=args.tokens, progress=tell, **question)
            picture = f"img/blocks-{name}-{encoder.replace('/', '-').replace(':', '-')}.svg"
            export_block_figure(table, args.docs / picture)
            sections.append(section(name, question, table, encoder, picture))
    page.write_text(f"{before}{BEGIN}\n\n" + "\n".join(sections) + f"\n{END}{after}", encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
