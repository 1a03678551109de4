"""Which 8-bit arithmetic suits a processor, and what to expect of it, in plain words.

Processors multiply 8-bit numbers differently. x86 without VNNI adds two products in 16 bits, which
can overflow and saturate: a model that is right elsewhere silently answers wrongly. One bit less
for the weights (``reduce_range``) leaves room. VNNI adds in 32 bits, and ARM is built for signed
numbers. The choices are those of ONNX Runtime's documentation of ``quantize_static``.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

Family = Literal["x86", "arm", "other"]
Runtime = Literal["onnx", "litert"]

_X86 = {"x86_64", "amd64", "i386", "i686", "x86"}
_ARM = ("arm", "aarch64")
_VNNI = ("avx512_vnni", "avx_vnni", "avx10_1", "amx_int8")
_SHOWN = ("avx2", "avx512f", *_VNNI, "asimddp", "i8mm", "sve")
_USES = {
    "avx2": "fast float kernels",
    "avx512f": "wider float kernels",
    **dict.fromkeys(_VNNI, "fast int8"),
    "asimddp": "fast int8",
    "i8mm": "faster int8",
    "sve": "scalable float kernels",
}
"""What a processor's flags mean for a compressed model."""


@dataclass(frozen=True)
class Processor:
    """What a processor is and can do.

    Attributes:
        family: Its instruction set.
        flags: What it is capable of, by the Linux kernel's names; empty if unknown.
    """

    family: Family
    flags: frozenset[str]

    @property
    def adds_in_32_bits(self) -> bool:
        """Whether sums of 8-bit products cannot saturate; False if it is not known."""
        return self.family == "arm" or any(flag in self.flags for flag in _VNNI)

    def __str__(self) -> str:
        known = [flag for flag in _SHOWN if flag in self.flags]
        return f"{self.family} ({', '.join(known) or 'no 8-bit extensions known'})"


@dataclass(frozen=True)
class Scheme:
    """How ONNX Runtime is to quantize: the arguments of its ``quantize_static``.

    Attributes:
        activations: Type of the activations.
        weights: Type of the weights.
        reduce_range: Weights use 7 of 8 bits.
        per_channel: Each output channel has its own scale.
    """

    activations: Literal["int8", "uint8"]
    weights: Literal["int8", "uint8"]
    reduce_range: bool
    per_channel: bool = False

    def __str__(self) -> str:
        letters = {"int8": "S8", "uint8": "U8"}
        parts = [letters[self.activations] + letters[self.weights]]
        parts += ["reduce_range"] if self.reduce_range else []
        parts += ["per_channel"] if self.per_channel else []
        return " + ".join(parts)


@dataclass(frozen=True)
class Advice:
    """A scheme for a processor, why, and what to be warned of."""

    scheme: Scheme
    reason: str
    warnings: tuple[str, ...] = ()


def read_processor(cpuinfo: Path = Path("/proc/cpuinfo"), machine: str | None = None) -> Processor:
    """Return this machine's processor, without flags where there is no ``/proc/cpuinfo``.

    Args:
        cpuinfo: Where Linux describes its processors.
        machine: As ``platform.machine()`` says it, which is the default.
    """
    try:
        text = cpuinfo.read_text("utf-8", "replace")
    except OSError:
        text = ""
    return parse_processor(text, machine or platform.machine())


def parse_processor(cpuinfo: str, machine: str) -> Processor:
    """Return the processor that a ``/proc/cpuinfo`` describes; its flags are those of all cores.

    Of cores that differ, only what all of them can do counts.
    """
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    cores = [frozenset(line.split()) for line in lines]
    flags = frozenset.intersection(*cores) if cores else frozenset()
    name = machine.lower()
    if name in _X86:
        return Processor("x86", flags)
    return Processor("arm" if name.startswith(_ARM) else "other", flags)


def choose_scheme(processor: Processor) -> Advice:
    """Return the scheme for static quantization with ONNX Runtime on ``processor``."""
    if processor.family == "arm":
        return Advice(
            Scheme("int8", "int8", reduce_range=False),
            "ARM multiplies signed 8-bit numbers fastest: activations and weights are int8.",
        )
    if processor.adds_in_32_bits:
        return Advice(
            Scheme("uint8", "int8", reduce_range=False),
            "The processor has VNNI, which adds 8-bit products in 32 bits: uint8 activations and "
            "int8 weights use their whole range.",
        )
    known = "has no VNNI" if processor.flags else "may lack VNNI"
    return Advice(
        Scheme("uint8", "int8", reduce_range=True),
        f"The processor {known} and then adds 8-bit products in 16 bits, which can saturate: the "
        "weights keep to 7 bits.",
    )


def advise(
    processor: Processor,
    layers: Collection[str],
    runtime: Runtime,
    numbers: str,
    *,
    per_channel: bool = False,
) -> Advice:
    """Return the scheme for ``processor`` with warnings for what is to be made.

    Args:
        processor: Where the model will run.
        layers: Class names of the model's layers, such as ``Conv2D``.
        runtime: Which runtime will run it.
        numbers: ``float16``, ``dynamic``, ``int8`` or ``int16x8``.
        per_channel: Whether each output channel is to have its own scale.
    """
    advice = choose_scheme(processor)
    scheme = replace(advice.scheme, per_channel=per_channel)
    convolves = any("Conv" in layer for layer in layers)
    found = []
    if convolves and numbers == "int8" and processor.family != "arm":
        found.append(
            "Small convolutions are often slower in int8 than in float32 on x86: quantizing "
            "between layers takes longer than the 8-bit products save. Measure before choosing."
        )
    if convolves and numbers == "dynamic" and runtime == "onnx":
        found.append(
            "Dynamic quantization makes convolutions ConvInteger, which ONNX Runtime runs several "
            "times slower than float32. Leave convolutions in floats or quantize statically."
        )
    if numbers == "int16x8":
        found.append(
            "int16x8 runs on LiteRT's reference kernels, 5 to 80 times slower than float32 on "
            "most processors. It is for accuracy on chips that have 16-bit kernels."
        )
    if numbers == "float16":
        found.append(
            "16-bit floats halve the file; on most processors they compute no faster than float32."
        )
    if per_channel and numbers == "int8" and not processor.adds_in_32_bits:
        found.append(
            "One scale a channel stretches every channel's weights to the whole range, and so "
            "makes saturation likelier on this processor. The check for it will tell."
        )
    return replace(advice, scheme=scheme, warnings=tuple(found))


def describe_processor(processor: Processor) -> str:
    """Return what ``processor`` is good for, in a line."""
    known = [f"{flag} ({use})" for flag, use in _USES.items() if flag in processor.flags]
    scheme = f"int8 with ONNX Runtime: {choose_scheme(processor).scheme}"
    if not processor.flags:
        return f"{processor.family}, extensions unknown; {scheme}"
    if processor.family == "x86" and not processor.adds_in_32_bits:
        scheme = f"no VNNI, so int8 may be slower than floats; {scheme}"
    return "; ".join((processor.family, ", ".join(known) or "no vector extensions", scheme))
