"""Widgets that stay alive: in a notebook with a kernel, in the published page without one, and in a single HTML file."""

from importlib import import_module

_HOME = {
    "AttentionCost": "cost",
    "AttentionExplorer": "attention",
    "AugmentationExplorer": "augmentation",
    "BatchNormStatistics": "batchnorm",
    "ConvArithmetic": "convolution",
    "EdgeExplorer": "edges",
    "FeatureMaps": "features",
    "GradientFlow": "gradients",
    "LoaderTimeline": "loader",
    "MemoryPlanner": "memory",
    "RankExplorer": "rank",
    "ReceptiveField": "receptive",
    "ScalingLab": "scaling",
    "SelfAssessment": "quiz",
    "SkipConnections": "skips",
    "SpectrumExplorer": "spectrum",
    "TensorShapes": "tensors",
    "ThresholdExplorer": "threshold",
    "Upsampling": "upsampling",
    "WaveBuilder": "waves",
    "WindowAttention": "windows",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no widget {name!r}; it offers {', '.join(__all__)}")
