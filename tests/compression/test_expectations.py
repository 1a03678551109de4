"""What is to be expected of recipes on a processor."""

from __future__ import annotations

from agiwb.compression.advisor import Processor, describe_processor
from agiwb.compression.expectations import expect
from agiwb.compression.recipe import parse_recipe

OLD = Processor("x86", frozenset({"avx2"}))
NEW = Processor("x86", frozenset({"avx2", "avx512f", "avx512_vnni"}))
ARM = Processor("arm", frozenset({"asimddp", "i8mm"}))


def test_the_scheme_of_the_processor_is_said():
    assert "U8S8 + reduce_range" in expect(OLD, {"Dense"}, [])
    assert expect(NEW, {"Dense"}, []).endswith("the scheme is U8S8.")
    assert "S8S8" in expect(ARM, {"Dense"}, [])


def test_each_warning_is_said_once_and_only_for_what_is_to_be_made():
    recipes = [parse_recipe(text) for text in ("int8", "prune_80+int8", "onnx_int8", "onnx")]
    found = expect(NEW, {"Conv2D"}, recipes)
    assert found.count("Small convolutions are often slower") == 1
    assert "int16x8" not in found
    assert "reference kernels" in expect(NEW, {"Conv2D"}, [parse_recipe("int16x8")])


def test_one_scale_a_channel_is_warned_of_where_kernels_saturate():
    recipes = [parse_recipe("onnx_int8:per_channel=true")]
    assert "saturation likelier" in expect(OLD, {"Dense"}, recipes)
    assert "saturation likelier" not in expect(NEW, {"Dense"}, recipes)


def test_the_doctor_says_what_the_processor_is_good_for():
    assert describe_processor(OLD) == (
        "x86; avx2 (fast float kernels); no VNNI, so int8 may be slower than floats; int8 with "
        "ONNX Runtime: U8S8 + reduce_range"
    )
    assert "avx512_vnni (fast int8); int8 with ONNX Runtime: U8S8" in describe_processor(NEW)
    assert "i8mm (faster int8)" in describe_processor(ARM)
    unknown = describe_processor(Processor("other", frozenset()))
    assert unknown.startswith("other, extensions unknown")
