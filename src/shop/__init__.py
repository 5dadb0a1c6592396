"""The reference company: an online shop with a database, an API, known dirt, and a way to know the truth."""
