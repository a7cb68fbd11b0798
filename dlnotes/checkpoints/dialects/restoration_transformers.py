"""Restormer, HCANet and SAFMN: the names of their authors' code (swz30/Restormer, summitgao/HCANet, sunny2109/SAFMN)."""

from .._dialect import Dialect

_U_SHAPE = (                                                        # HCANet's code grew out of Restormer's
    (r"^patch_embed\.proj\.", "embed."),
    (r"^(encoder|decoder)_level(\d)\.", r"\1\2."),
    (r"^down(\d)_\d\.body\.", r"down\1."),                          # down1_2 leads from level 1 to level 2
    (r"^up\d_(\d)\.body\.", r"up\1."),
    (r"^reduce_chan_level(\d)\.", r"fuse\1."),
    (r"\.(norm\d)\.body\.", r".\1."),
    (r"\.qkv_dwconv\.", ".depthwise."),
    (r"\.project_in\.", ".expand."),
    (r"\.project_out\.", ".project."),
)

_RESTORMER = Dialect("authors", rules=(*_U_SHAPE, (r"\.dwconv\.", ".depthwise.")))

_HCANET = Dialect("authors", rules=(
    *_U_SHAPE,
    (r"\.attn\.", ".cafm."),
    (r"\.fc\.", ".mix."),
    (r"\.dep_conv\.", ".gather."),
    (r"\.ffn\.", ".msfn."),
    (r"\.dwconv1\.", ".near."),
    (r"\.dwconv2\.", ".middle."),
    (r"\.dwconv3\.", ".far."),
))

_SAFMN = Dialect("authors", rules=(
    (r"^to_feat\.", "embed."),
    (r"^feats\.", "blocks."),
    (r"^to_img\.0\.", "output."),
    (r"\.mfr\.", ".depthwise."),
    (r"\.aggr\.", ".mix."),
    (r"\.ccm\.ccm\.0\.", ".ccm.expand."),
    (r"\.ccm\.ccm\.2\.", ".ccm.project."),
))

DIALECTS = {"Restormer": (_RESTORMER,), "HCANet": (_HCANET,), "SAFMN": (_SAFMN,)}
