"""Cuts the font for plots out of DejaVu Sans, as shipped in the matplotlib 3.11.2 wheel.

    python make.py

Needs matplotlib and fonttools.
"""
from pathlib import Path

import matplotlib
from fontTools import subset

HERE = Path(__file__).parent
FONTS = Path(matplotlib.get_data_path()) / "fonts/ttf"

CHARACTERS = [
    *range(0x20, 0x7F), *range(0xA0, 0x180),  # ASCII, Latin-1, Latin Extended-A
    *range(0x370, 0x400),  # Greek
    *range(0x2070, 0x2095),  # superscripts and subscripts
    *map(ord, "‐–—‘’“”•…′″‰€→←↑↓↔∂∆∇∈∏∑−∗√∞∫≈≠≤≥≪≫⋅½¼¾ℓ"),
]

options = subset.Options()
options.layout_features = ["kern"]
options.hinting = False
options.name_IDs = [0, 1, 2, 13, 14]
font = subset.load_font(FONTS / "DejaVuSans.ttf", options)
cutter = subset.Subsetter(options)
cutter.populate(unicodes=CHARACTERS)
cutter.subset(font)
font["head"].modified = font["head"].created
font.recalcTimestamp = False
subset.save_font(font, HERE / "DejaVuSans-subset.ttf", options)
(HERE / "LICENSE-DEJAVU").write_bytes((FONTS / "LICENSE_DEJAVU").read_bytes())
