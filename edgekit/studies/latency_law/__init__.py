"""08: which laws time, power and energy follow with length."""
