"""The live page, and the JSON that it is made of."""
