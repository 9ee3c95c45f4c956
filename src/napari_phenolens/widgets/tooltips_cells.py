"""What the controls of cells and of words say, see `tooltips`."""

from __future__ import annotations

CELL_TIPS: dict[str, tuple[str, str]] = {
    "cell.find": (
        "Find the cells",
        "Find the cells of all fields and store them with the run. Runs in the background and can be cancelled;\n"
        "what was found is kept, and the same button goes on from there.",
    ),
    "cell.source": (
        "Where cells come from",
        "The built-in segmentation; a Labels layer of yours (Cellpose, StarDist, micro-sam, drawn by hand) for the\n"
        "field on show; or a folder of label files for all fields.",
    ),
    "cell.layer": ("Labels layer", "The layer that holds the cells of the field on show; 0 is background."),
    "cell.folder": (
        "Folder of label files",
        "A label image (TIFF or PNG) for each field, named as its image (B07_f1_DNA_cp_masks.tif) or B07_1.tif.",
    ),
    "cell.browse": ("Choose the folder", "Choose the folder of the label files."),
    "cell.nuclear": ("Nuclei in", "The channel in which nuclei are found; every cell grows from one."),
    "cell.reach": (
        "Reach",
        "Pixels from a nucleus that a cell may reach; as far as the model's foreground where it says automatic.\n"
        "One number for the whole plate: a reach that followed each field's nuclei would follow the drug.",
    ),
    "cell.cytoplasm": (
        "Parted by",
        "Channels whose edges part cells that touch. None: the nearer nucleus wins.",
    ),
    "cell.stiffness": ("Stiffness", "What nearness counts against edges: 0 edges alone, 10 nearly distance alone."),
    "cell.smooth": ("Smoothing", "Sigma in pixels of the smoothing before edges."),
    "cell.by_stain": (
        "End cells at the stain",
        "End cells where none of these channels is above the control wells' background. A treatment that moves the\n"
        "stain then moves the outlines too: only for stains that fill the cell under every treatment.",
    ),
    "cell.preview": (
        "Preview",
        "Find the cells of the field on show with these settings and outline them, anew with every change.\n"
        "Nothing is stored; the layer goes when the preview ends.",
    ),
    "cell.replace": (
        "Replace",
        "Put the cells found now in the place of those that are stored. Without it, other settings are refused.",
    ),
    "cell.cancel": ("Cancel", "Stop; what was found is kept."),
    "cell.count": (
        "Count",
        "Call every cell a responder or an escaper (it still looks like control) by models that never saw its well,\n"
        "take off the share of control cells that is so called falsely, and colour the wells.",
    ),
    "cell.count_in": (
        "Count in",
        "All wells with cells that are neither controls nor excluded, or those alone that are compared.",
    ),
    "cell.paint": ("Show in the picture", "Outline the cells of the field on show in the colour of their state."),
    "cell.colour": ("Colour the wells", "Colour the plate map by the share of escapers."),
    "cell.wells": ("Wells", "Every well's share of escapers with its 95 % interval. Click a row to show the well."),
    "cell.way": (
        "Which cells",
        "Cells whose middle lies in a region that you draw on the field on show; cells that meet a condition; or the\n"
        "quarter of the cells with most of a measured concept against the quarter with least.",
    ),
    "cell.gate": (
        "Condition",
        "Over what is known of the cells, such as: area_nucleus > 300 and well == 'B07'. Names come as you type.",
    ),
    "cell.against": (
        "Against",
        "Which cells to hold them against, as a condition; empty: all others (with a region: of the same field).",
    ),
    "cell.draw": ("Draw a region", "Draw round cells on the field on show, in a layer of its own."),
    "cell.tell": ("Find the features", "Find the features that tell these cells from the others."),
    "cell.telling": ("Features that tell them apart", "The most telling first. Click a row to see one over the cells."),
    "words.find": (
        "Find words",
        "Test every feature against all that was measured of cells and wells and against the plate map.\n"
        "Once for a run: the words are kept with it.",
    ),
    "words.accept": (
        "Use as name",
        "Take these words for the feature's name; change it as you like. Ctrl+Z takes it back.",
    ),
    "words.table": (
        "Concepts",
        "What goes with this feature, the strongest first: first how cells look, then treatments.",
    ),
    "cell.back": ("Lower rank", "Go to the cell of the next lower rank (key B)."),
    "cell.forward": ("Higher rank", "Go to the cell of the next higher rank (key N); from none, to the highest."),
    "cell.order": (
        "Walk by",
        "What ranks the cells: how perturbed a model that never saw their well finds them, or the chosen feature.",
    ),
    "cell.scope": ("Walk in", "Walk over the cells of all wells, or of the well on show."),
    "cell.keep": ("Keep", "Keep this cell for the report; press again to let it go."),
    "cell.copy": ("Copy as text", "Copy all that is said of this cell."),
    "cell.report": (
        "Report",
        "Write the cards of the kept cells (else of this one) as a web page with their pictures.",
    ),
    "cell.features": (
        "Features of the cell",
        "The leading features of this cell. Click a row to see one over the cells.",
    ),
    "cell.missing": ("Missing features", "What most control cells have and this one lacks. Click a row to see one."),
    "cell.likes": (
        "Similar cells",
        "The cells with the most similar codes, all cells looked at. Click one to go there.",
    ),
}
