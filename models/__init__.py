"""Example models: each module trains one small spiking network and saves its weights."""
