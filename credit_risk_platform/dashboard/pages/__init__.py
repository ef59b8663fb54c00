"""One module per page, each with `page(filters)`."""
