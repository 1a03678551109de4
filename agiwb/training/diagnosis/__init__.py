"""What is wrong with a training, in plain words, with the numbers that show it.

A rule is a pure function over what was observed. ``Watch`` observes a training and asks the rules.
"""
