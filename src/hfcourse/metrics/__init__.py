"""Pure functions that score what models say; any part of hfcourse may use them."""
