"""One self-contained HTML file of a run: plate, ranked features with galleries, cells, and how it was all done."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.export.atomic import written_whole
from napari_phenolens.export.cell_figure import cell_picture
from napari_phenolens.export.errors import ExportError
from napari_phenolens.export.methods import CITATIONS, methods_paragraph
from napari_phenolens.export.report_table import table_rows
from napari_phenolens.export.responders import responders_table, responders_words
from napari_phenolens.export.tables import lens_summary, plain
from napari_phenolens.progress import CancelCallback, Progress, ProgressCallback, check_cancelled

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate

TOP = 6  # features with a page of their own
MOST_ROWS = 2000  # of the table of features; the rest is in `compare --out`
EXAMPLES = 8


def report(
    run: Any,
    out: str | Path,
    controls: Sequence[str] | str | None = None,
    perturbed: Sequence[str] | str | None = None,
    *,
    features: Sequence[int] | None = None,
    cells: Sequence[int] = (),
    top: int = TOP,
    whole: bool = True,
    words: bool = True,
    plate: Plate | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> Path:
    """Write what a run found as one HTML file that opens anywhere, offline.

    Parameters
    ----------
    run : Run
        The run.
    out : path
        The file, ``.html``.
    controls, perturbed : query or list of wells
        The sides; controls None takes the run's own. Without perturbed wells features are not ranked, and `features`
        says which are shown.
    features : sequence of int, optional
        Features with a page of their own. Default: the leading feature of each of the first groups, so that one
        phenotype does not fill the report.
    cells : sequence of int
        Cells (rows of `Run.cells`) whose card is shown.
    top : int
        How many features, where `features` is not given.
    whole : bool
        Whether the plate and the tables are in it too; False: only the pages of these features and cells.
    words : bool
        Whether to name the features by the concepts that they go with (`concepts`), which takes some seconds.
    plate : Plate, optional
        The plate, where it is open already. Where its files cannot be found, the report says so and has no pictures of
        cells.
    progress, cancel : callable, optional
        See `napari_phenolens.progress`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExportError
        Where the name does not end in ``.html``, or there is nothing to show.
    PhenoLensError
        Where a query holds for no well, or a feature or cell is not there.
    """
    out = Path(out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise ExportError(f"{out}: a report is written as HTML; give a name that ends in .html")
    if perturbed is None and not features and not len(cells):
        raise ExportError("say what to report: perturbed wells (--perturbed QUERY), features or cells")
    made = _Report(run, controls, perturbed, plate, cancel)
    shown = [int(f) for f in features] if features is not None else made.leading(top) if perturbed is not None else []
    if words and perturbed is not None:
        made.name(shown)
    pages = []
    for done, feature in enumerate(shown):
        check_cancelled(cancel)
        if progress is not None:
            progress(Progress("report", done, len(shown) + len(cells), f"feature {feature}"))
        pages.append(made.page(feature))
    cards = []
    for done, cell in enumerate(cells):
        check_cancelled(cancel)
        if progress is not None:
            progress(Progress("report", len(shown) + done, len(shown) + len(cells), f"cell {cell}"))
        cards.append(made.card(int(cell)))
    html = made.render(pages, cards, whole=whole)
    with written_whole(out) as part:
        part.write_text(html, encoding="utf-8")
    if progress is not None:
        progress(Progress("report", len(shown) + len(cells), len(shown) + len(cells)))
    return out


class _Report:
    """What a report is made of."""

    def __init__(
        self, run: Any, controls: Any, perturbed: Any, plate: Plate | None, cancel: CancelCallback | None
    ) -> None:
        from napari_phenolens.analysis import compare
        from napari_phenolens.export.gallery import plate_looks

        self.run, self.controls, self.perturbed, self.cancel = run, controls, perturbed, cancel
        self.table = None if perturbed is None else compare(run, controls=controls, perturbed=perturbed)
        self.about: dict[str, Any] = {} if self.table is None else {str(k): v for k, v in self.table.attrs.items()}
        self.warnings = list(self.about.get("warnings", ()))
        if getattr(run, "provisional", False):
            self.warnings.insert(0, "This run is provisional: a first pass over part of the fields.")
        self.says: dict[int, str] = {}
        self.plate, self.looks = plate, {}
        try:
            self.plate = plate if plate is not None else run.plate()
            self.looks = plate_looks(self.plate, list(run.controls))
        except (PhenoLensError, OSError) as error:
            self.plate = None
            self.warnings.append(f"No pictures of cells: {error}")
        self._reference: Any = None
        self._told: Any = None

    @property
    def ranked(self) -> pd.DataFrame:
        """The rows of features."""
        if self.table is None:
            return pd.DataFrame()
        return self.table[self.table["type"] == "feature"]

    def leading(self, top: int) -> list[int]:
        """Choose the leading feature of each of the first groups; a feature in none stands for itself."""
        ranked = self.ranked
        group = ranked["group"].astype(object).where(ranked["group"].notna(), None)
        seen: set[Any] = set()
        chosen = []
        for feature, number in zip(ranked.index, group, strict=True):
            if number is None or number not in seen:
                chosen.append(int(feature))
                seen.add(number)
            if len(chosen) == top:
                break
        return chosen

    def name(self, features: Sequence[int]) -> None:
        """Find what features go with."""
        from napari_phenolens.analysis import concepts

        try:
            found = concepts(self.run, list(features), controls=self.controls, perturbed=self.perturbed)
        except AnalysisError as error:
            self.warnings.append(f"Features are not put into words: {error}")
            return
        self.says = {int(feature): str(text) for feature, text in found.attrs["labels"].items() if text}

    def title_of(self, feature: int) -> str:
        """Name a feature."""
        given = str(self.run.annotations.names().get(feature, "") or "")
        return f"F{feature}" + (f": {given}" if given else "")

    def page(self, feature: int) -> dict[str, Any]:
        """Gather the page of a feature."""
        from napari_phenolens.analysis.places import check_feature

        feature = check_feature(self.run, feature)
        notes: list[str] = []
        figures = [self._map(feature, "Its mean activation in every well")]
        dose = self._dose(feature, notes)
        return {
            "anchor": f"F{feature}", "title": self.title_of(feature), "words": self._words(feature), "notes": notes,
            "gallery": self._gallery(feature, notes), "figures": figures + dose,
        }  # fmt: skip

    def _words(self, feature: int) -> str:
        parts = [self.says[feature].rstrip(".") + "." if feature in self.says else ""]
        ranked = self.ranked
        if feature in ranked.index:
            row = ranked.loc[feature]
            parts.append(
                f"Effect {row['effect']:+.1f} [{row['effect_low']:.1f}, {row['effect_high']:.1f}], "
                f"AUROC {row['auroc']:.2f}"
                + (f", q {row['q']:.2g}" if np.isfinite(row["q"]) else "")
                + f"; active in {row['density']:.1%} of the foreground."
            )
            if row["technical"] != "no":
                parts.append(f"Technical: {row['technical']}" + (f" ({row['nuisance']})." if row["nuisance"] else "."))
            if bool(row["count_linked"]):
                parts.append("It goes with the number of cells.")
        return " ".join(part for part in parts if part)

    def _map(self, by: Any, caption: str) -> dict[str, str]:
        from napari_phenolens.export.plate_figure import plate_map

        made = plate_map(self.run, by, controls=self.controls, perturbed=self.perturbed)
        return {"svg": made.drawing().svg(), "caption": caption}

    def _dose(self, feature: int, notes: list[str]) -> list[dict[str, str]]:
        from napari_phenolens.analysis import dose_curves
        from napari_phenolens.export.dose_figure import dose_figure

        try:
            table = dose_curves(self.run, feature)
        except AnalysisError:
            return []  # a plate without doses
        if not len(table):
            return []
        notes += [f"{name}: no EC50, {row['reason']}." for name, row in table.iterrows() if row["reason"]]
        return [{"svg": dose_figure(table).svg(), "caption": "Its dose-response; a point is a well"}]

    def _gallery(self, feature: int, notes: list[str]) -> str:
        from napari_phenolens.analysis import gallery
        from napari_phenolens.export.gallery import gallery_picture

        if self.plate is None:
            return ""
        try:
            crops = gallery(self.run, feature, EXAMPLES, plate=self.plate, cancel=self.cancel)
        except (AnalysisError, ExportError) as error:
            notes.append(f"No examples: {error}")
            return ""
        if not crops:
            notes.append("The feature is active nowhere.")
            return ""
        roles = {w: "control" for w in self.about.get("controls", ())} | {
            w: "perturbed" for w in self.about.get("perturbed", ())
        }
        return base64.b64encode(gallery_picture(crops, self.looks, roles=roles)).decode()

    def looked(self) -> Any:
        """Tell once what cells look like; None without a second side."""
        from napari_phenolens.analysis import looks

        if self._told is None and self.perturbed is not None:
            self._told = looks(self.run, self.controls, self.perturbed, cancel=self.cancel)
        return self._told

    def responders(self) -> dict[str, Any] | None:
        """Gather how many cells respond; None where no cells are stored, or they cannot be told apart."""
        from napari_phenolens.analysis import subpopulations

        if not self.run.has_cells:
            return None
        try:
            found = subpopulations(self.run, self.controls, self.perturbed, found=self.looked(), cancel=self.cancel)
        except AnalysisError as error:
            self.warnings.append(f"Responders and escapers are not counted: {error}")
            return None
        caption = "Share of the cells that still look like control"
        return {
            "words": responders_words(found), "table": responders_table(found),
            "map": self._map(found.well_values(), caption),
        }  # fmt: skip

    def card(self, cell: int) -> dict[str, Any]:
        """Gather the card of a cell, with pictures of it and of its nearest cells."""
        from napari_phenolens.analysis import cell_card, cell_crops, cell_reference

        if self._reference is None:
            self._reference = cell_reference(
                self.run, self.controls, self.perturbed, looks=self.looked(), cancel=self.cancel
            )
        found = cell_card(self._reference, cell)
        picture = ""
        if self.plate is not None:
            own = self._reference.cells.iloc[[cell]]
            near = pd.concat([own, *found.neighbours.values()])
            crops = cell_crops(self.run, near, plate=self.plate, cancel=self.cancel)
            sides = {c: side for side, table in found.neighbours.items() for c in table.index}
            picture = base64.b64encode(cell_picture(crops, self.looks, sides)).decode()
        return {
            "anchor": f"cell-{cell}", "title": f"{found.well}, field {found.field}, cell {found.label}",
            "text": found.text(), "picture": picture,
            "caption": "The cell (left), and the nearest cells of control and of perturbed wells by their codes",
        }  # fmt: skip

    def render(self, pages: list[dict[str, Any]], cards: list[dict[str, Any]], *, whole: bool) -> str:
        """Write the HTML."""
        import jinja2

        from napari_phenolens import __version__
        from napari_phenolens.analysis import how_tested

        text = files("napari_phenolens.export").joinpath("report.html").read_text(encoding="utf-8")
        template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
        compared = self.table is not None
        full = whole and compared
        features = self._features({page["anchor"] for page in pages}) if full else None
        responders = self.responders() if full else None
        contents = [("plate", "Plate"), ("features", "Features")] if full else []
        contents += [("responders", "Responders")] if responders else []
        contents += [("pages", "Leading features")] if pages else []
        contents += [("cells", "Cells")] if cards else []
        contents += [("tested", "How it was tested")] if compared else []
        sides = ""
        if compared:
            n0, n1 = self.about["n_controls"], self.about["n_perturbed"]
            sides = f"{n1} perturbed against {n0} control wells ({self.perturbed}). "
        maps = [
            self._map("role", "Roles of the wells"), self._map("cell_count", "Nuclei found in every well"),
        ] if full else []  # fmt: skip
        return template.render(
            title=f"{self.run.plate_name}: what the model sees",
            subtitle=f"{sides}Written {datetime.now():%Y-%m-%d} by napari-phenolens {__version__}.",
            version=__version__, contents=[*contents, ("methods", "Methods")], warnings=self.warnings, maps=maps,
            responders=responders, features=features, covariates=self._covariates() if full else None, pages=pages,
            pages_title="The leading feature of each group" if full else "Features", cells=cards,
            tested=how_tested(self.about) if compared else [],
            methods=methods_paragraph(self.run, self.about if compared else None), citations=CITATIONS,
            parameters=json.dumps(plain(lens_summary(self.run.lens)), indent=2, ensure_ascii=False, default=str),
        )  # fmt: skip

    def _features(self, anchors: set[str]) -> dict[str, Any]:
        ranked = self.ranked
        table = ranked.head(MOST_ROWS).reset_index()
        table["nuisance"] = table["nuisance"].where(table["technical"] == "yes", "")
        table["says"] = [self.says.get(int(f), "") for f in table["feature"]]
        words = "Ranked by the size of the effect. Click a heading to sort. "
        if len(ranked) > MOST_ROWS:
            words += f"The first {MOST_ROWS:,} of {len(ranked):,} features; the table of `phenolens compare` has all."
        return table_rows(table, words, anchors)

    def _covariates(self) -> dict[str, Any] | None:
        assert self.table is not None
        rows = self.table[self.table["type"] == "covariate"].reset_index(names="measurement")
        return table_rows(rows, "", set()) if len(rows) else None
