"""The `crp` command. Commands parse, call one function and print; heavy imports wait until a command needs them."""
