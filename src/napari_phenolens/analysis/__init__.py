"""From runs to tables: comparisons, heatmaps, explanations. Knows neither napari nor Qt nor torch."""

from __future__ import annotations

from napari_phenolens.analysis.blocks import block_table, blocks
from napari_phenolens.analysis.bootstrap import Interval, bootstrap_wells, percentile_interval, resample_weights
from napari_phenolens.analysis.compare import compare
from napari_phenolens.analysis.contrast import Design
from napari_phenolens.analysis.contributions import contribution_channels, contributions
from napari_phenolens.analysis.dose import DoseResponse, dose_response, shift_share
from napari_phenolens.analysis.errors import AnalysisError
from napari_phenolens.analysis.explain import explain
from napari_phenolens.analysis.gallery import Crop, gallery
from napari_phenolens.analysis.heatmap import Heatmap, heatmap
from napari_phenolens.analysis.histogram import feature_histogram
from napari_phenolens.analysis.phenotype import Phenotype, phenotype
from napari_phenolens.analysis.position import tile_position_share
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
from napari_phenolens.analysis.well_values import WellValues, well_values

__all__ = [
    "ActivitySample",
    "AnalysisError",
    "Crop",
    "Design",
    "DoseResponse",
    "Heatmap",
    "Interval",
    "Phenotype",
    "SplitHalf",
    "Transfer",
    "WellValues",
    "activity_sample",
    "block_table",
    "blocks",
    "bootstrap_wells",
    "compare",
    "contribution_channels",
    "contributions",
    "dose_response",
    "explain",
    "feature_histogram",
    "gallery",
    "heatmap",
    "percentile_interval",
    "phenotype",
    "resample_weights",
    "separate_many",
    "separation",
    "shift_share",
    "similar_features",
    "split_half",
    "split_values",
    "tile_position_share",
    "transfer",
    "well_values",
]
