"""Generation: what a ``Decoder`` says, token by token. Notes: §7.2, §8.3.2."""
