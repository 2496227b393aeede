"""The figures of the notes' sections 1 to 5, drawn from the library, each with what it claims."""
