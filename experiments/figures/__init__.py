"""The figures of the notes' sections 1 to 3, drawn from the library, each with what it claims."""
