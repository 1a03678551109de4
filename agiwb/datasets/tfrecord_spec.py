"""What the records of a TFRecord hold: given by the user, or told by the first of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from agiwb.config import read_yaml
from agiwb.errors import DatasetError

JUDGED_RECORDS = 100

_IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


class Feature(BaseModel):
    """One feature of each record.

    ``image`` is the bytes of a PNG or JPEG file, ``string`` UTF-8 text. An ``optional`` float or
    string that a record lacks is a missing one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: Literal["float", "int", "string", "image"]
    shape: tuple[int, ...] = ()
    optional: bool = False

    @property
    def is_scalar(self) -> bool:
        """Whether it can be a column of a table."""
        return self.dtype != "image" and self.shape == ()

    def parser(self) -> Any:
        """Return what ``tf.io.parse_example`` takes."""
        from agiwb.tensorflow_quietly import import_tensorflow

        tf = import_tensorflow()
        types = {"float": tf.float32, "int": tf.int64}
        default: Any = None
        if self.optional and self.shape == ():
            default = {"float": float("nan"), "string": b""}.get(self.dtype)
        return tf.io.FixedLenFeature(self.shape, types.get(self.dtype, tf.string), default)


Spec = dict[str, Feature]


def read_spec(path: Path) -> Spec:
    """Return the features a YAML or JSON file describes.

    It is a mapping such as ``{"pixels": {"dtype": "float", "shape": [28, 28]}}``.

    Raises:
        ConfigError: The file cannot be read.
        DatasetError: It describes something else.
    """
    values = read_yaml(path)  # of which JSON is a part
    try:
        return TypeAdapter(Spec).validate_python(values)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        field = ".".join(map(str, wrong["loc"]))
        raise DatasetError(
            f"In {path}, `{field}` does not fit: {wrong['msg'].lower()}.",
            "Give each feature a `dtype` (float, int, string or image) and, unless it is one "
            "value, a `shape`: `pixels: {dtype: float, shape: [28, 28]}`.",
        ) from None


def infer_spec(records: list[bytes], where: str) -> tuple[Spec, list[str]]:
    """Return the features that the first records have, and what of them cannot be used.

    Args:
        records: Serialised ``tf.train.Example`` messages.
        where: The file, for messages.

    Raises:
        DatasetError: A record is no such message.
    """
    found: dict[str, list[tuple[str, list[Any]]]] = {}
    for number, record in enumerate(records, 1):
        for name, values in _values(record, where, number).items():
            found.setdefault(name, []).append(values)
    spec, notes = {}, []
    for name, seen in sorted(found.items()):
        feature = _feature(seen, len(records))
        if isinstance(feature, Feature):
            spec[name] = feature
        else:
            notes.append(f"The feature `{name}` is left out: {feature}.")
    return spec, notes


def _values(record: bytes, where: str, number: int) -> dict[str, tuple[str, list[Any]]]:
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    try:
        features = tf.train.Example.FromString(record).features.feature
    except Exception as error:  # noqa: BLE001  DecodeError has another home in each protobuf
        raise DatasetError(
            f"In {where}, record {number} is no tf.train.Example: {error}.",
            "Write each record as a serialised tf.train.Example.",
        ) from None
    kinds = {name: feature.WhichOneof("kind") for name, feature in features.items()}
    return {
        name: (kind, list(getattr(features[name], kind).value))
        for name, kind in kinds.items()
        if kind is not None
    }


def _feature(seen: list[tuple[str, list[Any]]], records: int) -> Feature | str:
    """Return the feature that ``seen`` values are of, or why it cannot be used."""
    kinds = {kind for kind, _ in seen}
    if len(kinds) > 1:
        return f"it holds {' and '.join(sorted(kinds))}"
    lengths = {len(values) for _, values in seen if values}
    if len(lengths) != 1:
        return "its length varies" if lengths else "it is empty"
    (length,) = lengths
    shape = () if length == 1 else (length,)
    optional = len(seen) < records or any(not values for _, values in seen)
    kind = kinds.pop()
    if kind != "bytes_list":
        return Feature(
            dtype="float" if kind == "float_list" else "int", shape=shape, optional=optional
        )
    texts = [value for _, values in seen for value in values]
    return _feature_of_bytes(texts, length, optional=optional)


def _feature_of_bytes(texts: list[bytes], length: int, *, optional: bool) -> Feature | str:
    if length > 1:
        return "it holds several texts"
    if all(text.startswith(_IMAGE_STARTS) for text in texts):
        return Feature(dtype="image")
    if not all(_is_text(text) for text in texts):
        return "its bytes are neither an image (PNG, JPEG) nor UTF-8 text"
    return Feature(dtype="string", optional=optional)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
