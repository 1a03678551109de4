"""The Grafana dashboard: one row of panels for each question an operator asks."""

from __future__ import annotations

from typing import Any

_COLUMNS = 3
_WIDTH, _HEIGHT = 8, 8
_DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
_MODEL = '{model=~"$model"}'

_PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Requests a second, by version",
        "reqps",
        (
            (
                "{{model}}/{{version}} {{protocol}}",
                f"sum by (model, version, protocol) (rate(agiwb_requests_total{_MODEL}[5m]))",
            ),
        ),
    ),
    (
        "Requests not answered OK, by code",
        "reqps",
        (
            (
                "{{model}} {{code}}",
                'sum by (model, code) (rate(agiwb_requests_total{model=~"$model",code!="OK"}[5m]))',
            ),
        ),
    ),
    (
        "Latency",
        "s",
        tuple(
            (
                f"p{quantile * 100:g} {{{{model}}}}/{{{{version}}}}",
                (
                    f"histogram_quantile({quantile}, sum by (model, version, le) "
                    f"(rate(agiwb_request_seconds_bucket{_MODEL}[5m])))"
                ),
            )
            for quantile in (0.5, 0.95, 0.99)
        ),
    ),
    (
        "Time in the runtime, p99",
        "s",
        (
            (
                "{{model}}/{{version}}",
                (
                    "histogram_quantile(0.99, sum by (model, version, le) "
                    f"(rate(agiwb_runtime_seconds_bucket{_MODEL}[5m])))"
                ),
            ),
        ),
    ),
    (
        "Rows in a batch, mean",
        "short",
        (
            (
                "{{model}}",
                (
                    f"sum by (model) (rate(agiwb_batch_rows_sum{_MODEL}[5m]))"
                    f" / sum by (model) (rate(agiwb_batch_rows_count{_MODEL}[5m]))"
                ),
            ),
        ),
    ),
    (
        "Requests in flight, and refused a second",
        "short",
        (
            ("in flight", "sum(agiwb_requests_in_flight)"),
            ("refused: {{reason}}", "sum by (reason) (rate(agiwb_refused_total[5m]))"),
        ),
    ),
    (
        "Versions available",
        "short",
        (
            (
                "{{model}}/{{version}}",
                (
                    "sum by (model, version) "
                    '(agiwb_model_version_state{model=~"$model", state="AVAILABLE"})'
                ),
            ),
        ),
    ),
    (
        "Predictions logged and lost a second",
        "short",
        (
            (
                "logged {{model}}",
                f"sum by (model) (rate(agiwb_predictions_logged_total{_MODEL}[5m]))",
            ),
            (
                "lost {{model}}: {{reason}}",
                f"sum by (model, reason) (rate(agiwb_predictions_lost_total{_MODEL}[5m]))",
            ),
        ),
    ),
    (
        "Shadow: share of answers that disagree",
        "percentunit",
        (
            (
                "{{model}}/{{version}}",
                (
                    f"sum by (model, version) (rate(agiwb_shadow_disagreements_total{_MODEL}[15m]))"
                    f" / sum by (model, version) (rate(agiwb_shadow_compared_total{_MODEL}[15m]))"
                ),
            ),
        ),
    ),
    (
        "Canary: share of the traffic",
        "percentunit",
        (("{{model}}/{{version}}", f"max by (model, version) (agiwb_rollout_share{_MODEL})"),),
    ),
    (
        "Rolled back in the last hour",
        "short",
        (
            (
                "{{model}}: {{guard}}",
                f"sum by (model, guard) (increase(agiwb_rollbacks_total{_MODEL}[1h]))",
            ),
        ),
    ),
    (
        "Memory of the server",
        "bytes",
        (("{{instance}}", 'process_resident_memory_bytes{job="agiwb"}'),),
    ),
    (
        "Accuracy: by labels, expected without, and on the validation split",
        "percentunit",
        tuple(
            (
                f"{words} {{{{model}}}}/{{{{version}}}}",
                f"max by (model, version) (agiwb_monitor_{name}_accuracy{_MODEL})",
            )
            for words, name in (
                ("labelled", "labelled"),
                ("expected", "estimated"),
                ("validation", "reference"),
            )
        ),
    ),
    (
        "Drift: share of the features, and the largest effect",
        "percentunit",
        (
            (
                "features {{model}}/{{version}}",
                f"max by (model, version) (agiwb_monitor_drifted_features_ratio{_MODEL})",
            ),
            (
                "effect {{model}}/{{version}}",
                f"max by (model, version) (agiwb_monitor_worst_feature_effect{_MODEL})",
            ),
        ),
    ),
    (
        "Rows without numbers, and hours since the last look",
        "short",
        (
            (
                "share of rows {{model}}/{{version}}",
                f"max by (model, version) (agiwb_monitor_unusable_rows_ratio{_MODEL})",
            ),
            (
                "hours {{model}}",
                (
                    "(time() - max by (model) "
                    f"(agiwb_monitor_last_check_timestamp_seconds{_MODEL})) / 3600"
                ),
            ),
        ),
    ),
)


def dashboard(name: str) -> dict[str, Any]:
    """Return the dashboard of the server of model ``name``, as Grafana's JSON model."""
    return {
        "uid": "agiwb-serving",
        "title": f"agiwb serving: {name}",
        "tags": ["agiwb"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "model",
                    "label": "Model",
                    "type": "query",
                    "datasource": _DATASOURCE,
                    "query": "label_values(agiwb_model_version_state, model)",
                    "refresh": 2,
                    "includeAll": True,
                    "allValue": ".*",
                    "multi": True,
                    "current": {"text": "All", "value": "$__all"},
                }
            ]
        },
        "panels": [_panel(index, *panel) for index, panel in enumerate(_PANELS)],
    }


def _panel(
    index: int, title: str, unit: str, queries: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    row, column = divmod(index, _COLUMNS)
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": title,
        "datasource": _DATASOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _DATASOURCE,
                "expr": expression,
                "legendFormat": legend,
            }
            for place, (legend, expression) in enumerate(queries)
        ],
    }
