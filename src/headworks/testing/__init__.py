"""What users of headworks test their own datasets and transforms with; it ships, and needs no test framework."""
