"""Bronze to silver in local PySpark, set up as its manuals say for one machine.

python -m bench.batch.spark_peer loans.csv workdir      (needs the `spark` extra and Java 17)
"""

from __future__ import annotations

import sys
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from bench.batch import work
from bench.batch.measure import stages


def main(csv: Path, folder: Path) -> None:
    clock = stages()
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "8g")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.sql.ansi.enabled", "false")
        .config("spark.sql.parquet.compression.codec", "zstd")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.legacy.timeParserPolicy", "CORRECTED")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    clock("start")
    columns = work.typed("to_date(nullif(trim({0}), ''), 'MMM-yyyy')", "try_cast({0} as {1})")
    raw = spark.read.csv(str(csv), header=True, mode="DROPMALFORMED")
    parsed = raw.select(
        *[F.expr(e).alias(n) for n, e in columns.items()], *[F.col(n).alias(f"raw_{n}") for n in columns]
    )
    unparsed = " or ".join(
        f"({name} is null and nullif(trim(raw_{name}), '') is not null)"
        for name in columns if name not in work.TEXT
    )  # fmt: skip
    missing = " or ".join(f"{name} is null" for name in work.REQUIRED)
    bad = f"coalesce({unparsed} or {missing}, true)"
    parsed.where(f"not {bad}").select(*columns).write.mode("overwrite").parquet(str(folder / "bronze"))
    parsed.where(bad).write.mode("overwrite").parquet(str(folder / "rejects"))
    clock("bronze")
    features = [F.expr(f"cast({sql} as float)").alias(name) for name, sql in work.FEATURES.items()]
    bronze = spark.read.parquet(str(folder / "bronze"))
    bronze.select("id", "issue_d", F.expr(work.LABEL).alias("is_bad"), *features).write.mode("overwrite").parquet(
        str(folder / "silver")
    )
    clock("silver")
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
