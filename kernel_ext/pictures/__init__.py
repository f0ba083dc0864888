"""The pictures: each a widget while it lives, a still picture with a text otherwise, and a text for print().

`picture.py` is what all of them have in common, `ticker.py` the one thread that moves them, `js/` their part of the page.
What they show comes from the objects of `sandbox`, which know nothing of notebooks.
"""
