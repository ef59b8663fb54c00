"""The peer's model, as MLflow's "model from code": our champion on features that are ready, in a pandas frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa

from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.models.frame import NUMERIC, FeatureTable
from credit_risk_platform.domain.scoring import predict


class Champion(mlflow.pyfunc.PythonModel):
    def load_context(self, context: Any) -> None:
        self.bundle = ModelBundle.from_bytes(Path(context.artifacts["bundle"]).read_bytes())

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[float]:
        columns = {
            one.name: pa.array(model_input[one.name].astype(float) if one.kind == NUMERIC else model_input[one.name],
                               pa.float64() if one.kind == NUMERIC else pa.string(), from_pandas=True)
            for one in self.bundle.features
        }  # fmt: skip
        return predict(self.bundle, FeatureTable.from_arrow(pa.table(columns), self.bundle.features)).tolist()


mlflow.models.set_model(Champion())
