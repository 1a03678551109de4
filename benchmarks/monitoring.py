"""Drift monitoring: its speed, its agreement with Evidently, its false alarms, power and delay.

Evidently and NannyML each run in an environment of their own, which is made first. All are given
the same arrays in the same run. Without the package index: ``--no-peers`` leaves them out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from agiwb.datasets.dataset import Dataset, Split
from agiwb.monitoring.calibration import calibrate
from agiwb.monitoring.distances import Distances, measure
from agiwb.monitoring.drift import compare_features
from agiwb.monitoring.estimate import estimate_accuracy
from agiwb.monitoring.judge import judge
from agiwb.monitoring.sketches import NumericBins, NumericSketch
from agiwb.monitoring.slice_columns import SliceColumn
from agiwb.monitoring.slices import compare_slices
from agiwb.monitoring.texts import TextDescription
from agiwb.monitoring.two_sample import compare_samples, window_weights
from agiwb.monitoring.verdict import describe_alarms
from agiwb.serving.prediction_log import PredictionWindow

PEERS = Path(__file__).parent / "monitoring_peers"
PACKAGES = {
    "evidently": ("evidently==0.7.23", "pandas<3"),  # it imports what pandas 3 has not
    "nannyml": ("nannyml==0.13.1", "pandas<3", "statsmodels"),  # used, and not declared
}
ROWS, FEATURES, WINDOWS, RATE = 100_000, 64, 200, 0.05
REFERENCE_ROWS = 20_000
ROWS_TO_IMPORT = 100
"""Whatever is imported at the first call is not timed; nor is Evidently's import."""
SLICES, SLICE_SHARES = 6, (0.3, 0.25, 0.2, 0.15, 0.07, 0.03)
SLICED_FEATURES, SHIFTED_SLICE, SLICE_SHIFT = 16, 3, 0.5
WORDS, TEXTS, TEXT_WINDOW = 20_000, 3_000, 500
STREAM_FEATURES, CHUNK, QUIET_CHUNKS, LATE_CHUNKS = 16, 250, 12, 12
SMALL_WINDOW = 1_000
Claims = list[dict[str, Any]]


def claim(name: str, value: float, bar: float, *, at_least: bool = False) -> dict[str, Any]:
    """Return one line of the result."""
    holds = value >= bar if at_least else value <= bar
    print(f"{name:<72} {value:10.4f}   bar {bar:g}   {'holds' if holds else 'MISSED'}", flush=True)
    return {"name": name, "value": round(float(value), 5), "bar": bar, "holds": bool(holds)}


def environment(folder: Path, name: str) -> Path:
    """Return the interpreter of a peer's own environment, made if it is not there."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        uv = [str(Path(sys.executable).with_name("uv"))]
        subprocess.run([*uv, "venv", "-q", "--python", "3.11", str(folder / name)], check=True)
        install = [*uv, "pip", "install", "-q", "--python", str(python), *PACKAGES[name]]
        subprocess.run(install, check=True)
    return python


def ask_peer(python: Path, script: str, data: Path, *arguments: str) -> dict[str, Any]:
    """Return what a peer's script prints about the arrays in ``data``."""
    command = [str(python), str(PEERS / script), str(data), *arguments]
    quiet = os.environ | {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=quiet)
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def save(data: Path, reference: np.ndarray, window: np.ndarray) -> None:
    """Keep the arrays where the peers' scripts look for them."""
    np.save(data / "reference.npy", reference)
    np.save(data / "window.npy", window)


def measure_speed(data: Path, evidently: Path | None) -> Claims:
    """Five statistics of ours, sketches included, against Evidently's one default."""
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    window = rng.normal(0.1, 1.1, size=(ROWS, FEATURES)).astype(np.float32)
    _sketch_and_measure(reference[:ROWS_TO_IMPORT], window[:ROWS_TO_IMPORT])
    began = time.perf_counter()
    found = _sketch_and_measure(reference, window)
    seconds = time.perf_counter() - began
    print(f"five statistics, {ROWS} x {FEATURES}, reference's sketch included: {seconds:.2f} s")
    if evidently is None:
        return []
    save(data, reference, window)
    peer = ask_peer(evidently, "evidently_drift.py", data, "default", "0")
    print(f"Evidently's default statistic ({peer['scores'][0][0][1]}): {peer['seconds'][0]:.2f} s")
    claims = [claim("times faster than Evidently", peer["seconds"][0] / seconds, 20, at_least=True)]
    few = 4
    save(data, reference[:, :few], window[:, :few])
    wasserstein, ks = (
        np.array([score[0] for score in ask_peer(
            evidently, "evidently_drift.py", data, method, "0"
        )["scores"][0]])
        for method in ("wasserstein", "ks")
    )  # fmt: skip
    ours = (found.wasserstein / found.spread)[:few]
    claims.append(
        claim("Wasserstein distance, largest difference (sd)", abs(ours - wasserstein).max(), 0.005)
    )
    from scipy.stats import ks_2samp

    exact = [ks_2samp(reference[:, place], window[:, place]) for place in range(few)]
    gap = max(abs(found.ks[place] - exact[place].statistic) for place in range(few))
    claims.append(claim("KS distance, largest difference from exact", gap, 1 / 253))
    # Evidently gives the p-value of the KS test: the exact one must be the one we compare with.
    theirs = max(abs(np.log(max(p, 1e-300)) - np.log(max(one.pvalue, 1e-300)))
                 for p, one in zip(ks, exact, strict=True))  # fmt: skip
    claims.append(claim("Evidently's KS p-value from that one (log)", theirs, 0.01))
    return claims + compare_grouped(data, evidently, reference[:, :few], window[:, :few])


def _sketch_and_measure(reference: np.ndarray, window: np.ndarray) -> Distances:
    known = NumericSketch.of(NumericBins.from_reference(reference), reference)
    return measure(known, NumericSketch.of(known.bins, window))


def compare_grouped(
    data: Path, evidently: Path, reference: np.ndarray, window: np.ndarray
) -> Claims:
    """PSI, Jensen-Shannon and chi-square beside Evidently's, over the same groups of values.

    Evidently bins numbers by Sturges' rule over both samples, we by equal shares of the reference:
    both are given the tenths of the reference as values. It has Jensen-Shannon to base e, we to
    base 2; and its chi-square takes the reference for certain (goodness of fit), where ours counts
    both samples' chance (homogeneity): each must be what SciPy says of it.
    """
    from scipy.stats import chi2_contingency, chisquare

    tenths = np.quantile(reference, np.linspace(0.1, 0.9, 9), axis=0)
    known, served = (
        np.stack([np.searchsorted(tenths[:, k], one[:, k]) for k in range(one.shape[1])], axis=1)
        for one in (reference, window)
    )
    sketch = NumericSketch.of(NumericBins.from_reference(known), known)
    ours = measure(sketch, NumericSketch.of(sketch.bins, served))

    def theirs(method: str) -> np.ndarray:
        scores = ask_peer(evidently, "evidently_drift.py", data, method, "0")["scores"][0]
        return np.array([score[0] for score in scores])

    save(data, known, served)
    psi, jensen_shannon = theirs("psi"), theirs("jensenshannon")
    gaps = {
        "PSI": abs(ours.psi - psi).max(),
        "Jensen-Shannon": abs(ours.jensen_shannon * np.sqrt(np.log(2)) - jensen_shannon).max(),
    }
    claims = [
        claim(f"{name} over the same tenths, largest difference from Evidently", gap, 1e-4)
        for name, gap in gaps.items()
    ]
    few = known[:SMALL_WINDOW], served[:SMALL_WINDOW]  # of many rows every p-value is 0
    save(data, *few)
    p_values = theirs("chisquare")
    own = peers = 0.0
    for k in range(known.shape[1]):
        counts, fewer = (
            np.stack([np.bincount(one[:, k], minlength=10) for one in pair])
            for pair in ((known, served), few)
        )
        own = max(own, abs(ours.chi_square[k] / chi2_contingency(counts).statistic - 1))
        fit = chisquare(fewer[1], fewer[0]).pvalue
        peers = max(peers, abs(np.log(fit) - np.log(p_values[k])))
    claims.append(claim("chi-square over the same tenths, from SciPy's of homogeneity", own, 1e-9))
    claims.append(claim("Evidently's p-value from SciPy's of goodness of fit (log)", peers, 1e-6))
    return claims


def measure_alarms() -> Claims:
    """Quiet windows that alarm, and shifted ones that do."""
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(REFERENCE_ROWS, FEATURES)).astype(np.float32)
    known = NumericSketch.of(NumericBins.from_reference(reference), reference)
    claims = []
    for rows in (200, 2_000, 20_000):
        calibration = calibrate(reference, rows)
        quiet = found = 0
        for _ in range(WINDOWS):
            window = rng.normal(size=(rows, FEATURES)).astype(np.float32)
            sketch = NumericSketch.of(known.bins, window)
            quiet += compare_features(known, sketch, calibration, RATE).drifted.any()
            window[:, 7] += 0.2
            shifted = NumericSketch.of(known.bins, window)
            found += compare_features(known, shifted, calibration, RATE).drifted[7]
        claims.append(claim(f"quiet windows of {rows} rows that alarm", quiet / WINDOWS, RATE))
        if rows >= 2_000:
            claims.append(
                claim(f"0.2 sd in one feature found, {rows} rows", found / WINDOWS, 0.95,
                      at_least=True)
            )  # fmt: skip
        else:
            print(f"0.2 sd in one feature found at {rows} rows: {found / WINDOWS:.2f}")
    return claims


def _of_five_classes() -> Claims:
    """Five classes, of which some come more often in the window."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(7)
    centres = rng.normal(0, 1.2, size=(5, 8))

    def draw(rows: int, shares: list[float]) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.choice(5, rows, p=shares)
        return centres[labels] + rng.normal(size=(rows, 8)), labels.astype(np.int64)

    even = [0.2] * 5
    model = LogisticRegression(max_iter=500).fit(*draw(20_000, even))
    labelled, labels = draw(20_000, even)
    known = model.predict_proba(labelled).astype(np.float32)
    features, truth = draw(20_000, [0.6, 0.25, 0.05, 0.05, 0.05])
    answers = model.predict_proba(features).astype(np.float32)
    weights = window_weights(labelled, features)
    found = estimate_accuracy(known, labels, answers, weights=weights)
    expected = float("nan") if found is None else found.value
    gap = abs(expected - float((answers.argmax(axis=1) == truth).mean()))
    return [claim("error of the expected accuracy, five classes in other shares", gap, 0.02)]


def measure_slices() -> Claims:
    """Quiet windows in which any of six slices alarms, and one slice's shift that is found."""
    rng = np.random.default_rng(4)
    names = tuple(f"f{place}" for place in range(SLICED_FEATURES))

    def draw(rows: int) -> tuple[np.ndarray, np.ndarray]:
        slices = rng.choice(SLICES, rows, p=SLICE_SHARES).astype(str).astype(object)
        return rng.normal(size=(rows, SLICED_FEATURES)).astype(np.float32), slices

    reference, known = draw(REFERENCE_ROWS)
    claims = []
    for rows in (2_000, 20_000):
        calibration = calibrate(reference, rows)

        def drifted(window: np.ndarray, slices: np.ndarray, whole: Any = calibration) -> set[str]:
            column = SliceColumn("slice", slices, known, reference)
            right = np.ones(len(window))
            found = compare_slices(
                [column], window, whole, names, RATE, right, lambda *_: ()
            )  # fmt: skip
            return {one.value for one in found if one.drifted_count}

        quiet = found = 0
        for _ in range(WINDOWS):
            window, slices = draw(rows)
            quiet += bool(drifted(window, slices))
            window[slices == str(SHIFTED_SLICE), 7] += SLICE_SHIFT
            found += drifted(window, slices) == {str(SHIFTED_SLICE)}
        claims.append(
            claim(f"quiet windows of {rows} rows with a slice that alarms", quiet / WINDOWS, RATE)
        )
        told = f"{SLICE_SHIFT} sd in 15 % of {rows} rows: that slice found, no other"
        claims.append(claim(told, found / WINDOWS, 0.95 - RATE, at_least=True))
    return claims


def measure_texts() -> Claims:
    """Quiet windows of texts that alarm by figures, quality or n-grams, each a third of it."""
    rng = np.random.default_rng(5)
    words = np.array([f"w{place}" for place in range(WORDS)])
    shares = 1 / np.arange(1, WORDS + 1)
    shares /= shares.sum()

    def draw(count: int, known: np.ndarray = words) -> np.ndarray:
        lengths = rng.geometric(1 / 30, count) + 2
        drawn = np.split(rng.choice(known, lengths.sum(), p=shares), np.cumsum(lengths)[:-1])
        return np.array([" ".join(one) for one in drawn], object)

    described = TextDescription(draw(TEXTS))
    reference = described.reference
    known = NumericSketch.of(NumericBins.from_reference(reference, described.names), reference)
    calibration = calibrate(reference, TEXT_WINDOW)
    each = RATE / 3

    def alarms(window: np.ndarray) -> bool:
        sketch = NumericSketch.of(known.bins, described.numbers(window))
        told_apart = compare_samples(*described.embedded(window))
        return bool(
            compare_features(known, sketch, calibration, each).drifted.any()
            or described.quality(window, each)
            or (told_apart is not None and told_apart.p_value < each)
        )

    quiet = sum(alarms(draw(TEXT_WINDOW)) for _ in range(WINDOWS)) / WINDOWS
    other = np.concatenate((words[1:20], words[:1], words[20:]))  # as frequent, other words
    found = sum(alarms(draw(TEXT_WINDOW, other)) for _ in range(WINDOWS)) / WINDOWS
    return [
        claim(f"quiet windows of {TEXT_WINDOW} texts that alarm", quiet, RATE),
        claim("windows with the 20 most frequent words exchanged found", found, 0.95,
              at_least=True),
    ]  # fmt: skip


def measure_whole(windows: int) -> Claims:
    """Quiet windows that alarm for any reason at all, asked everything that the step asks.

    Each has a reference of its own: windows that share one share its luck.
    """
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(6)

    def draw(rows: int) -> Split:
        features = rng.normal(size=(rows, STREAM_FEATURES)).astype(np.float32)
        features[:, 0] = rng.integers(0, 4, rows)  # a code, which is sliced by
        logits = features[:, 1] + features[:, 2] - features[:, 0] / 2
        return Split(features, (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int64))

    quiet, seconds = 0, time.perf_counter()
    for _ in range(windows):
        train, validation, rows = draw(4_000), draw(1_000), draw(1_000)
        model = LogisticRegression().fit(train.features, train.labels)
        data = Dataset("d", ("no", "yes"), 1.0, train, validation, validation, task="binary")

        def ask(features: np.ndarray, model: LogisticRegression = model) -> np.ndarray:
            return np.asarray(model.predict_proba(features), np.float32)

        window = PredictionWindow(
            1.8e9 + np.sort(rng.random(len(rows))) * 4 * 3600, rows.features, ask(rows.features),
            np.ones(len(rows), np.int64),
        )  # fmt: skip
        made = judge(
            data, ask(validation.features), window, ask, RATE, slices=["feature[0]", "predicted"]
        )
        alarms = describe_alarms(made.figures, data.classes)
        quiet += bool(alarms)
        for told in alarms:
            print(f"  false alarm: {told}")
    each = (time.perf_counter() - seconds) / max(windows, 1)
    print(f"everything asked of a window of 1,000 rows: {each:.2f} s")
    return [claim("quiet windows that alarm for any reason", quiet / max(windows, 1), RATE)]


def measure_delay(data: Path, pythons: dict[str, Path]) -> Claims:
    """Chunks until the first alarm after a change, and false alarms before it, on one stream."""
    rng = np.random.default_rng(2)
    reference = rng.normal(size=(REFERENCE_ROWS // 2, STREAM_FEATURES)).astype(np.float32)
    rows = (QUIET_CHUNKS + LATE_CHUNKS) * CHUNK
    stream = rng.normal(size=(rows, STREAM_FEATURES)).astype(np.float32)
    stream[QUIET_CHUNKS * CHUNK :, 3] += 0.5
    known = NumericSketch.of(NumericBins.from_reference(reference), reference)
    calibration = calibrate(reference, CHUNK)
    alarms = {
        "agiwb": [
            bool(compare_features(
                known, NumericSketch.of(known.bins, chunk), calibration, RATE
            ).drifted.any())
            for chunk in np.split(stream, range(CHUNK, rows, CHUNK))
        ]
    }  # fmt: skip
    save(data, reference, stream)
    if "nannyml" in pythons:
        alarms["nannyml"] = ask_peer(
            pythons["nannyml"], "nannyml_drift.py", data, str(CHUNK)
        )["alarms"]  # fmt: skip
    if "evidently" in pythons:
        peer = ask_peer(pythons["evidently"], "evidently_drift.py", data, "default", str(CHUNK))
        # Distances alarm above their threshold.
        alarms["evidently"] = [any(v >= t for v, _, t in scores) for scores in peer["scores"]]
    delays = {}
    for name, found in alarms.items():
        false = sum(found[:QUIET_CHUNKS])
        late = found[QUIET_CHUNKS:]
        delays[name] = (late.index(True) + 1 if any(late) else LATE_CHUNKS + 1) * CHUNK
        print(f"{name}: {false} of {QUIET_CHUNKS} quiet chunks alarm, delay {delays[name]} rows, "
              f"{sum(late)} of {LATE_CHUNKS} later chunks alarm")  # fmt: skip
    claims = [claim("false alarms before the change", sum(alarms["agiwb"][:QUIET_CHUNKS]), 1)]
    if len(delays) > 1:
        best = min(delay for name, delay in delays.items() if name != "agiwb")
        claims.append(claim("rows until 0.5 sd is found, bar: best peer", delays["agiwb"], best))
    return claims


def measure_estimate() -> Claims:
    """Accuracy expected without labels against the true one, where other rows come."""
    return _of_two_classes() + _of_five_classes()


def _of_two_classes() -> Claims:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    slopes = np.array([1, -1, 0.5, 0.5, 0, 0, 0.3, -0.3])

    def draw(rows: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
        features = rng.normal(size=(rows, len(slopes)))
        features[:, 0] += shift
        logits = features @ slopes + 0.4 * features[:, 0] * features[:, 1]
        return features, (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)

    model = LogisticRegression().fit(*draw(20_000, 0))
    labelled, labels = draw(20_000, 0)
    known = model.predict_proba(labelled).astype(np.float32)
    claims = []
    for shift in (0.0, 1.0, -1.5):
        features, truth = draw(20_000, shift)
        answers = model.predict_proba(features).astype(np.float32)
        weights = window_weights(labelled, features)
        found = estimate_accuracy(known, labels, answers, weights=weights)
        expected = float("nan") if found is None else found.value
        gap = abs(expected - float((answers.argmax(axis=1) == truth).mean()))
        claims.append(claim(f"error of the expected accuracy, shift {shift:+.1f} sd", gap, 0.02))
    return claims


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whole", type=int, default=100, help="windows that are asked everything")
    parser.add_argument("--no-peers", action="store_true", help="leave Evidently and NannyML out")
    parser.add_argument("--environments", type=Path, help="folder that keeps their environments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        kept = options.environments or data
        names = () if options.no_peers else PACKAGES
        pythons = {name: environment(kept, name) for name in names}
        claims = measure_alarms() + measure_slices() + measure_texts() + measure_estimate()
        claims += measure_whole(options.whole)
        claims += measure_speed(data, pythons.get("evidently"))
        claims += measure_delay(data, pythons)
    print(json.dumps({"claims": claims, "machine": f"{platform.machine()} {platform.system()}"}))


if __name__ == "__main__":
    main()
