from . import Case

TINY = {"image_size": 32, "patch_size": 8, "dim": 24, "depth": 2, "heads": 3, "num_classes": 5,
        "in_channels": 3, "mlp_ratio": 4.0}
VARY = {"image_size": 40, "patch_size": 4, "in_channels": 1, "num_classes": 7, "dim": 48, "depth": 1, "heads": 4,
        "mlp_ratio": 2.0, "dropout": 0.3, "pool": "mean"}


def case(parameters: int, gmacs: str) -> Case:
    return Case(TINY, (3, 32, 32), parameters=parameters, gmacs=(gmacs, (3, 224, 224)), vary=VARY, attention=True,
                wrong=((2, 3, 30, 32), (2, 3, 64, 64)))


MODELS = {
    "vit_b_16": case(86_567_656, "17.5638"), "vit_b_32": case(88_224_232, "4.4092"), "vit_l_16": case(304_326_632, "61.5547"),
    "deit_tiny": case(5_717_416, "1.2537"), "deit_small": case(22_050_664, "4.5989"),
    "vit_digits": Case(TINY, (3, 32, 32), parameters=386_986, vary=VARY, attention=True, wrong=((2, 3, 30, 32),)),
}
