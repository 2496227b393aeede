"""Text: from strings to tokens and back, and to the windows that models learn from."""
