"""Hiding what must not be kept, before anything is written.

* drop: the tensor is left out; features are cut from its last dimension.
* hash: HMAC-SHA256 under a secret key (RFC 2104), cut to 128 bits. Equal values stay equal, and
  without the key none can be found by trying. A whole tensor becomes text, 32 hexadecimal digits
  a value. Features keep the tensor's type: floats become numbers in [0, 1), integers any of
  theirs, text the digits.
* mask: NaN, 0, False or "".
* round: to decimals, or to multiples of a step.

A rule for a feature outdoes one for its whole tensor; among equals the last one wins. What a rule
cannot be applied to, such as text to round or an index that is not there, is dropped.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import ConfigError
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.prediction_log.policy import LogPolicy, Rule
from agiwb.serving.prediction_log.prediction import Prediction

_SHORTEST_KEY = 16
_DIGEST_BYTES = 16
_MANTISSA_BITS = {2: 11, 4: 24, 8: 53}
"""By a float's bytes: so many bits of a hash make a number in [0, 1) without rounding up to 1."""

_Change = Callable[[NDArray[Any]], NDArray[Any] | None]
"""From values to what is written of them; None for nothing."""
_Changes = dict[str, _Change]


class Redactor:
    """Applies a policy's rules. Thread safety: ``redact`` may be called from any thread."""

    def __init__(self, policy: LogPolicy) -> None:
        """Read the key, if there is a rule that needs it.

        Raises:
            ConfigError: The key is missing or too short.
        """
        self._policy = policy
        self._key = _read_key(policy) if policy.hashes else b""
        self._by_model: dict[str, tuple[_Changes, _Changes]] = {}

    def redact(self, prediction: Prediction) -> Prediction:
        """Return what may be written of ``prediction``, whose arrays are not changed."""
        model = prediction.model
        changes = self._by_model.get(model)
        if changes is None:
            changes = self._by_model[model] = (
                self._changes_of(model, outputs=False),
                self._changes_of(model, outputs=True),
            )
        other: _Change = _keep if self._policy.unnamed == "keep" else _drop
        return prediction._replace(
            inputs=_apply(changes[0], prediction.inputs, other),
            outputs=_apply(changes[1], prediction.outputs, _keep),
        )

    def _changes_of(self, model: str, *, outputs: bool) -> _Changes:
        """Return what is done to each input, or each output, that a rule names."""
        whole: _Changes = {}
        by_feature: dict[str, dict[int, _Change]] = {}
        rules = [rule for rule in self._policy.redact if rule.concerns(model)]
        for rule in rules:
            if (rule.output is not None) == outputs:
                indices = self._policy.indices_of(rule)
                if indices is None:
                    whole[rule.tensor] = self._change(rule, as_text=True)
                else:
                    features = by_feature.setdefault(rule.tensor, {})
                    features |= dict.fromkeys(indices, self._change(rule, as_text=False))
        return whole | {
            name: _feature_wise(features, whole.get(name, _keep))
            for name, features in by_feature.items()
        }

    def _change(self, rule: Rule, *, as_text: bool) -> _Change:
        if rule.action == "hash":
            return lambda values: _hash(values, self._key, as_text=as_text)
        if rule.action == "round":
            return lambda values: _round(values, rule.decimals, rule.step)
        return {"keep": _keep, "drop": _drop, "mask": _mask}[rule.action]


def _apply(changes: Mapping[str, _Change], tensors: Tensors, other: _Change) -> Tensors:
    changed = {name: changes.get(name, other)(array) for name, array in tensors.items()}
    return {name: array for name, array in changed.items() if array is not None}


def _feature_wise(features: Mapping[int, _Change], other: _Change) -> _Change:
    """Return what changes ``features`` by index, and what is beside them as ``other`` says."""

    def change(array: NDArray[Any]) -> NDArray[Any] | None:
        if array.ndim == 0 or max(features) >= array.shape[-1]:
            return None
        beside = other(array)
        kept = np.full(array.shape[-1], beside is not None)
        # A whole tensor's hash is text, which no other feature could stay beside.
        if beside is not None and beside.dtype.kind != array.dtype.kind:
            return None
        result = np.array(array if beside is None else beside)
        for index, change_one in features.items():
            values = change_one(array[..., index])
            kept[index] = values is not None
            if values is not None:
                if result.dtype.kind in "SU":  # a hash may be longer than what it replaces
                    result = result.astype(object)
                result[..., index] = values
        return result if kept.all() else result[..., kept]

    return change


def _keep(values: NDArray[Any]) -> NDArray[Any] | None:
    return values


def _drop(values: NDArray[Any]) -> NDArray[Any] | None:
    return None


def _mask(values: NDArray[Any]) -> NDArray[Any] | None:
    if values.dtype.kind in "fc":
        return np.full_like(values, np.nan)
    if values.dtype.kind in "OSU":
        empty = np.empty(values.shape, object)
        empty.fill("")
        return empty
    return np.zeros_like(values) if values.dtype.kind in "biu" else None


def _round(values: NDArray[Any], decimals: int | None, step: float | None) -> NDArray[Any] | None:
    if values.dtype.kind not in "fiu":
        return None
    if step is None:
        return np.asarray(np.round(values, decimals or 0))
    return np.asarray(np.round(values / step) * step).astype(values.dtype)


def _hash(values: NDArray[Any], key: bytes, *, as_text: bool) -> NDArray[Any] | None:
    """Return the keyed hash of each value: as digits, or in the type of the values."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    digests = [hmac.digest(key, _bytes_of(value), hashlib.sha256) for value in values.ravel()]
    if as_text or kind in "OSU":
        result = np.empty(len(digests), object)
        result[:] = [digest[:_DIGEST_BYTES].hex() for digest in digests]
        return result.reshape(values.shape)
    numbers = [int.from_bytes(digest[:8], "little") for digest in digests]
    if kind in "iu":
        return np.array(numbers, np.uint64).astype(values.dtype).reshape(values.shape)
    if kind == "f" and size in _MANTISSA_BITS:
        bits = _MANTISSA_BITS[size]
        fractions = [(number >> (64 - bits)) / 2.0**bits for number in numbers]
        return np.array(fractions, values.dtype).reshape(values.shape)
    return None


def _bytes_of(value: Any) -> bytes:
    """Return the same bytes for the same value, whatever array it came in."""
    if isinstance(value, bytes):
        return value
    return str(value.item() if isinstance(value, np.generic) else value).encode(
        "utf-8", "surrogatepass"
    )


def _read_key(policy: LogPolicy) -> bytes:
    if policy.hash_key_file is not None:
        source = f"the file {policy.hash_key_file}"
        try:
            key = policy.hash_key_file.read_bytes().strip()
        except OSError as error:
            raise ConfigError(
                f"`hash_key_file`: {source} cannot be read: {error.strerror}.",
                "Make it with `openssl rand -hex 32`, readable for this user alone.",
            ) from None
    else:
        source = f"the environment variable {policy.hash_key_env}"
        key = os.environ.get(policy.hash_key_env or "", "").encode().strip()
    if len(key) < _SHORTEST_KEY:
        raise ConfigError(
            f"The key for `hash` in {source} has {len(key)} bytes; it needs {_SHORTEST_KEY}.",
            "Make one with `openssl rand -hex 32`.",
        )
    return key
