"""The stamp that says how new the page is, and the look-out for newer data."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from credit_risk_platform.dashboard import lake


def stamp(seconds: int) -> None:
    """Draw when the data was written; look every `seconds` (0: never) and draw the page anew when there is newer.

    A look costs the catalog one lookup by key; queries run again only when somebody has written.
    """
    shown = lake.snapshot()

    @st.fragment(run_every=seconds or None)
    def watch() -> None:
        now = lake.state()
        if now.snapshot != shown:
            st.rerun(scope="app")
        written = now.committed_at.strftime("%Y-%m-%d %H:%M:%S")
        looked = f", looked at {datetime.now(UTC):%H:%M:%S}" if seconds else ""
        st.caption(f"Data of {written} UTC (snapshot {now.snapshot}){looked}")

    watch()
