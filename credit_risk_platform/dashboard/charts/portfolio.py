"""Figures of the portfolio page: Arrow in, Plotly out. Nothing is computed here but what drawing needs."""

from __future__ import annotations

import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.dashboard import theme
from credit_risk_platform.dashboard.filters import purpose_words


def bands(rows: pa.Table) -> go.Figure:
    """`risk_band, loans, balance` -> shares of the open book."""
    names = rows["risk_band"].to_pylist()
    figure = go.Figure(
        go.Pie(
            labels=names,
            values=rows["loans"].to_pylist(),
            customdata=rows["balance"].cast(pa.float64()).to_pylist(),
            marker={"colors": [theme.COLOURS[name] for name in names], "line": {"color": "white", "width": 2}},
            hole=0.45,
            sort=False,
            direction="clockwise",
            texttemplate="%{percent:.1%}",
            insidetextorientation="horizontal",
            hovertemplate="%{label}: %{value:,} loans (%{percent})<br>balance %{customdata:,.0f}<extra></extra>",
        )
    )
    return theme.apply(figure)


def days_past_due(rows: pa.Table) -> go.Figure:
    """`bucket, loans, balance` in the order of the buckets -> bars, darker the later."""
    colours = ["#9cc5a1", "#f2d479", "#f2c14e", "#e8743b", "#c8442b", "#8f1d18", theme.COLOURS["Not scored"]]
    figure = go.Figure(
        go.Bar(
            x=rows["bucket"].to_pylist(),
            y=rows["loans"].to_pylist(),
            customdata=rows["balance"].cast(pa.float64()).to_pylist(),
            marker_color=colours[: rows.num_rows],
            text=[f"{loans:,}" for loans in rows["loans"].to_pylist()],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{x} days: %{y:,} loans<br>balance %{customdata:,.0f}<extra></extra>",
        )
    )
    theme.apply(figure, legend=False)
    figure.update_xaxes(title="days past due", type="category", showgrid=False)
    figure.update_yaxes(title="open loans")
    return figure


def growth(rows: pa.Table) -> go.Figure:
    """`month_end, balance, loans`, null where a month knows nothing -> the book's balance."""
    figure = go.Figure(
        go.Scatter(
            x=rows["month_end"].to_pylist(),
            y=rows["balance"].cast(pa.float64()).to_pylist(),
            customdata=rows["loans"].to_pylist(),
            mode="lines",
            line={"color": theme.ACCENT, "width": 2.5},
            fill="tozeroy",
            fillcolor="rgba(37, 99, 235, 0.10)",
            connectgaps=False,
            hovertemplate="%{x|%d %b %Y}: %{y:,.0f}<br>%{customdata:,} open loans<extra></extra>",
        )
    )
    theme.apply(figure, legend=False)
    figure.update_yaxes(title="balance at month end", rangemode="tozero")
    return figure


def default_trend(rows: pa.Table, target: float) -> go.Figure:
    """`month_end, default_rate, complete` -> the rate, the target, and a hatched end where months are not all known."""
    months, rates = rows["month_end"].to_pylist(), rows["default_rate"].to_pylist()
    complete = rows["complete"].to_pylist()
    known = [rate if done else None for rate, done in zip(rates, complete, strict=True)]
    # From the last complete month on, so that the two lines meet.
    rest = [
        rate if not done or (at + 1 < len(complete) and not complete[at + 1]) else None
        for at, (rate, done) in enumerate(zip(rates, complete, strict=True))
    ]
    hover = "%{x|%b %Y}: %{y:.2%}"
    figure = go.Figure(
        go.Scatter(x=months, y=known, name="12-month default rate", mode="lines+markers", connectgaps=False,
                   line={"color": theme.ACCENT, "width": 2.5}, marker={"size": 4},
                   hovertemplate=f"{hover}<extra></extra>")
    )  # fmt: skip
    if not all(complete):
        figure.add_scatter(
            x=months, y=rest, name="not all known yet", mode="lines+markers", connectgaps=False,
            line={"color": theme.IMMATURE, "width": 2, "dash": "dot"}, marker={"size": 7, "symbol": "circle-open"},
            fill="tozeroy",
            fillpattern={"shape": "/", "fgcolor": theme.IMMATURE, "bgcolor": "rgba(0,0,0,0)", "size": 8},
            hovertemplate=f"{hover}, not all known yet<extra></extra>",
        )  # fmt: skip
    if months:
        figure.add_scatter(
            x=[months[0], months[-1]], y=[target, target], name=f"target {target:.1%}", mode="lines",
            line={"color": theme.TARGET, "width": 1.5, "dash": "dash"}, hovertemplate="target %{y:.1%}<extra></extra>",
        )  # fmt: skip
    theme.apply(figure)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def histogram(rows: pa.Table, *, width: float, title: str, form: str) -> go.Figure:
    """`bin, risk_band, loans` -> bars of `width` from each bin's lower edge, stacked by risk band."""
    figure = go.Figure()
    span = f"%{{customdata[0]:{form}}} to %{{customdata[1]:{form}}}"
    for band in theme.BANDS:
        own = rows.filter(pc.equal(rows["risk_band"], band))
        if own.num_rows:
            lower = own["bin"].to_pylist()
            figure.add_bar(
                x=[edge + width / 2 for edge in lower],
                y=own["loans"].to_pylist(),
                width=width,
                customdata=[[edge, edge + width] for edge in lower],
                name=band,
                marker={"color": theme.COLOURS[band], "line": {"color": "white", "width": 0.5}},
                hovertemplate=f"{band}, {span}: %{{y:,}} loans<extra></extra>",
            )
    theme.apply(figure)
    figure.update_layout(barmode="stack", bargap=0)
    figure.update_xaxes(title=title, tickformat=form, title_standoff=4)
    figure.update_yaxes(title="open loans")
    return figure


def purposes(rows: pa.Table) -> go.Figure:
    """`purpose, amount, loans`, smallest first -> horizontal bars with the largest on top."""
    names = rows["purpose"].to_pylist()
    figure = go.Figure(
        go.Bar(
            x=rows["amount"].cast(pa.float64()).to_pylist(),
            y=[purpose_words(name) for name in names],
            customdata=[list(pair) for pair in zip(names, rows["loans"].to_pylist(), strict=True)],
            orientation="h",
            marker_color=theme.ACCENT,
            hovertemplate="%{y}: %{x:,.0f} lent<br>%{customdata[1]:,} open loans<extra></extra>",
        )
    )
    theme.apply(figure, legend=False)
    figure.update_xaxes(title="amount lent", rangemode="tozero")
    figure.update_yaxes(showgrid=False)
    return figure


def granted(rows: pa.Table) -> go.Figure:
    """`day, mean_pd, loans`, null on days without a loan -> mean PD of the loans granted; such days are gaps."""
    figure = go.Figure(
        go.Scatter(
            x=rows["day"].to_pylist(),
            y=rows["mean_pd"].to_pylist(),
            customdata=rows["loans"].to_pylist(),
            mode="lines+markers",
            connectgaps=False,
            line={"color": theme.ACCENT, "width": 2},
            marker={"size": 5},
            hovertemplate="%{x|%d %b %Y}: %{y:.2%}<br>%{customdata:,} loans granted<extra></extra>",
        )
    )
    theme.apply(figure, legend=False)
    figure.update_yaxes(title="mean PD", tickformat=".0%", rangemode="tozero")
    return figure
