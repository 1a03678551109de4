"""Parity: whether an artifact answers as the Keras model it was made from.

The artifact is loaded from its files in a fresh process, by the runtime that will serve it, and
asked for what the model's own file was asked: real examples of the validation split, and edge
cases. Two constant answers agree perfectly, so the model must also know more than chance, by more
than luck on the validation split explains.
"""
