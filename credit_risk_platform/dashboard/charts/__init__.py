"""Figures: pure functions from Arrow rows to a Plotly figure. No SQL, no Streamlit, no clock."""
