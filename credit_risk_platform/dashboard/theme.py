"""Looks: the colours of bands, stages and statuses, and what all figures share."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import plotly.io as pio
import streamlit as st

INK, MUTED, GRID = "#1f2937", "#6b7280", "#e5e7eb"
ACCENT, TARGET, IMMATURE = "#2563eb", "#b91c1c", "#9ca3af"
COLOURS = {
    # risk bands: from green to red, and told apart by lightness too
    "Very Low": "#15803d",
    "Low": "#84b547",
    "Medium": "#f2c14e",
    "High": "#e8743b",
    "Very High": "#b3261e",
    "Not scored": "#b8bec7",
    # stages of IFRS 9
    "Stage 1": "#4c9f70",
    "Stage 2": "#f2c14e",
    "Stage 3": "#b3261e",
    # status of a loan
    "Current": "#2563eb",
    "In Arrears": "#f2a541",
    "Default": "#b3261e",
    "Charged Off": "#5b1a18",
    "Closed": "#9ca3af",
    # what the policy decides
    "approve": "#15803d",
    "refer": "#f2a541",
    "decline": "#b3261e",
    # lights
    "green": "#15803d",
    "amber": "#f2a541",
    "red": "#b3261e",
}
BANDS = ("Very Low", "Low", "Medium", "High", "Very High", "Not scored")
"""From good to bad: the order in which charts and filters name them."""
SERIES = ("#2563eb", "#e8743b", "#15803d", "#8b5cf6", "#0e7490", "#b3261e", "#a16207", "#64748b")
CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
    "responsive": True,
}
"""Of `st.plotly_chart(config=...)`: zoom, pan and picture stay."""
CSS = """<style>
.stMainBlockContainer { padding-top: 3.5rem; padding-bottom: 2rem; }
@media (max-width: 640px) { .stMainBlockContainer { padding-left: 0.75rem; padding-right: 0.75rem; } }
</style>"""
"""Less empty space around the page than Streamlit leaves."""
FONT = "Source Sans, Source Sans Pro, sans-serif"


def draw_plainly() -> None:
    """No template for figures: Plotly would copy and check one of 7 kB into each of them, half a page's time.

    For this whole process, so the script asks for it, and nobody who merely imports this module gets it.
    """
    pio.templates.default = None


def apply(figure: go.Figure, *, height: int = 320, legend: bool = True) -> go.Figure:
    """The shared looks on a figure that is otherwise ready; returns the same figure.

    The legend lies below the plot, where a phone has room for it. A title belongs above the chart, in the page.
    """
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 12, "b": 8},
        font={"family": FONT, "size": 13, "color": INK},
        colorway=list(SERIES),
        showlegend=legend,
        legend={
            "traceorder": "normal",
            "orientation": "h",
            "yanchor": "top",
            "y": -0.18,
            "xanchor": "left",
            "x": 0,
            "title": None,
        },
        hoverlabel={"font": {"family": FONT, "size": 13}},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode="zoom",
        separators=".,",
    )
    figure.update_xaxes(gridcolor=GRID, linecolor=GRID, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=GRID, linecolor=GRID, zeroline=False, automargin=True)
    return figure


def chart(figure: go.Figure, **more: Any) -> Any:
    """`st.plotly_chart` as all pages call it: our looks, not Streamlit's, as wide as its place."""
    return st.plotly_chart(figure, width="stretch", theme=None, config=CONFIG, **more)
