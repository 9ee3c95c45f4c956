"""The methods paragraph of a run: what was done with which numbers, and whom to cite."""

from __future__ import annotations

from typing import Any

CITATIONS = (
    "Donhauser K, Ulicna K, Moran GE, Ravuri A, Kenyon-Dean K, Eastwood C, Hartford J. Towards scientific discovery "
    "with dictionary learning: extracting biological concepts from microscopy foundation models. ICML 2025, PMLR 267 "
    "(ICFL, whitening with the controls).",
    "Ritchie ME et al. limma powers differential expression analyses for RNA-sequencing and microarray studies. "
    "Nucleic Acids Research 2015, 43:e47 (moderated variances).",
    "Benjamini Y, Hochberg Y. Controlling the false discovery rate. Journal of the Royal Statistical Society B 1995, "
    "57:289 (q).",
)
_WHITENING = {
    "none": "were not whitened",
    "center": "were centred on the control wells",
    "pca": "were whitened by a principal component analysis of the control wells",
    "tvn": "were standardised, rotated and standardised again on the control wells (typical variation normalisation)",
}
_METHODS = {
    "icfl": "iterative codebook feature learning (ICFL)",
    "nested": "nested iterative codebook feature learning",
    "topk": "a TopK sparse autoencoder",
    "batchtopk": "a BatchTopK sparse autoencoder",
    "mpsae": "a matching-pursuit sparse autoencoder",
}
_FOREGROUND = {
    "nuclei": "near segmented nuclei",
    "background": "brighter than the control wells' background",
    "none": "of the whole field",
}


def methods_paragraph(run: Any, compared: dict[str, Any] | None = None) -> str:
    """Write what was done, for a paper's methods section.

    Parameters
    ----------
    run : Run
        The run.
    compared : dict, optional
        ``attrs`` of `compare`'s table, to say how the sides were tested.

    Returns
    -------
    str
        A paragraph with every setting that decides the numbers.
    """
    from napari_phenolens import __version__

    lens = run.lens
    book, held_out = lens.dictionary, lens.facts.get("held_out", {})
    size = f"{lens.pixel_size:g} µm" if lens.pixel_size else "unknown size"
    fitted = ", ".join(lens.plates) or run.plate_name
    pooled = {"concat": "joined", "mean": "averaged"}.get(lens.channel_pooling, lens.channel_pooling)
    rule = lens.normalisation.rule
    scaled = {"plate": "control wells of the plate", "field": "pixels of each field", "lens": "fitted plate's numbers"}
    whitened = _WHITENING.get(lens.whitening.kind, f"were whitened ({lens.whitening.kind})")
    sentences = [
        f"Images of plate {run.plate_name} (channels {', '.join(lens.channels)}; pixels of {size}) were analysed with "
        f"napari-phenolens {__version__}.",
        f"Pixels were scaled by the {scaled.get(rule, rule)}.",
        f"Tiles of {lens.tile} px were encoded by {lens.encoder} (weights sha256 {str(lens.encoder_sha256)[:12]}), "
        f"block {lens.block}, patches of {lens.patch} px; a rim of {lens.margin} patches of each tile was dropped and "
        f"the tokens of the channels were {pooled}.",
        f"Tokens {whitened} "
        f"({len(lens.controls)} wells of {fitted}; {lens.whitening.n:,} tokens, {lens.whitening.p} components kept), "
        "centred by their place in the tile.",
        f"A dictionary of {lens.n_features:,} atoms was learnt on unit vectors of {lens.unit} tokens "
        f"{_FOREGROUND.get(lens.foreground.kind, lens.foreground.kind)} by {_METHODS.get(book.method, book.method)}, "
        f"{book.sparsity[0]} rounds of {book.sparsity[1]}, seed {book.seed}"
        + (f" (held-out cosine {held_out['cosine']:.2f})" if "cosine" in held_out else "")
        + ".",
    ]
    if lens.unit != "crop":
        sentences.append(f"The method was published for crops; {lens.unit} tokens are an extension of this software.")
    if compared is not None:
        n0, n1 = compared["n_controls"], compared["n_perturbed"]
        sentences.append(
            f"{n1} perturbed wells were compared with {n0} control wells, with the well as the unit: effects are "
            "differences of well means over moderated standard deviations, p values come from relabelling the wells "
            f"({compared['p_method']}), and q values from Benjamini and Hochberg's method over the features."
        )
    return " ".join(sentences)
