"""New actions from a few clips, in closed form on frozen looks, without PyTorch."""
