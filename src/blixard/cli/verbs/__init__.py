"""The commands, one a module: arguments in, a call, a report on the screen."""
