"""What every control says when the mouse rests on it, and its name for screen readers, in one place."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from napari_phenolens.widgets.tooltips_cells import CELL_TIPS

# key: (name for screen readers, tooltip)
TIPS: dict[str, tuple[str, str]] = {
    "provisional": (
        "Provisional results",
        "The run is not whole: some wells are missing, or were looked at in part of their fields.\n"
        "All figures, ranks and colours here will change as the rest comes in.",
    ),
    "plate.open": (
        "Open a plate folder",
        "Open the folder of a plate: TIFFs whose names carry well and channel, or an OME-Zarr plate.\n"
        "You can also drag the folder onto this panel or onto the viewer.",
    ),
    "plate.map": (
        "Load a plate map",
        "A CSV with a row per well: what was done to it, which wells are controls.\n"
        "A single CSV in the plate's folder is found by itself.",
    ),
    "plate.sample": (
        "Open the demo plate",
        "Open a small synthetic plate with finished results. Needs no network and no GPU.",
    ),
    "plate.recent": (
        "Recent",
        "Plates, results and sessions that were open lately. What is gone is grey, with the reason.",
    ),
    "plate.session": (
        "Session",
        "Save all that is open and chosen in one small file, open it again, or copy what you see as a Python script.",
    ),
    "status.help": ("Help", "The way step by step, and all keys (key ?)."),
    "help.text": ("Help", "The way step by step, and all keys. The text can be selected and copied."),
    "plate.results": ("Open finished results", "Open the folder of a finished run (it holds run.json)."),
    "wells.map": (
        "Plate map",
        "Click a well to show it. Drag to select several: Ctrl adds (from a selected well: removes), Alt removes,\n"
        "Shift takes all up to the well. Click a row or column label to select it, the corner for all wells.\n"
        "Right click: wells with the same compound, mark, reset.\n"
        "Keys: arrows move, Shift extends, Enter shows, Space selects, Ctrl+A all, Escape none, Ctrl+Z takes back.",
    ),
    "wells.colour": (
        "Colour wells by",
        "What colours the wells: their role, the chosen feature, its phenotype, a covariate, or the plate map.\n"
        "The phenotype's score takes up to 50 features that go together with the chosen one (the column Group):\n"
        "0 is the mean of the control wells, 1 that of the perturbed wells. It is far steadier than one feature,\n"
        "but its features were chosen on these wells: their own scores are in-sample.",
    ),
    "wells.z": (
        "As z against controls",
        "Show the numbers in robust standard deviations (1.4826 MAD) of the control wells from their median.",
    ),
    "wells.save": ("Save the plate map", "Save the plate map as it is shown: picture (PNG, SVG) or table (CSV)."),
    "wells.large": (
        "Open large",
        "Open the plate map in a dock of its own at the bottom of the window: 1536 wells can be read there.\n"
        "Ctrl and the mouse wheel make them larger still.",
    ),
    "wells.view_field": ("One field", "Show one field of the well."),
    "wells.view_well": (
        "All fields of the well",
        "Show all fields of the well together, at their stage positions where the files state them, else in a grid.\n"
        "Click a field in the picture to see it alone.",
    ),
    "wells.view_plate": (
        "The whole plate",
        "Show every well of the plate as a thumbnail, one field a well, with the same contrast. The first time it is\n"
        "drawn in the background, then kept. Click a well in the picture to see it.",
    ),
    "wells.control": ("Mark as control", "Make the selected wells controls, over what the queries say."),
    "wells.perturbed": ("Mark as perturbed", "Make the selected wells perturbed, over what the queries say."),
    "wells.positive": ("Mark as positive control", "Make the selected wells positive controls: a known strong effect."),
    "wells.excluded": ("Exclude", "Leave the selected wells out of every comparison, for example bad images."),
    "wells.reset": (
        "Back to the queries",
        "Forget what was set by hand for the selected wells (for all, if none is selected).",
    ),
    "wells.previous": ("Previous well", "Show the previous well of the plate (key K)."),
    "wells.next": ("Next well", "Show the next well of the plate (key J)."),
    "wells.field": ("Field", "Which field (site) of the well is shown."),
    "roles.control": (
        "Control wells",
        "A query over the plate map's columns that picks the untreated wells, e.g. control_type == 'negcon'.\n"
        "Press the down key for suggestions. Well names work too: A01, B01.",
    ),
    "roles.perturbed": (
        "Perturbed wells",
        "A query that picks the wells to compare with the controls. Empty: every other well of the plate.",
    ),
    "roles.positive": (
        "Positive controls",
        "A query that picks wells with a known strong effect; optional. They are kept apart from the perturbed wells.",
    ),
    "roles.column": (
        "Column of the plate map",
        "Choose wells by what the plate map says of them: the column first, then one or several of its values.",
    ),
    "roles.values": (
        "Values of the column",
        "Tick the values wanted. What they pick is outlined in the plate map (step 2) at once; nothing changes before\n"
        "you press one of the buttons below.",
    ),
    "roles.as_control": ("Use as controls", "Make these wells the controls. Ctrl+Z takes it back."),
    "roles.as_perturbed": ("Use as perturbed", "Make these wells, and no others, the perturbed ones."),
    "roles.as_positive": ("Use as positive controls", "Make these wells the positive controls."),
    "roles.as_excluded": ("Exclude", "Leave these wells out of comparisons."),
    "roles.undo": ("Undo", "Take back the last step (Ctrl+Z): roles, selection, and what else can be undone."),
    "roles.redo": ("Redo", "Do again what was taken back (Ctrl+Shift+Z)."),
    "roles.excluded": ("Excluded wells", "A query for wells to leave out; empty excludes none."),
    "run.encoder": (
        "Model",
        "The foundation model that looks at the cells, the licence of its weights, and whether they are here.\n"
        "camae-micro comes with the plugin.",
    ),
    "run.get_weights": (
        "Get the weights",
        "Download the model's weights. Where their licence has to be accepted, it is shown first.",
    ),
    "run.weights_file": (
        "I have the file",
        "Choose a file of the model's weights that you have (safetensors, or a torch file with tensors alone).\n"
        "Nothing is downloaded then.",
    ),
    "licence.text": ("Text of the licence", "The licence as the hub has it, or where to read it."),
    "licence.accept": ("Accept and download", "Accept the licence, remember that, and download the weights."),
    "licence.decline": ("Decline", "Download nothing."),
    "run.out": ("Folder for results", "Where the results are put. A run that was stopped goes on there."),
    "run.browse": ("Choose the folder", "Choose the folder for the results."),
    "run.options": ("More options", "Settings that most plates do not need."),
    "run.atoms": (
        "Number of features",
        "How many features the dictionary learns. More split a phenotype into finer parts.",
    ),
    "run.block": (
        "Block of the model",
        "Which block's tokens are used. Blocks in the middle of a model often carry more biology than the last one.",
    ),
    "run.which_block": (
        "Which block?",
        "Find out which block tells the perturbed wells from the controls best: linear probes over all blocks, in one\n"
        "pass over these wells. Takes about as long as encoding them; can be cancelled.",
    ),
    "run.take_block": ("Use the suggested block", "Use the suggested block for the next run."),
    "run.rounds": (
        "Rounds",
        "Features are picked in this many rounds for each patch. More describe a patch more fully.",
    ),
    "run.per_round": ("Features per round", "Features picked in each round."),
    "run.channels": (
        "Channels",
        "DNA, GFP takes these channels alone. DNA=Channel2, GFP=Channel1 tells a lens from another plate\n"
        "which of this plate's channels is which. Empty: all, by their own names.",
    ),
    "run.unit": (
        "What the features are learnt on",
        "patch: every place has features (default). cell: means over each cell.\n"
        "crop: means over whole tiles, as in the paper; heatmaps are then coarse.",
    ),
    "run.method": (
        "Method",
        "How the features are learnt. Nested learns coarse features first and finer ones below them; the autoencoders "
        "are there to compare with.",
    ),
    "run.whitening": (
        "Whitening",
        "What is made of the control wells: by default the variation that is in every well anyway is evened out, so "
        "that a rare change is seen. Without it features are mostly about what all wells share.",
    ),
    "run.start_lens": (
        "Start from a lens",
        "A lens of the same model, block and channels: its features are learnt further on this plate.",
    ),
    "run.start_browse": ("Choose a lens to start from", "Choose a lens file to start from (lens.safetensors)."),
    "run.fit_on": (
        "Fit on these wells",
        "A query over the plate map (well < 'E') or well names (A01,A02); it must leave some control wells in. The "
        "other wells take no part in fitting and are only described: what is found in them was not learnt from them.",
    ),
    "run.device": ("Device", "Where the model runs; auto takes a GPU where there is one."),
    "run.lens": (
        "Lens file",
        "Apply a lens that was fitted before, so that features mean the same on both plates. Empty: fit one here.",
    ),
    "run.lens_browse": ("Choose a lens file", "Choose the lens file of an earlier run (lens.safetensors)."),
    "run.estimate": ("Estimate", "Say how long the run will take and how much disk it needs. Changes nothing."),
    "run.start": ("Run", "Run the model over the plate. Goes on where an earlier run was stopped."),
    "run.cancel": ("Cancel", "Stop. What was computed is kept, and the next run goes on from there."),
    "features.compare": ("Compare", "Rank all features by how strongly the perturbed wells differ from the controls."),
    "features.notes": ("All notes on this comparison", "What one must know before believing the table."),
    "features.search": (
        "Search features",
        "A number (17 or F17), a word (technical, group 3, starred), a piece of a name or note, or a condition:\n"
        " effect > 2, q < 0.05, density < 0.1.",
    ),
    "features.grouped": (
        "One row per phenotype",
        "One phenotype moves many features. Show the strongest feature of each group only; figures stay those of that\n"
        "one feature. The score of up to 50 features of a group is under 'Colour by' (step 2) and the kinds of\n"
        "heatmap (step 6).",
    ),
    "features.technical": (
        "Hide technical",
        "Hide features that follow the plate's layout (row, column, edge), not the cells.",
    ),
    "features.page": (
        "Feature's page",
        "Open a dock with all about the chosen feature: its best examples over the plate, features like it,\n"
        "its histogram in control and perturbed wells, its mean in every well.",
    ),
    "features.which": (
        "Features or covariates",
        "Covariates are plain measurements, such as cell count and intensity.",
    ),
    "features.table": (
        "Table of features",
        "Click a row to lay that feature over the cells. Keys: arrows walk, 1 to 3 choose the heatmap slot,\n"
        "* stars, F2 writes a name or a note (so does a double click on it). Right-hand columns: drag the bar below.",
    ),
    "features.export": ("Save the table", "Save the whole table as CSV, as it was computed."),
    "explain.cell": (
        "Explain the cell",
        "Open the dock of the clicked cell: its features among the control cells, what it looks like, its likes.",
    ),
    "page.former": ("Previous feature", "Go to the feature before this one in the ranking (keys Shift+N)."),
    "page.following": ("Next feature", "Go to the feature after this one in the ranking (key N)."),
    "page.star": ("Star", "Mark this feature as one to come back to; kept with the run."),
    "page.name": ("Name", "What you call this feature; kept with the run and shown in every table."),
    "page.note": ("Note", "Anything worth remembering about this feature; kept with the run."),
    "page.wells": (
        "Wells of the examples",
        "Where examples are taken from: the strongest places of all wells, of control wells or of perturbed wells.",
    ),
    "page.gallery": (
        "Examples",
        "The places where this feature is strongest, at most two a well, outlined where it is active; beside each a\n"
        "place of the same field without it. Colours and contrast are those on the canvas. Click one to go there.\n"
        "Keys: arrows walk, Enter goes.",
    ),
    "page.map": ("Well means", "This feature's mean activation in every well. Click a well to show it."),
    "page.similar": ("Similar features", "Click a row to go to that feature."),
    "page.family": (
        "Tree of features",
        "In a nested dictionary: the coarser features that this one goes with, and its finer ones. Click to go there.",
    ),
    "slots.fineness": (
        "Squares of a heatmap",
        "Finer heatmaps: the field is encoded again with shifted tiles when it is shown, 4 or 16 times as much work.\n"
        "Slow without a GPU, and the plate's files must be there. For now only; Preferences keep it.",
    ),
    "slots.kind": (
        "Kind of heatmap",
        "activation: where the feature is switched on.\n"
        "alignment: how much every place points along the feature, also against it; reads the cells again.\n"
        "phenotype: the score of up to 50 features that go together with it (the column Group). In the slot's colour\n"
        "where a place looks more as in perturbed wells, in the other colour where more as in controls.\n"
        "alignment by a channel: what that channel gives to the alignment; over all channels they add up to it.",
    ),
    "slots.show": ("Show in this slot", "Lay the feature chosen in the table over the cells in this colour."),
    "slots.clear": ("Clear this slot", "Take this heatmap off the cells."),
    "slots.opacity": ("Opacity of heatmaps", "How strongly the heatmaps cover the cells."),
    "slots.dim": (
        "Dim the cells under heatmaps",
        "Draw the cells darker while a heatmap lies over them, so that its colour is seen.",
    ),
    "slots.visible": ("Show heatmaps", "Show or hide all heatmaps (key H)."),
    "compare.toggle": (
        "Control beside perturbed",
        "Show a control well beside a perturbed well: same contrast, same heatmap limits (key Q).\n"
        "Press again to go back.",
    ),
    "compare.pairs": (
        "Pairs of wells",
        "So many control wells beside as many perturbed ones, a pair a row: the chosen first, then those nearest\n"
        "to their side's median. One well can be odd; several show what is common.",
    ),
    "compare.control": ("Control well", "The well on the left. 'typical' is the one nearest to its side's median."),
    "compare.perturbed": (
        "Perturbed well",
        "The well on the right. 'typical' is the one nearest to its side's median.",
    ),
    "compare.charts": (
        "Open the charts",
        "Volcano, ranked effects, wells and cells, dose-response, position on the plate, contrasts side by side:\n"
        "all linked with the table, the plate map and the images.",
    ),
    "charts.which": ("Chart", "Which chart is shown. Click a point in it to choose its feature or show its well."),
    "charts.save": ("Save the chart", "Save it as a picture (PNG, SVG; black on white), or its numbers as CSV."),
    "charts.how": (
        "How was this tested?",
        "The test of the comparison on show, what it assumes, the wells, the smallest p that they allow,\n"
        "and how many contrasts were tried on this run.",
    ),
    "charts.tested_text": ("How it was tested", "The text can be selected and copied."),
    "charts.of": (
        "What is spread",
        "wells: the replicates, a point each. fields, cells, patches: how the feature is spread within wells;\n"
        "they are no replicates and are never tested. Cells need cells stored with the run (phenolens cells).",
    ),
    "charts.value": (
        "Value",
        "The chosen feature's well means, the score of its phenotype (steadier, but in-sample on the wells that it\n"
        "was found in), or a plain measurement such as the cell count.",
    ),
    "charts.compound": ("Compound", "Whose dose series is drawn. Those with an EC50 come first."),
    "charts.dose_column": (
        "Column of doses",
        "The plate map's column of doses. Left alone, the column that is called dose, concentration, ... is taken,\n"
        "and the unit from a column such as concentration_unit.",
    ),
    "charts.compound_column": (
        "Column of compounds",
        "The plate map's column that names compounds. Left alone, the one called compound, drug, ... is taken.",
    ),
    "contrasts.list": (
        "Contrasts kept",
        "Every comparison made on this run since it was opened. Click one to show it in table and charts.",
    ),
    "contrasts.rename": ("Rename", "Call the chosen contrast otherwise. Can be undone."),
    "contrasts.remove": (
        "Remove",
        "Take the chosen contrast off the list. It stays counted among those tried. Can be undone.",
    ),
    "contrasts.by": (
        "How wells are chosen",
        "roles: as in step 3. plate map: two entries of one of its columns. selection: wells that you select on the\n"
        "plate map; selected after features were seen, such a contrast carries no p and no q.",
    ),
    "contrasts.go": ("Compare A with B", "Rank the features between both sides. The contrast is counted and kept."),
    "contrasts.column": ("Column", "The plate map's column whose entries make the sides."),
    "contrasts.control": ("Side A", "Wells with this entry are the reference (A)."),
    "contrasts.perturbed": ("Side B", "Wells with this entry are held against A."),
    "contrasts.take_a": ("Take selection as A", "The wells selected on the plate map become the reference (A)."),
    "contrasts.take_b": ("Take selection as B", "The wells selected on the plate map are held against A."),
    "contrasts.across": ("Across", "The contrast whose effects run from left to right."),
    "contrasts.up": ("Up", "The contrast whose effects run from bottom to top."),
    "explain.enabled": (
        "Explain on click",
        "A click on the cells lists the features of that place. Dragging still moves the picture (key G).",
    ),
    "explain.draw": (
        "Draw a region",
        "Draw round patches with the mouse held down; several regions of the field count as one. The layer Region has\n"
        "napari's tools for polygons, moving and deleting. A Shapes layer of your own that is chosen counts instead.",
    ),
    "explain.against": (
        "What the region is held against",
        "The other patches of this field, or patches of the control wells.",
    ),
    "explain.compare": (
        "Compare the region",
        "List the features that tell the region's patches from the others. It was drawn after looking, so there is no\n"
        "p and no q; the run counts it among the contrasts that were tried.",
    ),
    "explain.table": ("Features of the place", "Click a row to lay that feature over the cells."),
    "dictionary.column": (
        "Labels that features shall tell apart",
        "The plate map's column whose values good features tell apart, for example the compound.",
    ),
    "dictionary.tokens": (
        "Read tokens too",
        "Read what the model saw in 24 fields, for the figures of reconstruction. Quick where the tokens are stored;\n"
        "else the fields are encoded again, which takes some seconds each.",
    ),
    "dictionary.measure": ("Measure the features", "Measure what these features are worth. Can be cancelled."),
    "dictionary.figures": (
        "Figures of the dictionary",
        "What was measured of these features, by group; the right column says what chance alone would give.",
    ),
    "dictionary.save": (
        "Save the report",
        "Save the report as a page (HTML, Markdown) or as tables (CSV: all figures, and a row for every feature).",
    ),
    "status.dismiss": ("Dismiss", "Close this message."),
    "status.copy": ("Copy the message", "Copy the message and its details, for a report."),
    "status.cancel": ("Cancel", "Stop what is running. What was computed is kept."),
    "section": ("Fold or unfold", "Fold or unfold this part."),
    **CELL_TIPS,
}


def tip(widget: QWidget, key: str) -> QWidget:
    """Give a control its tooltip and its accessible name; returns the control."""
    name, text = TIPS[key]
    widget.setToolTip(text)
    widget.setAccessibleName(name)
    widget.setObjectName(key)
    return widget
