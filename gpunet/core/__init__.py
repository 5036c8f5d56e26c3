"""What every room uses and no room owns: files, fields and arguments, the machine, devices, signals, the console."""
