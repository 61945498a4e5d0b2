"""How a training's processes are started, meet, are stopped, and say what ended them."""
