"""Which operators of TensorFlow a graph may hold: those that compute, and touch nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable

CHECKPOINT = frozenset({
    "Save", "SaveSlices", "SaveV2", "Restore", "RestoreSlice", "RestoreV2", "MergeV2Checkpoints",
})  # fmt: skip
"""What saves and restores variables; a SavedModel has it, where no signature reaches it."""

FILE_TABLES = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
"""What fills a table from a file, which must be one of the model's assets."""

_DENIED = re.compile(
    r"(ReadFile|WriteFile|MatchingFiles|PyFunc|PyFuncStateless|EagerPyFunc|PrintV2|DumpTensor"
    r"|LoadAndRemapMatrix|ImmutableConst|Abort|Skipgram|FixedUnigramCandidateSampler|RecordInput"
    r"|DecodeProto\w*|EncodeProto\w*|FileSystem\w*|RemoteCall|RemoteFusedGraphExecute|Rpc\w*"
    r"|_?Send|_?Recv|_Host(Send|Recv)|Debug\w*|\w*Reader\w*|\w*Dataset\w*|\w*Iterator\w*"
    r"|\w*SummaryWriter|\w*SummaryFileWriter|\w*SummaryDbWriter|Write\w*Summary|ImportEvent"
    r"|CloseSummaryWriter|\w*CustomCall\w*|Calibration\w*|Distributed\w*|DTensor\w*|Sleep\w*)"
)
"""Files, processes, the network, Python, and other libraries' code."""

_STATEFUL = frozenset({
    # variables
    "VarHandleOp", "ReadVariableOp", "AssignVariableOp", "AssignAddVariableOp",
    "AssignSubVariableOp", "VarIsInitializedOp", "VariableShape", "Variable", "VariableV2",
    "ResourceGather", "ResourceGatherNd", "ResourceScatterUpdate", "ResourceScatterAdd",
    "ResourceStridedSliceAssign", "IsVariableInitialized", "DisableCopyOnRead",
    "DestroyResourceOp", "TemporaryVariable", "Empty",
    # control flow and functions
    "StatefulPartitionedCall", "If", "While", "Case", "Assert", "Print",
    "CheckNumerics", "CheckNumericsV2", "GuaranteeConst",
    # tables
    "HashTable", "HashTableV2", "AnonymousHashTable", "MutableHashTable", "MutableHashTableV2",
    "AnonymousMutableHashTable", "MutableHashTableOfTensorsV2", "MutableDenseHashTableV2",
    "AnonymousMutableDenseHashTable", "AnonymousMutableHashTableOfTensors",
    "InitializeTableV2", "LookupTableFindV2", "LookupTableExportV2", "LookupTableImportV2",
    "LookupTableInsertV2", "LookupTableRemoveV2", "LookupTableSizeV2",
    # random numbers
    "RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal",
    "ParameterizedTruncatedNormal", "RandomGamma", "RandomPoisson", "RandomPoissonV2",
    "RandomShuffle", "Multinomial", "RngReadAndSkip", "RngSkip", "StatefulUniform",
    "StatefulUniformInt", "StatefulUniformFullInt", "StatefulStandardNormal",
    "StatefulStandardNormalV2", "StatefulTruncatedNormal", "StatefulRandomBinomial",
    "NonDeterministicInts", "StatelessRandomGetAlg", "AllCandidateSampler",
    "UniformCandidateSampler", "LogUniformCandidateSampler", "SampleDistortedBoundingBox",
    "SampleDistortedBoundingBoxV2",
    # arrays of tensors, recurrent kernels, and the rest that holds its state in memory only
    "TensorArray", "TensorArrayV2", "TensorArrayV3", "TensorArrayReadV3", "TensorArrayWriteV3",
    "TensorArrayGatherV3", "TensorArrayScatterV3", "TensorArraySizeV3", "TensorArrayConcatV3",
    "TensorArraySplitV3", "TensorArrayCloseV3", "TensorArrayGradV3",
    "CudnnRNN", "CudnnRNNV2", "CudnnRNNV3", "DeviceIndex", "ResourceApplyGradientDescent",
})  # fmt: skip

KNOWN = CHECKPOINT | FILE_TABLES | _STATEFUL


def denied(operator: str) -> bool:
    """Return whether ``operator`` reaches beyond its graph, by its name alone."""
    return _DENIED.fullmatch(operator) is not None


def unknown_operators(operators: Iterable[str]) -> list[str]:
    """Return those of ``operators`` that this TensorFlow does not know as mere computation.

    Known are those without a state by TensorFlow's own registry, and those named here. It needs
    TensorFlow, and is for a fresh process.
    """
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    from tensorflow.python.framework import op_def_registry

    def computes(name: str) -> bool:
        if name in KNOWN:
            return True
        definition = op_def_registry.get(name)
        return definition is not None and not definition.is_stateful and not name.startswith("_")

    return sorted(name for name in set(operators) if not computes(name))
