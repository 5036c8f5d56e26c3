"""Published entries: one folder that gpunet's zoo, timm and the Hugging Face hub read."""
