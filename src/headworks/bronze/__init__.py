"""Landing: what sources give goes into bronze exactly once, with its position, its refusals and its generations."""
