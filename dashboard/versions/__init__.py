"""Two versions side by side: choices, inputs, funnels and pictures."""
