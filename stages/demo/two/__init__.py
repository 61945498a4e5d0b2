"""The world of two: pictures of two groups of shapes, whose captions mean nothing without the order of
words."""
