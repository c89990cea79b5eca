"""``spikeport hild``: offers the devices of a bench to many clients, each lease in processes of its own."""
