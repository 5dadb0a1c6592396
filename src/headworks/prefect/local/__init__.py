"""Parts of a local stack: an embedded Postgres, processes that outlive the command that started them."""
