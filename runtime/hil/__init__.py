"""Hardware in the loop: devices on a bench, compared with the model that was compiled for them."""
