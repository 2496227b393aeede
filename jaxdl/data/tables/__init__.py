"""Tables of strangers: what is in a file, what each column is, and what is made of it."""
