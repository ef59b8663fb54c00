"""Expected-loss maths: when a loan defaults (hazard), how much is owed then (exposure) and what is lost of it (LGD).

Everything a provision needs is a small model of numbers that can be stored as JSON and named by its content.
"""
