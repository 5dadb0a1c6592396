"""Delta tables and objects of one lake: layout, commits, types, durability. Only this package imports deltalake."""
