"""Stitching: put a module at named places of any network, count what it costs, and test fairly whether it helps.

:func:`insert` makes the network, :func:`report` the bill, :func:`ablate` the evidence, and :func:`cite` the references.
"""

from .ablate import Insertion, ablate
from .citations import OWN, bibtex, cite
from .insert import baseline_weights, insert
from .places import Place
from .registry import stitchable
from .report import Cost, Report, report
from .results import Ablation
from .statistics import (Interval, bootstrap_interval, effect_size, holm, mean_interval, paired_t, permutation, smallest_p,
                         wilcoxon)
from .verdict import Comparison, compare

__all__ = ["OWN", "Ablation", "Comparison", "Cost", "Insertion", "Interval", "Place", "Report", "ablate", "baseline_weights",
           "bibtex", "bootstrap_interval", "cite", "compare", "effect_size", "holm", "insert", "mean_interval", "paired_t",
           "permutation", "report", "smallest_p", "stitchable", "wilcoxon"]
