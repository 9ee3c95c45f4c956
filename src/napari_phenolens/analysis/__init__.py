"""From runs to tables: comparisons, heatmaps, explanations. Knows neither napari nor Qt nor torch."""

from __future__ import annotations

from napari_phenolens.analysis.blocks import block_table, blocks
from napari_phenolens.analysis.bootstrap import Interval, bootstrap_wells, percentile_interval, resample_weights
from napari_phenolens.analysis.card import CellCard, cell_card, with_tokens
from napari_phenolens.analysis.cell_crops import CellCrop, cell_crops
from napari_phenolens.analysis.cell_reference import CellReference, cell_reference
from napari_phenolens.analysis.compare import compare
from napari_phenolens.analysis.concepts import concepts
from napari_phenolens.analysis.contrast import Design
from napari_phenolens.analysis.contributions import contribution_channels, contributions
from napari_phenolens.analysis.distinguish import distinguish
from napari_phenolens.analysis.distributions import distribution
from napari_phenolens.analysis.dose import DoseResponse, dose_response, shift_share
from napari_phenolens.analysis.dose_curve import dose_curves, say_dose
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.explain import explain
from napari_phenolens.analysis.family import family
from napari_phenolens.analysis.gallery import Crop, gallery
from napari_phenolens.analysis.heatmap import Heatmap, heatmap
from napari_phenolens.analysis.histogram import feature_histogram
from napari_phenolens.analysis.kept_concepts import kept_concepts
from napari_phenolens.analysis.lens_comparison import LensComparison, compare_lenses
from napari_phenolens.analysis.lens_report import DictionaryReport, dictionary_report
from napari_phenolens.analysis.looks import Looks, looks
from napari_phenolens.analysis.metrics import METRICS, Metric
from napari_phenolens.analysis.phenotype import Phenotype, phenotype
from napari_phenolens.analysis.position import tile_position_share
from napari_phenolens.analysis.position_effects import position_effects
from napari_phenolens.analysis.regions import region_features
from napari_phenolens.analysis.similar import ActivitySample, activity_sample, similar_features
from napari_phenolens.analysis.split_half import (
    SplitHalf,
    Transfer,
    separate_many,
    separation,
    split_half,
    split_values,
    transfer,
)
from napari_phenolens.analysis.subpopulations import Subpopulations, subpopulations
from napari_phenolens.analysis.tested import how_tested, withhold_p
from napari_phenolens.analysis.treatment_selectivity import treatment_selectivity
from napari_phenolens.analysis.well_values import WellValues, well_values

__all__ = [
    "METRICS",
    "ActivitySample",
    "AnalysisError",
    "CellCard",
    "CellCrop",
    "CellReference",
    "Crop",
    "Design",
    "DictionaryReport",
    "DoseResponse",
    "Heatmap",
    "Interval",
    "LensComparison",
    "Looks",
    "Metric",
    "Phenotype",
    "SplitHalf",
    "Subpopulations",
    "Transfer",
    "WellValues",
    "activity_sample",
    "block_table",
    "blocks",
    "bootstrap_wells",
    "cell_card",
    "cell_crops",
    "cell_reference",
    "compare",
    "compare_lenses",
    "concepts",
    "contribution_channels",
    "contributions",
    "dictionary_report",
    "distinguish",
    "distribution",
    "dose_curves",
    "dose_response",
    "explain",
    "family",
    "feature_histogram",
    "gallery",
    "heatmap",
    "how_tested",
    "kept_concepts",
    "looks",
    "percentile_interval",
    "phenotype",
    "position_effects",
    "region_features",
    "resample_weights",
    "say_dose",
    "separate_many",
    "separation",
    "shift_share",
    "similar_features",
    "split_half",
    "split_values",
    "subpopulations",
    "tile_position_share",
    "transfer",
    "treatment_selectivity",
    "well_values",
    "with_tokens",
    "withhold_p",
]
