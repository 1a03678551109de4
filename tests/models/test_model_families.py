"""Each family of models at its own kind of data."""

from __future__ import annotations

from agiwb.models.specification import Size
from tests.conformance.model_family import ModelFamilyConformance


class TestMlp(ModelFamilyConformance):
    family, kind = "mlp", "array"


class TestDeepMlpWithBatchNorm(ModelFamilyConformance):
    family, kind, tasks = "mlp", "sequence", ("classification",)
    size = Size(units=8, layers=2, batch_norm=True, l1=0.01)


class TestCnn(ModelFamilyConformance):
    family, kind = "cnn", "image"


class TestResnet(ModelFamilyConformance):
    family, kind, tasks = "resnet", "image", ("classification", "regression")
    size = Size(units=8, layers=2)


class TestGru(ModelFamilyConformance):
    family, kind = "rnn", "sequence"


class TestLstmOverRowsOfImages(ModelFamilyConformance):
    family, kind, tasks = "rnn", "image", ("classification",)
    size = Size(units=8, cell="lstm", batch_norm=True)


class TestPooledText(ModelFamilyConformance):
    family, kind = "text", "text"


class TestTransformer(ModelFamilyConformance):
    family, kind, tasks = "text", "text", ("classification", "regression")
    size = Size(units=8, encoder="transformer")


class TestTabular(ModelFamilyConformance):
    family, kind = "tabular", "table"


class TestTwoTower(ModelFamilyConformance):
    family, kind, tasks = "two_tower", "pairs", ("ranking",)


class TestLenet300100(ModelFamilyConformance):
    family, kind, tasks = "lenet_300_100", "image", ("binary",)


class TestLenet5(ModelFamilyConformance):
    family, kind, tasks = "lenet_5", "image", ("multilabel",)


class TestMnistMlp(ModelFamilyConformance):
    family, kind, tasks = "mnist_mlp", "image", ("classification",)
