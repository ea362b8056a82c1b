"""The embedded world: a seeded bilingual generator of texts and tasks whose truth is a table.

Needs nothing but Python's standard library. `python -m hfcourse.world --seed 0 --output runs/world` writes it.
"""

from hfcourse.world.build import VERSION, existing, files, write
from hfcourse.world.facts import Fact, Secret, World


__all__ = ["VERSION", "Fact", "Secret", "World", "existing", "files", "write"]
