"""The floor: the same flow as a bare DuckDB + scikit-learn + XGBoost script. No Dagster, no dbt, no lineage, no ledger.

python -m bench.batch.floor loans.csv workdir
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import numpy as np
import xgboost as xgb
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from bench.batch import work
from bench.batch.measure import stages


def main(csv: Path, folder: Path) -> None:
    clock = stages()
    con = duckdb.connect()
    con.execute(f"set temp_directory='{folder}/spill'")
    bronze, silver = folder / "bronze.parquet", folder / "silver.parquet"
    land(con, csv, bronze, folder / "rejects.parquet")
    clock("bronze")
    features = ", ".join(f"cast({sql} as float) as {name}" for name, sql in work.FEATURES.items())
    con.execute(
        f"copy (select id, issue_d, {work.LABEL} as is_bad, {features} from '{bronze}') "
        f"to '{silver}' (format parquet, compression zstd)"
    )
    clock("silver")
    matrix, label, issued = fetch(con, silver)
    clock("fetch")
    models = train(matrix, label, issued)
    clock("train")
    score(con, models["xgboost"], silver, folder / "scores.parquet")
    clock("score")


def land(con: duckdb.DuckDBPyConnection, csv: Path, bronze: Path, rejects: Path) -> None:
    columns = work.typed("try_strptime(nullif(trim({0}), ''), '%b-%Y')::date", "try_cast({0} as {1})")
    select = ", ".join(f"{expression} as {name}" for name, expression in columns.items())
    unparsed = " or ".join(
        f"({name} is null and nullif(trim(raw_{name}), '') is not null)"
        for name in columns if name not in work.TEXT
    )  # fmt: skip
    missing = " or ".join(f"{name} is null" for name in work.REQUIRED)
    raws = ", ".join(f"{name} as raw_{name}" for name in columns if name not in work.TEXT)
    con.execute(
        f"create temp view parsed as select {select}, {raws} from "
        f"read_csv('{csv}', all_varchar=true, header=true, ignore_errors=true)"
    )
    names = ", ".join(columns)
    con.execute(
        f"create temp table staged as select {names}, coalesce({unparsed} or {missing}, true) as bad from "
        f"(select {select}, {raws} from read_csv('{csv}', all_varchar=true, header=true, ignore_errors=true))"
    )
    parquet = "(format parquet, compression zstd)"
    con.execute(f"copy (select {names} from staged where not bad) to '{bronze}' {parquet}")
    con.execute(f"copy (select {names} from staged where bad) to '{rejects}' {parquet}")
    con.execute("drop table staged")


def fetch(con: duckdb.DuckDBPyConnection, silver: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    arrays = con.execute(f"select issue_d, is_bad, {', '.join(work.FEATURES)} from '{silver}'").fetchnumpy()
    matrix = np.column_stack(
        [np.ma.filled(np.ma.asarray(arrays[name], dtype=np.float32), np.nan) for name in work.FEATURES]
    )
    return matrix, np.asarray(arrays["is_bad"]), np.asarray(arrays["issue_d"], dtype="datetime64[M]")


def train(matrix: np.ndarray, label: np.ndarray, issued: np.ndarray) -> dict[str, object]:
    cut = np.quantile(issued.astype(int), [0.65, 1 - work.OUT_OF_TIME_SHARE])
    fit, stop = issued.astype(int) <= cut[0], (issued.astype(int) > cut[0]) & (issued.astype(int) <= cut[1])
    filled = np.nan_to_num(matrix[fit])
    scaler = StandardScaler().fit(filled)
    logistic = LogisticRegression(max_iter=200).fit(scaler.transform(filled), label[fit])
    booster = xgb.XGBClassifier(**work.XGBOOST)
    booster.fit(matrix[fit], label[fit], eval_set=[(matrix[stop], label[stop])], verbose=False)
    return {"logistic_regression": logistic, "xgboost": booster}


def score(con: duckdb.DuckDBPyConnection, model: xgb.XGBClassifier, silver: Path, out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    reader = con.execute(f"select id, {', '.join(work.FEATURES)} from '{silver}'").to_arrow_reader(500_000)
    writer = None
    for batch in reader:
        rows = np.column_stack([batch[name].to_numpy(zero_copy_only=False) for name in work.FEATURES])
        scored = pa.table({"id": batch["id"], "pd": model.predict_proba(rows)[:, 1].astype(np.float64)})
        writer = writer or pq.ParquetWriter(out, scored.schema, compression="zstd")
        writer.write_table(scored)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
