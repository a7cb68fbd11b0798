from . import Case

SMALL = {"in_channels": 3, "num_classes": 2, "width": 8, "depth": 2}
OTHERS = {"in_channels": 1, "num_classes": 3, "width": 16, "depth": 1}
TRANSFORMER = SMALL | {"place": "encoder", "blocks": 1, "heads": 4}

MODELS = {
    "unet_2015": Case({"in_channels": 1, "num_classes": 2, "width": 8, "depth": 2, "dropout": 0.5}, (1, 44, 48), (1, 52, 44),
                      parameters=31_030_658, gmacs=("150.4284", (1, 572, 572)), task="segment",
                      vary={"in_channels": 3, "num_classes": 3, "width": 4, "depth": 1, "dropout": 0.0},
                      wrong=((2, 1, 45, 44), (2, 1, 44, 46), (2, 1, 40, 44))),
    "unet": Case(SMALL, (3, 16, 20), (3, 13, 18), parameters=31_037_698, gmacs=("192.6863", (3, 512, 512)), task="segment",
                 vary=OTHERS | {"up": "bilinear", "norm": False, "skip": "add"}, wrong=((2, 3, 16, 3),)),
    "unet_transformer": Case(TRANSFORMER, (3, 16, 24), (3, 13, 18), parameters=20_373_634, task="segment", attention=True,
                             vary=OTHERS | {"place": "decoder", "blocks": 2, "heads": 2}, wrong=((2, 3, 16, 3),)),
    "unet_stitched": Case(SMALL, (3, 16, 20), (3, 13, 18), parameters=28_474_302, task="segment",
                          vary=OTHERS | {"attention": False, "fusion": False}, wrong=((2, 3, 16, 7),)),
}
MODULES = {}
