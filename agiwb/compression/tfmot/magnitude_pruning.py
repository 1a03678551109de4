"""Magnitude pruning by the toolkit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agiwb.compression.pruning import measured_sparsity, ramp_batches
from agiwb.compression.techniques.technique import Bench
from agiwb.compression.tfmot.library import load_tfmot
from agiwb.compression.tfmot.twin import compile_twin, train_twin, twin_of, wrapped
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras

    from agiwb.compression.techniques.magnitude_pruning import MagnitudePruning


def prune_with_tfmot(model: keras.Model, technique: MagnitudePruning, bench: Bench) -> keras.Model:
    """Return a copy of ``model`` pruned by ``tfmot.sparsity.keras.prune_low_magnitude``.

    The schedule is that of ``pruning.prune``: a polynomial over the first three quarters of the
    batches, or a constant. The toolkit rounds the number of weights that stay, so that a kernel
    may have one zero more or less than with the engine keras. Weights that share a value part.

    Raises:
        WorkError: A layer does not carry over to Keras 2, the toolkit has no such option, the
            model is sparser already, or the training diverged.
    """
    if technique.criterion != "magnitude" or technique.scope != "layer":
        raise WorkError(
            "The engine tfmot prunes only by magnitude and each kernel by itself.",
            "Leave `criterion` and `scope` at their defaults, or use the engine keras.",
        )
    sparsity = technique.percent / 100
    if measured_sparsity(model) > sparsity:
        raise WorkError(
            f"The model {model.name} has more zeros already than {technique.percent} percent; the "
            "engine tfmot would let some grow again.",
            "Ask for more, or use the engine keras.",
        )
    tfmot, keras2 = load_tfmot()
    keras2.utils.set_random_seed(bench.tuning.seed)
    twin = twin_of(model, bench)
    schedule = _schedule(technique.schedule, sparsity, bench)
    sparse = tfmot.sparsity.keras
    pruned = wrapped(
        twin, lambda layer: sparse.prune_low_magnitude(layer, pruning_schedule=schedule), "prune"
    )
    compile_twin(pruned, bench)
    if bench.tuning.epochs:
        train_twin(pruned, bench, [sparse.UpdatePruningStep()])
    else:
        _in_one_shot(pruned)
    return twin.carried_back_from(sparse.strip_pruning(pruned))


def _schedule(kind: str, sparsity: float, bench: Bench) -> Any:
    sparse = load_tfmot()[0].sparsity.keras
    if kind == "constant" or not bench.tuning.epochs:
        return sparse.ConstantSparsity(sparsity, begin_step=0, frequency=1)
    ramp, pause = ramp_batches(bench.tuning.batches(bench.training))
    # The last raise must fall on a step at which masks are drawn.
    return sparse.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=sparsity,
        begin_step=0,
        end_step=max(pause, ramp - ramp % pause),
        frequency=pause,
    )


def _in_one_shot(pruned: Any) -> None:
    for layer in pruned.layers:
        if getattr(layer, "pruning_obj", None) is not None:
            layer.pruning_step.assign(0)
            layer.pruning_obj.conditional_mask_update()
            layer.pruning_obj.weight_mask_op()
