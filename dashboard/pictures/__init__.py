"""Pictures for people: where their bytes lie, thumbnails, drawings of stages, nearest neighbours, cards."""
