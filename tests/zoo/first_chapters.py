from dlnotes.attention import MultiHeadAttention
from dlnotes.fourier import DualDomainAttention, FrequencyGate, GlobalFilter

from . import Case

MODULES = {
    MultiHeadAttention: Case(
        {"dim": 12, "heads": 3, "dim_context": None, "bias": True, "dropout": 0.0}, (5, 12), other=(7, 12),
        parameters=4 * 12 * 12 + 4 * 12, channels=False, attention=True, wrong=((2, 5, 11),),
        vary={"dim": 24, "heads": 4, "dim_context": 7, "bias": False, "dropout": 0.5}),
    GlobalFilter: Case({"c": 3, "h": 8, "w": 6}, (3, 8, 6), parameters=3 * 8 * 4 * 2, wrong=((2, 3, 6, 8),),
                       vary={"c": 4, "h": 6, "w": 8}),
    FrequencyGate: Case({"c": 8}, (8, 7, 5), other=(8, 4, 4), parameters=2 * 72 + 16, vary={"c": 4}),
    DualDomainAttention: Case({"c": 8}, (8, 7, 5), other=(8, 4, 4), parameters=4 * 72 + 16, vary={"c": 4}),
}
