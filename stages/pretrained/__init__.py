"""What a stage starts from: folders of encoders, models to go on with, text encoders, CLIP."""
