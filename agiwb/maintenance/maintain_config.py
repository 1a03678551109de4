"""What the maintain step is told: when it retrains, and how a challenger is tried."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agiwb.artifacts.manifest import SERVED_NAME, ServedFormat
from agiwb.config import Config
from agiwb.maintenance.guarding import GuardTerms
from agiwb.maintenance.policy import PolicyTerms

Share = Annotated[float, Field(gt=0, le=1)]


class MaintainConfig(Config):
    """Which served model is kept good, and by which policy."""

    model: str = Field(description="Registered name of the model.")
    server: str = Field(description="Server that serves it, by id or address: `agiwb servers`.")
    model_name: str | None = Field(
        None,
        pattern=SERVED_NAME,
        description="Name under which it is served; by default its own.",
    )
    format: ServedFormat = Field(
        "onnx", description="Which of its artifacts are served, monitored and compared."
    )
    watch: bool = Field(False, description="Go on until stopped, rather than look once.")
    every_s: float = Field(60.0, ge=0.1, description="Seconds between two looks.")
    looks: int | None = Field(None, ge=1, description="Stop after so many looks.")

    last_rows: int = Field(2_000, ge=30, description="Rows served last that are looked at.")
    max_drop: float = Field(
        0.05, gt=0, lt=1, description="Accuracy that may be lost before anything is proposed."
    )
    min_labels: int = Field(100, ge=10, description="New labels that a retraining needs.")
    cooldown_h: float = Field(
        24.0, ge=0, description="Hours after a decision in which no challenger is made."
    )
    retrain_after_labels: int | None = Field(
        None, ge=1, description="So many new labels are a reason of their own to retrain."
    )
    retrain_after_h: float | None = Field(
        None, gt=0, description="So old a champion is a reason of its own to retrain."
    )
    max_faulty_share: float = Field(
        0.05, ge=0, lt=1, description="Share of rows without numbers from which nothing is learnt."
    )
    leave_out: tuple[str, ...] = Field((), description="Faulty periods; see `agiwb retrain`.")
    replay: float = Field(1.0, ge=0, le=1, description="Share of the old data trained on again.")
    epochs: int | None = Field(None, ge=1, le=10_000, description="Of a retraining.")

    margin: float = Field(0.02, gt=0, lt=1, description="The gate's, over all rows.")
    slice_margin: float = Field(0.05, gt=0, lt=1, description="The gate's, of every slice.")
    slices: tuple[str, ...] | None = Field(
        None, description="Slice columns the gate judges; by default all the data have."
    )
    alpha: float = Field(
        0.05, gt=0, le=0.2, description="How often, all looks at it together, a worse one passes."
    )

    shadow_requests: int = Field(
        100, ge=1, description="Requests a shadow answers before anybody gets its answers."
    )
    canary_shares: tuple[Share, ...] = Field(
        (0.1, 0.5, 1.0),
        min_length=1,
        max_length=10,
        description="Shares of the clients, one after the other.",
    )
    canary_requests: int = Field(
        200, ge=100, le=1_000, description="Requests it answers at each share before the next."
    )
    max_error_rate: float = Field(
        0.01, ge=0, lt=1, description="Failed requests from which a version is rolled back."
    )
    max_latency_ratio: float | None = Field(
        3.0,
        gt=0,
        description="Times the champion's latency from which it fails, at the gate or as a "
        "canary, and its predecessor's from which a champion is rolled back; None: any.",
    )
    max_disagreement: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of the rows that the former champion may answer otherwise before the "
        "new one is rolled back; None: any, for who learnt a change has to disagree.",
    )
    max_accuracy_loss: float | None = Field(
        0.02,
        gt=0,
        lt=1,
        description="Accuracy by which labels may show a champion worse than its predecessor on "
        "the same requests before it is rolled back; None: any.",
    )
    compared_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of the requests that the former champion answers too, to nobody, to be "
        "compared with the new one; 0: none.",
    )
    approval: Literal["policy", "person"] = Field(
        "policy", description="Who says the last word before a promotion."
    )

    @property
    def policy(self) -> PolicyTerms:
        """What the policy goes by."""
        return PolicyTerms(
            cooldown_h=self.cooldown_h,
            min_labels=self.min_labels,
            max_drop=self.max_drop,
            alpha=self.alpha,
            retrain_after_labels=self.retrain_after_labels,
            retrain_after_h=self.retrain_after_h,
        )

    @property
    def guards(self) -> GuardTerms:
        """What a champion has to keep to, as far as the server can tell."""
        return GuardTerms(
            max_error_rate=self.max_error_rate,
            max_latency_ratio=self.max_latency_ratio,
            max_disagreement=self.max_disagreement,
            compared_share=self.compared_share,
        )

    @property
    def served_as(self) -> str:
        """The name it is served under."""
        return self.model_name or self.model
