"""Values in: which variables of a notebook a cell needs, and how they travel to its process. No I/O."""
